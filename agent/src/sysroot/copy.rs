//! Copies trees with their owners, modes, times and attributes.

use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::stat::{Mode, SFlag, mknod};
use rustix::fs::{AtFlags, XattrFlags};

/// What to do with what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// Never touched: it is the host's own.
    Keep,
    /// Replaced by the image's.
    Replace,
}

/// Copies what lies below `from` to below `to`. Every file appears whole: all are written beside
/// their places, then synced together (one flush of the disk, not one a file), then renamed.
///
/// # Errors
/// When something cannot be read or written.
pub(super) fn tree(from: &Path, to: &Path, existing: Existing) -> Result<()> {
    let doing = || format!("copying {} to {}", from.display(), to.display());
    let metadata = fs::symlink_metadata(from).with_context(doing)?;
    if fs::symlink_metadata(to).is_err() {
        fs::create_dir_all(to).with_context(doing)?;
        take_over(from, to, &metadata).with_context(doing)?;
    }
    let mut written = Vec::new();
    children(from, to, existing, &mut written)?;
    if written.is_empty() {
        return Ok(());
    }
    let folder = fs::File::open(to).with_context(doing)?;
    rustix::fs::syncfs(&folder).with_context(doing)?;
    for place in &written {
        fs::rename(beside(place), place)
            .with_context(|| format!("putting {} in its place", place.display()))?;
    }
    Ok(())
}

fn children(from: &Path, to: &Path, existing: Existing, written: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("reading {}", from.display()))?;
    for entry in entries {
        let source = entry
            .with_context(|| format!("reading {}", from.display()))?
            .path();
        let name = source.file_name().context("an entry without a name")?;
        one(&source, &to.join(name), existing, written)?;
    }
    Ok(())
}

/// Writes one entry, a file beside its place; what has to be renamed is added to `written`.
fn one(from: &Path, to: &Path, existing: Existing, written: &mut Vec<PathBuf>) -> Result<()> {
    let doing = || format!("copying {} to {}", from.display(), to.display());
    let metadata = fs::symlink_metadata(from).with_context(doing)?;
    let there = fs::symlink_metadata(to).ok();
    if metadata.is_dir() {
        match there {
            Some(found) if found.is_dir() => {}
            // The host made something else of it: its choice stays.
            Some(_) => return Ok(()),
            None => {
                fs::create_dir(to).with_context(doing)?;
                take_over(from, to, &metadata).with_context(doing)?;
            }
        }
        return children(from, to, existing, written);
    }
    if there.is_some_and(|found| existing == Existing::Keep || found.is_dir()) {
        return Ok(());
    }
    let beside = beside(to);
    make(from, &beside, &metadata)
        .and_then(|()| take_over(from, &beside, &metadata))
        .with_context(doing)?;
    written.push(to.to_owned());
    Ok(())
}

fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".burin-new-");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

fn make(from: &Path, to: &Path, metadata: &Metadata) -> Result<()> {
    if fs::symlink_metadata(to).is_ok() {
        // Left by a boot that was cut short.
        fs::remove_file(to)?;
    }
    let kind = metadata.file_type();
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
    } else if kind.is_file() {
        let mut source = fs::File::open(from)?;
        std::io::copy(&mut source, &mut fs::File::create_new(to)?)?;
    } else {
        let kind = SFlag::from_bits_truncate(metadata.mode()) & SFlag::S_IFMT;
        mknod(to, kind, Mode::empty(), metadata.rdev())?;
    }
    Ok(())
}

fn take_over(from: &Path, to: &Path, metadata: &Metadata) -> Result<()> {
    std::os::unix::fs::lchown(to, Some(metadata.uid()), Some(metadata.gid()))?;
    if metadata.file_type().is_symlink() {
        return Ok(());
    }
    fs::set_permissions(to, fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
    attributes(from, to)?;
    let seconds = metadata.mtime();
    let time = rustix::fs::Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(rustix::fs::CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

/// Capabilities and labels. A file system without attributes (tmpfs of an old kernel) is no error.
fn attributes(from: &Path, to: &Path) -> Result<()> {
    // Asked for its length first: most files have none, and most lists are short.
    let nothing: &mut [u8] = &mut [];
    let length = match rustix::fs::llistxattr(from, nothing) {
        Ok(0) | Err(rustix::io::Errno::OPNOTSUPP) => return Ok(()),
        Ok(length) => length,
        Err(err) => return Err(err.into()),
    };
    let mut names = vec![0u8; length];
    let length = rustix::fs::llistxattr(from, names.as_mut_slice())?;
    for name in names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        // Overlay's own records describe where a file lies in the store.
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        let name = std::ffi::OsStr::from_bytes(name);
        let mut value = vec![0u8; 64 * 1024];
        let length = rustix::fs::lgetxattr(from, name, value.as_mut_slice())?;
        match rustix::fs::lsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(err) => return Err(err.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_copied_with_modes_and_links() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("from"), root.path().join("to"));
        fs::create_dir_all(from.join("lib/x")).unwrap();
        fs::write(from.join("lib/x/key"), "secret").unwrap();
        fs::set_permissions(from.join("lib/x/key"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("x/key", from.join("lib/link")).unwrap();
        tree(&from, &to, Existing::Keep).unwrap();
        assert_eq!(fs::read(to.join("lib/link")).unwrap(), b"secret");
        let mode = fs::metadata(to.join("lib/x/key")).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o640);
    }

    #[test]
    fn the_hosts_own_files_stay_unless_told() {
        for (existing, want) in [(Existing::Keep, "host"), (Existing::Replace, "image")] {
            let root = tempfile::tempdir().unwrap();
            let (from, to) = (root.path().join("from"), root.path().join("to"));
            fs::create_dir_all(&from).unwrap();
            fs::create_dir_all(&to).unwrap();
            fs::write(from.join("a"), "image").unwrap();
            fs::write(to.join("a"), "host").unwrap();
            fs::write(to.join("b"), "host").unwrap();
            tree(&from, &to, existing).unwrap();
            assert_eq!(fs::read_to_string(to.join("a")).unwrap(), want);
            assert_eq!(fs::read_to_string(to.join("b")).unwrap(), "host");
        }
    }

    #[test]
    fn a_copy_that_was_cut_short_is_done_again() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("from"), root.path().join("to"));
        fs::create_dir_all(&from).unwrap();
        fs::create_dir_all(&to).unwrap();
        fs::write(from.join("a"), "whole").unwrap();
        fs::write(to.join(".burin-new-a"), "ha").unwrap();
        tree(&from, &to, Existing::Keep).unwrap();
        assert_eq!(fs::read_to_string(to.join("a")).unwrap(), "whole");
        assert_eq!(fs::read_dir(&to).unwrap().count(), 1);
    }
}
