//! Files: replaced atomically, read with a bound.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Who may read a file that is written: access mode bits as of chmod(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// 0644: anybody on the host.
    Public,
    /// 0600: root only.
    Private,
}

impl Mode {
    fn bits(self) -> u32 {
        match self {
            Self::Public => 0o644,
            Self::Private => 0o600,
        }
    }
}

/// Replaces `path` by `bytes`: written beside, synced, renamed, folder synced. After a power cut the
/// old content is there or the new one, never a mixture.
///
/// # Errors
/// When the folder cannot be written. The old file is then untouched and nothing is left beside it.
pub fn replace(path: &Path, bytes: &[u8], mode: Mode) -> Result<()> {
    replace_with(path, mode, |out| out.write_all(bytes))
}

/// As [`replace`], with the content written by `fill`.
///
/// # Errors
/// As [`replace`], and whatever `fill` returns.
pub fn replace_with(
    path: &Path,
    mode: Mode,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<()> {
    let folder = path
        .parent()
        .with_context(|| format!("writing {}: it has no folder", path.display()))?;
    let beside = beside(path)?;
    let written = write_new(&beside, mode, fill).and_then(|()| fs::rename(&beside, path));
    if let Err(err) = written {
        // The half-written file is worthless; that it cannot be removed adds nothing to the cause.
        drop(fs::remove_file(&beside));
        return Err(err).with_context(|| format!("writing {}", path.display()));
    }
    sync_folder(folder)
}

/// Puts the file `new` into the place of `old` in the same folder. After a power cut one of the two is
/// there, whole. Returns what was `old`, for [`erase`].
///
/// # Errors
/// When either is missing or the folder cannot be written.
pub fn supersede(new: &Path, old: &Path) -> Result<File> {
    let doing = || {
        format!(
            "putting {} into the place of {}",
            new.display(),
            old.display()
        )
    };
    let before = OpenOptions::new()
        .write(true)
        .open(old)
        .with_context(doing)?;
    fs::rename(new, old).with_context(doing)?;
    sync_folder(old.parent().with_context(doing)?)?;
    Ok(before)
}

/// Overwrites a file that has no name any more. What a disk's own wear levelling keeps of it is out of
/// reach.
///
/// # Errors
/// When it cannot be written.
pub fn erase(mut file: File) -> io::Result<()> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    file.write_all(&vec![0; length])?;
    file.sync_all()
}

fn write_new(
    path: &Path,
    mode: Mode,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode.bits())
        .open(path)?;
    // A file left by an earlier crash may have other bits. FAT has none to set: it answers EPERM.
    match file.set_permissions(fs::Permissions::from_mode(mode.bits())) {
        Err(err) if err.kind() != io::ErrorKind::PermissionDenied => return Err(err),
        _ => {}
    }
    fill(&mut file)?;
    file.sync_all()
}

fn beside(path: &Path) -> Result<PathBuf> {
    let name = path
        .file_name()
        .with_context(|| format!("writing {}: it has no file name", path.display()))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".new");
    Ok(path.with_file_name(hidden))
}

/// Makes the entries of a folder durable.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("syncing folder {}", folder.display()))
}

/// Reads a file that may hold at most `limit` bytes.
///
/// # Errors
/// When it cannot be read or is longer.
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let doing = || format!("reading {}", path.display());
    let file = File::open(path).with_context(doing)?;
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most)
        .read_to_end(&mut bytes)
        .with_context(doing)?;
    if bytes.len() > limit {
        bail!("reading {}: longer than {limit} bytes", path.display());
    }
    Ok(bytes)
}

/// As [`read`], for text. Bytes that are no UTF-8 become U+FFFD: what the kernel and firmware say
/// about hardware is not always clean.
///
/// # Errors
/// As [`read`].
pub fn read_text(path: &Path, limit: usize) -> Result<String> {
    Ok(String::from_utf8_lossy(&read(path, limit)?).into_owned())
}

/// As [`read`], but nothing when there is no such file.
///
/// # Errors
/// As [`read`], save that the file is missing.
pub fn read_if_there(path: &Path, limit: usize) -> Result<Option<Vec<u8>>> {
    if path.exists() {
        read(path, limit).map(Some)
    } else {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_writer_leaves_the_old_file_and_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.json");
        replace(&path, b"old", Mode::Public).unwrap();
        let err = replace_with(&path, Mode::Public, |out| {
            out.write_all(b"half of the n")?;
            Err(io::Error::other("disk full"))
        })
        .unwrap_err();
        assert!(format!("{err:#}").contains("disk full"), "{err:#}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_new_file_replaces_the_old_one_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        fs::write(&path, "public").unwrap();
        replace(&path, b"secret", Mode::Private).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"secret");
        let bits = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(bits, 0o600);
    }

    #[test]
    fn a_file_longer_than_its_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        fs::write(&path, [7u8; 10]).unwrap();
        assert_eq!(read(&path, 10).unwrap().len(), 10);
        assert!(read(&path, 9).is_err());
        assert_eq!(read_if_there(&folder.path().join("none"), 9).unwrap(), None);
    }
}
