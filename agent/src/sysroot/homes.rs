//! Homes of the users of user-data, on the data partition: made when missing, then the user's own.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::Path;

use anyhow::{Context, Result, bail};
use burin_core::render::Home;

use super::copy::{self, Existing};

/// Makes what is missing. Returns what is not as it should be.
pub(super) fn make_all(homes: &[Home], root: &Path) -> Vec<String> {
    let made = homes.iter().map(|home| make(home, root));
    made.filter_map(|made| made.err().map(|err| format!("{err:#}")))
        .collect()
}

fn make(home: &Home, root: &Path) -> Result<()> {
    let doing = || format!("making the home of {}", home.user);
    let Some(name) = home.path.strip_prefix("/home/") else {
        // Root's is there; a service's is the image's.
        return Ok(());
    };
    if name.contains('/') || name.is_empty() || name.starts_with('.') {
        return Ok(());
    }
    let folder = root.join("home");
    let path = folder.join(name);
    if let Ok(found) = fs::symlink_metadata(&path) {
        if found.uid() != home.uid {
            bail!(
                "{} belongs to the number {}, user {} has {}: change its owner",
                home.path,
                found.uid(),
                home.user,
                home.uid
            );
        }
        return Ok(());
    }
    // Whole or not at all: a power cut leaves no home without its files.
    let beside = folder.join(format!(".burin-new-{name}"));
    if beside.exists() {
        fs::remove_dir_all(&beside).with_context(doing)?;
    }
    fs::create_dir_all(&beside).with_context(doing)?;
    let skeleton = root.join("etc/skel");
    if skeleton.is_dir() {
        copy::tree(&skeleton, &beside, Existing::Keep).with_context(doing)?;
    }
    give(&beside, home.uid, home.gid).with_context(doing)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o700)).with_context(doing)?;
    fs::rename(&beside, &path).with_context(doing)?;
    crate::machine::file::sync_folder(&folder)
}

fn give(path: &Path, uid: u32, gid: u32) -> std::io::Result<()> {
    lchown(path, Some(uid), Some(gid))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), uid, gid)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(name: &str) -> Home {
        Home {
            user: name.to_owned(),
            path: format!("/home/{name}"),
            uid: nix::unistd::getuid().as_raw(),
            gid: nix::unistd::getgid().as_raw(),
        }
    }

    #[test]
    fn a_home_is_made_once_and_then_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("home/.burin-new-ada/cut")).unwrap();
        fs::create_dir_all(root.path().join("etc/skel/.config")).unwrap();
        fs::write(root.path().join("etc/skel/.config/x"), "image").unwrap();
        assert_eq!(make_all(&[home("ada")], root.path()), Vec::<String>::new());
        let made = root.path().join("home/ada");
        assert_eq!(fs::metadata(&made).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(fs::read_to_string(made.join(".config/x")).unwrap(), "image");
        assert!(!made.join("cut").exists());
        fs::write(made.join(".config/x"), "own").unwrap();
        assert_eq!(make_all(&[home("ada")], root.path()), Vec::<String>::new());
        assert_eq!(fs::read_to_string(made.join(".config/x")).unwrap(), "own");
    }

    #[test]
    fn a_home_of_somebody_else_is_told_and_not_taken() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("home/ada")).unwrap();
        let mut ada = home("ada");
        ada.uid += 1;
        let troubles = make_all(&[ada], root.path());
        assert!(troubles[0].contains("change its owner"), "{troubles:?}");
    }
}
