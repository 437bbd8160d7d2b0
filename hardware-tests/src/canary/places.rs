//! Where each kind of secret may lie: docs/operations.md, as a table that is enforced.

use std::{fmt, fs::File, os::unix::fs::FileExt, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What a secret is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The password that the hub makes for a new account.
    FirstPassword,
    /// One that a person chose.
    Password,
    /// A login's cookie.
    Session,
    /// The key of commands beside the hub's data.
    ApiKey,
    /// The seed of a registration token.
    Token,
    /// A private key of the hub.
    HubKey,
    /// The private key of an installed host.
    HostKey,
    /// The private key that releases are signed with.
    ReleaseKey,
    /// The password of a user of the host, in plain text in its user-data.
    UserPassword,
    /// Credentials of a registry in user-data.
    RegistryPassword,
    /// Those that only the hub was told.
    HubRegistryPassword,
    /// The private key in a cluster's kubeconfig.
    Kubeconfig,
}

/// A file of the scenario, or a file within a disk, by the names of its folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    File(String),
    OnDisk(String),
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) | Self::OnDisk(name) => out.write_str(name),
        }
    }
}

/// The line by which a hub tells its first password on standard output, which the logs of the tests hold
/// together with its standard error.
const GREETING: &str = "\"admin_password\"";
/// As [`GREETING`], as a place.
const GREETED: &str = "standard output";

impl Place {
    /// Byte `at` of the file `path`, which is called `name`.
    pub(super) fn of_file(name: &Path, path: &Path, at: u64) -> Result<Self> {
        let name = name.display().to_string();
        let is_log = path.extension().is_some_and(|it| it == "log");
        if is_log && line_around(path, at)?.contains(GREETING) {
            return Ok(Self::File(format!("{name}/{GREETED}")));
        }
        Ok(Self::File(name))
    }

    /// A file of a partition of a disk.
    pub(super) fn on_disk(disk: &str, partition: &str, file: &str) -> Self {
        Self::OnDisk(format!("{disk}/{partition}/{}", file.trim_matches('/')))
    }
}

/// The line of a text file that byte `at` belongs to, as far as 4 KiB before and after it.
fn line_around(path: &Path, at: u64) -> Result<String> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let start = at.saturating_sub(4096);
    let mut bytes = vec![0; 8192];
    let got = file
        .read_at(&mut bytes, start)
        .with_context(|| format!("reading {}", path.display()))?;
    let middle = usize::try_from(at - start).unwrap_or(0).min(got);
    let (before, after) = bytes[..got].split_at(middle);
    let begin = before.rsplit(|&byte| byte == b'\n').next();
    let end = after.split(|&byte| byte == b'\n').next();
    let line = [begin.unwrap_or_default(), end.unwrap_or_default()].concat();
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// User-data, wherever it has to be: what the operator wrote, the medium, and the installed host.
const USER_DATA: [&str; 6] = [
    "*user-data",
    "burin.iso",
    "disk:burin-system/user-data",
    "disk:burin-system/generations/*/user-data",
    "disk:burin-esp/burin/*",
    // While it is written. A power cut may leave it.
    "disk:burin-system/*.new",
];

/// Whether a secret of this kind may lie there. A pattern names the last parts of a place, which is on a
/// disk where it begins so; `*` stands for any letters of one part.
pub(super) fn may_lie(kind: Kind, place: &Place) -> bool {
    let patterns: &[&str] = match kind {
        Kind::FirstPassword => &["hub*.log/standard output"],
        // As a hash in the database, which is not the secret.
        Kind::Password | Kind::Session => &[],
        Kind::ApiKey => &["data/admin.json"],
        // Never on the disk: it is blanked there once the host was let in.
        Kind::Token => &["*user-data", "burin.iso"],
        Kind::HubKey => &["data/*.key"],
        Kind::ReleaseKey => &["stick/release.key"],
        // The firmware keeps it until the disk does. It forgets the variable then; the bytes of a deleted
        // one stay in its flash until it needs the room.
        Kind::HostKey => &["disk:burin-system/identity.key", "variables.fd"],
        Kind::UserPassword | Kind::RegistryPassword => &USER_DATA,
        Kind::HubRegistryPassword => &["registry.password"],
        // With whoever downloaded it. K3s has its own copies, in RAM but for this one.
        Kind::Kubeconfig => &["*.kubeconfig", "disk:k3s/server/tls/client-admin.key"],
    };
    let mut patterns = patterns.iter().map(|it| (it.strip_prefix("disk:"), it));
    patterns.any(|(on_disk, pattern)| match (place, on_disk) {
        (Place::OnDisk(place), Some(pattern)) => fits(pattern, place),
        (Place::File(place), None) => fits(pattern, place),
        _ => false,
    })
}

fn fits(pattern: &str, place: &str) -> bool {
    let mut parts = place.rsplit('/');
    pattern.rsplit('/').all(|wanted| {
        parts
            .next()
            .is_some_and(|part| match wanted.split_once('*') {
                None => part == wanted,
                Some((begin, end)) => {
                    let rest = part.strip_prefix(begin);
                    rest.is_some_and(|rest| rest.ends_with(end))
                }
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_its_places_and_no_other() {
        let file = |name: &str| Place::File(name.to_owned());
        let system = |name| Place::on_disk("disk.raw", "burin-system", name);
        for (kind, place, may) in [
            (Kind::HostKey, system("/identity.key"), true),
            (Kind::HostKey, system("/user-data"), false),
            (Kind::HostKey, file("variables.fd"), true),
            (Kind::HostKey, file("console-1.log"), false),
            (Kind::Token, file("site/golden.user-data"), true),
            (Kind::Token, file("burin.iso"), true),
            (Kind::Token, system("/user-data"), false),
            (Kind::UserPassword, system("/generations/1/user-data"), true),
            (Kind::UserPassword, system("/record.json"), false),
            (Kind::ApiKey, file("site/hub/data/admin.json"), true),
            (Kind::ApiKey, file("site/hub/data/hub.db"), false),
            (Kind::HubKey, file("site/hub/data/online.key"), true),
            (Kind::HubKey, file("site/hub/data/hub.db-wal"), false),
            (Kind::Session, file("site/hub/data/hub.db"), false),
            (Kind::ReleaseKey, file("stick/release.key"), true),
            (Kind::ReleaseKey, file("site/hub/data/root.json"), false),
            (
                Kind::HubRegistryPassword,
                file("site/registry.password"),
                true,
            ),
            (Kind::HubRegistryPassword, system("/user-data"), false),
            (
                Kind::HubRegistryPassword,
                file("site/hub/data/hub.db"),
                false,
            ),
            (Kind::Kubeconfig, file("operator.kubeconfig"), true),
            (Kind::Kubeconfig, file("site/hub/data/hub.db-wal"), false),
            (Kind::Kubeconfig, system("/record.json"), false),
        ] {
            assert_eq!(may_lie(kind, &place), may, "{kind:?} in {place}");
        }
    }

    #[test]
    fn the_first_password_is_told_in_one_line_only() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("hub.log");
        let text = "INFO start\n{\"admin_password\":\"p4ss\",\"url\":\"u\"}\nINFO p4ss\n";
        std::fs::write(&log, text)?;
        let places = text.match_indices("p4ss");
        let may: Vec<bool> = places
            .map(|(at, _)| {
                let place = Place::of_file(Path::new("site/hub/hub.log"), &log, at as u64)?;
                Ok(may_lie(Kind::FirstPassword, &place))
            })
            .collect::<Result<_>>()?;
        assert_eq!(may, [true, false]);
        Ok(())
    }
}
