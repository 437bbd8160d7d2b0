//! The data folder of `serve`: a hub's own, which nobody else reads.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::db::Place;
use crate::keys::{CHAIN, ONLINE, ROOT};
use crate::people::code;
use crate::serve::ADMIN_FILE;
use crate::vault;

/// What `root init` writes, too: a folder with no more has never been served.
const KEYS: &[&str] = &[CHAIN, ONLINE];
/// Written by `serve` alone, and after the database.
const SERVED: &[&str] = &[ROOT, code::FILE, vault::FILE, ADMIN_FILE];

/// Makes the folder, or takes one that is a hub's or may become one's, for its owner alone: files of the
/// operator may be there, such as a certificate. Nothing is written into a folder that is refused.
///
/// # Errors
/// A folder of something else; a hub whose SQLite database is gone.
pub(crate) fn take(folder: &Path, database: &Place) -> anyhow::Result<()> {
    make_private(folder)?;
    let names = names(folder)?;
    let holds = |list: &[&str]| list.iter().any(|name| names.iter().any(|it| it == name));
    let file = match database {
        Place::File(file) => Some(file),
        Place::Server(_) => None,
    };
    let has_database = file.is_some_and(|file| fs::metadata(file).is_ok_and(|it| it.len() > 0));
    let is_hub = holds(KEYS) || holds(SERVED) || has_database;
    let mut foreign = names.iter().filter(|name| is_foreign(folder, name));
    if let Some(stranger) = foreign.next().filter(|_| !is_hub) {
        anyhow::bail!(
            "{} holds no hub, but something else (there is `{}`): give --data a folder of its own; a \
             new one is made",
            folder.display(),
            stranger.to_string_lossy()
        );
    }
    if let Some(file) = file {
        ensure!(
            has_database || !(holds(KEYS) && holds(SERVED)),
            "{} holds the keys of a hub, and its database {} is gone or empty: restore it from a \
             backup, fill it with `burin-hub import`, name the database if it is PostgreSQL, or \
             move {CHAIN} and the files *.key away to begin a new hub",
            folder.display(),
            file.display()
        );
    }
    close(folder);
    Ok(())
}

/// Makes a folder that only its owner can read, with those above it; leaves one that is there.
///
/// # Errors
/// What the file system says.
pub(crate) fn make_private(folder: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("making the data folder {}", folder.display()))
}

fn names(folder: &Path) -> anyhow::Result<Vec<OsString>> {
    let reading = || format!("reading the data folder {}", folder.display());
    let entries = fs::read_dir(folder).with_context(reading)?;
    let names: std::io::Result<Vec<OsString>> =
        entries.map(|entry| Ok(entry?.file_name())).collect();
    let mut names = names.with_context(reading)?;
    names.sort();
    Ok(names)
}

/// What a hub's folder never has: other folders, but for that of a new file system, and hidden files. Homes
/// and the sources of programs have them.
fn is_foreign(folder: &Path, name: &OsStr) -> bool {
    let is_hidden = name.as_encoded_bytes().starts_with(b".");
    name != "lost+found" && (is_hidden || folder.join(name).is_dir())
}

/// Takes the folder from everybody but its owner. A file system without modes keeps no hub from
/// running.
fn close(folder: &Path) {
    let closed = fs::metadata(folder).and_then(|found| {
        if found.permissions().mode() & 0o077 == 0 {
            return Ok(());
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
    });
    if let Err(err) = closed {
        tracing::warn!(
            "{} cannot be closed to other users of this machine: {err}; its keys are, each by its \
             own mode. Give it mode 0700",
            folder.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(folder: &Path) -> u32 {
        fs::metadata(folder).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_folder_is_taken_when_it_is_a_hubs_or_nobodys() {
        for (names, taken) in [
            (&[][..], true),
            (&["lost+found/", "lock"], true),
            (&["hub.db"], true),
            // After `root init`.
            (&["online.key", "root.json"], true),
            (&["tls.pem", "tls.key"], true),
            (&["src/", "Cargo.toml"], false),
            (&[".profile"], false),
            (&["hub.db", ".git/"], false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
            for name in names {
                let path = dir.path().join(name);
                match name.ends_with('/') {
                    true => fs::create_dir(path).unwrap(),
                    false => fs::write(path, "").unwrap(),
                }
            }
            let done = take(dir.path(), &Place::in_folder(dir.path()));
            assert_eq!(done.is_ok(), taken, "{names:?} {done:?}");
            let want = if taken { 0o700 } else { 0o755 };
            assert_eq!(mode(dir.path()), want, "{names:?}");
        }
    }

    #[test]
    fn a_hub_without_its_database_does_not_begin_anew() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::in_folder(dir.path());
        for name in ["online.key", "root.json", "admin.json"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        for _ in 0..2 {
            let told = take(dir.path(), &place).unwrap_err().to_string();
            assert!(told.contains("gone or empty"), "{told}");
            fs::write(dir.path().join("hub.db"), "").unwrap();
        }
        let server = Place::Server(crate::secret::Secret::new(String::new()));
        take(dir.path(), &server).unwrap();
        fs::write(dir.path().join("hub.db"), "x").unwrap();
        take(dir.path(), &place).unwrap();
    }
}
