//! Where Debian packages come from: the mirror of this machine's own package configuration, or
//! the one that `BURIN_DEBIAN_MIRROR` names.
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The suite that kernel, boot loader and tools of the ISO are taken from.
pub const SUITE: &str = "trixie";
/// The variable that names a mirror with [`SUITE`], for machines that have none of their own.
pub const VARIABLE: &str = "BURIN_DEBIAN_MIRROR";
const KEYRING: &str = "usr/share/keyrings/debian-archive-keyring.gpg";

/// A Debian mirror and the keys that its release files are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Base URL, the folder that holds `dists/`.
    pub url: String,
    /// Key ring file.
    pub keyring: PathBuf,
}

/// Finds the mirror to use below `root` (`/` outside of tests); `given` is the value of
/// [`VARIABLE`].
///
/// # Errors
/// The machine is not Debian and no mirror was given, or Debian's keys are missing.
pub fn find(root: &Path, given: Option<&str>) -> Result<Mirror> {
    let keyring = root.join(KEYRING);
    if !keyring.exists() {
        bail!(
            "Debian's archive keys are missing ({}): install the package debian-archive-keyring",
            keyring.display()
        );
    }
    if let Some(url) = given.filter(|url| !url.is_empty()) {
        return Ok(Mirror {
            url: url.trim_end_matches('/').to_owned(),
            keyring,
        });
    }
    let release =
        std::fs::read_to_string(root.join("etc/os-release")).context("reading os-release")?;
    let field = |name: &str| {
        let line = release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_owned())
            .unwrap_or_default()
    };
    let (id, codename) = (field("ID"), field("VERSION_CODENAME"));
    if id != "debian" {
        bail!(
            "this machine runs {id:?}, whose mirrors do not carry Debian {SUITE}: name a Debian \
             mirror in {VARIABLE} (the URL of the folder that holds dists/)"
        );
    }
    for text in sources(root)? {
        if let Some(url) = main_archive(&text, &codename) {
            return Ok(Mirror { url, keyring });
        }
    }
    bail!("no package source for {codename} in /etc/apt: name a Debian mirror in {VARIABLE}")
}

/// The mirror for this machine and this environment.
///
/// # Errors
/// See [`find`].
pub fn of_this_machine() -> Result<Mirror> {
    find(Path::new("/"), std::env::var(VARIABLE).ok().as_deref())
}

fn sources(root: &Path) -> Result<Vec<String>> {
    let mut files = vec![root.join("etc/apt/sources.list")];
    let parts = root.join("etc/apt/sources.list.d");
    if parts.is_dir() {
        for entry in std::fs::read_dir(&parts).context("reading sources.list.d")? {
            files.push(entry.context("reading sources.list.d")?.path());
        }
    }
    files.sort();
    files.retain(|file| file.is_file());
    let read = |file: &PathBuf| {
        std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
    };
    files.iter().map(read).collect()
}

/// The URL of the first source of `text` whose suite is exactly `codename`, in either of apt's
/// two formats (sources.list(5)).
fn main_archive(text: &str, codename: &str) -> Option<String> {
    for line in text.lines() {
        let mut words = line.split_whitespace().filter(|word| !word.is_empty());
        if words.next() != Some("deb") {
            continue;
        }
        let rest: Vec<&str> = words.skip_while(|word| !word.contains("://")).collect();
        if rest.get(1).is_some_and(|suite| *suite == codename) {
            return Some(rest[0].trim_end_matches('/').to_owned());
        }
    }
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            let line = stanza
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().split_whitespace()
        };
        let is_binary = field("Types").any(|kind| kind == "deb");
        if is_binary && field("Suites").any(|suite| suite == codename) {
            return field("URIs")
                .next()
                .map(|url| url.trim_end_matches('/').to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(os: &str, sources: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for folder in ["etc/apt/sources.list.d", "usr/share/keyrings"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        std::fs::write(root.path().join(KEYRING), "keys").unwrap();
        std::fs::write(root.path().join("etc/os-release"), os).unwrap();
        std::fs::write(
            root.path().join("etc/apt/sources.list.d/a.sources"),
            sources,
        )
        .unwrap();
        root
    }

    const DEBIAN: &str = "ID=debian\nVERSION_CODENAME=bookworm\n";

    #[test]
    fn the_mirror_of_the_machines_own_suite_is_taken_in_both_formats() {
        let stanza = "Types: deb\nURIs: http://s.example/sec\nSuites: bookworm-security\n\n\
                      Types: deb\n# note\nURIs: http://m.example/debian/\nSuites: bookworm bookworm-updates\n";
        let line = "deb [signed-by=/k] http://m.example/debian/ bookworm main\n";
        for text in [stanza, line] {
            let root = machine(DEBIAN, text);
            assert_eq!(
                find(root.path(), None).unwrap().url,
                "http://m.example/debian"
            );
        }
    }

    #[test]
    fn another_distribution_must_name_a_mirror() {
        let root = machine(
            "ID=ubuntu\nVERSION_CODENAME=noble\n",
            "deb http://u.example/ubuntu noble main\n",
        );
        let error = find(root.path(), None).unwrap_err().to_string();
        assert!(
            error.contains(VARIABLE) && error.contains("ubuntu"),
            "{error}"
        );
        assert_eq!(
            find(root.path(), Some("http://d.example/debian/"))
                .unwrap()
                .url,
            "http://d.example/debian"
        );
    }

    #[test]
    fn missing_keys_are_named_with_their_package() {
        let root = machine(DEBIAN, "");
        std::fs::remove_file(root.path().join(KEYRING)).unwrap();
        let error = find(root.path(), Some("http://d.example"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("debian-archive-keyring"), "{error}");
    }
}
