//! What is looked at while a generation is written, so that its first boot can render `/etc`.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use burin_core::render::{self, Conflict, Image, Ledger};

use super::site::{LEDGER, LIMIT};
use crate::machine::file::{self, Mode};

/// Users and groups of a root that cannot have their numbers on this host. `read` gives the text of
/// a file of the root; a root may be without either file.
///
/// # Errors
/// When the ledger of numbers or a file of the root cannot be read.
pub(crate) fn conflicts(
    system: &Path,
    read: impl Fn(&str) -> Result<Option<Vec<u8>>>,
) -> Result<Vec<Conflict>> {
    let text = |path: &str| -> Result<Option<String>> {
        let text = read(path)?.map(String::from_utf8).transpose();
        text.with_context(|| format!("reading /{path} of the root: it is not UTF-8"))
    };
    let image = Image {
        passwd: text("etc/passwd")?,
        group: text("etc/group")?,
        ..Image::default()
    };
    let path = system.join(LEDGER);
    let ledger = match file::read_if_there(&path, LIMIT)? {
        Some(bytes) => Ledger::parse(&String::from_utf8_lossy(&bytes))
            .with_context(|| format!("reading {}", path.display()))?,
        None => Ledger::default(),
    };
    Ok(render::conflicts(&image, &ledger))
}

/// Keeps the name servers that are in use: an image without systemd-resolved has no other way to
/// know those that DHCP told. A resolver on the host itself is not kept, for it may not be there.
///
/// # Errors
/// When the file cannot be read or kept.
pub(crate) fn keep_resolver(root: &Path, system: &Path) -> Result<()> {
    let from = root.join("etc/resolv.conf");
    let Some(bytes) = file::read_if_there(&from, LIMIT)? else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut servers = text.lines().filter_map(|line| {
        line.strip_prefix("nameserver ")?
            .trim()
            .parse::<IpAddr>()
            .ok()
    });
    if servers.any(|server| !server.is_loopback()) {
        file::replace(&system.join("resolv.conf"), &bytes, Mode::Public)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_another_name_is_found_before_the_boot() {
        let system = tempfile::tempdir().unwrap();
        let root =
            |path: &str| Ok((path == "etc/passwd").then(|| b"new:x:101:0::/:/bin/sh\n".to_vec()));
        assert_eq!(conflicts(system.path(), root).unwrap(), Vec::new());
        let ledger = r#"{"users":{"old":101},"groups":{}}"#;
        std::fs::write(system.path().join(LEDGER), ledger).unwrap();
        let found = conflicts(system.path(), root).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].holder, "old");
        std::fs::write(system.path().join(LEDGER), "torn{").unwrap();
        assert!(conflicts(system.path(), root).is_err());
    }

    #[test]
    fn only_servers_of_the_network_are_kept() {
        for (text, kept) in [
            ("nameserver 10.0.2.3\nsearch site\n", true),
            ("nameserver 127.0.0.53\n", false),
            ("search site\n", false),
        ] {
            let host = tempfile::tempdir().unwrap();
            std::fs::create_dir(host.path().join("etc")).unwrap();
            std::fs::write(host.path().join("etc/resolv.conf"), text).unwrap();
            keep_resolver(host.path(), host.path()).unwrap();
            let found = std::fs::read_to_string(host.path().join("resolv.conf")).ok();
            assert_eq!(found.as_deref(), kept.then_some(text));
        }
    }
}
