//! Mounts: guards that unmount when dropped, and the early mounts of PID 1.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, umount2};

/// Restrictions of a mount, beside the file system's own options.
pub const QUIET: MsFlags = MsFlags::MS_NOSUID
    .union(MsFlags::MS_NODEV)
    .union(MsFlags::MS_NOEXEC);

/// What to mount where.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Device, or the name of a virtual file system.
    pub device: &'a Path,
    /// `ext4`, `vfat`, `tmpfs` ...
    pub kind: &'a str,
    pub flags: MsFlags,
    /// Options of the file system, comma-separated; empty for none.
    pub options: &'a str,
}

/// Mounts onto `at`, which is made when missing.
///
/// # Errors
/// When the folder cannot be made or the kernel refuses; `EBUSY` means it is mounted already.
pub fn mount(source: Source<'_>, at: &Path) -> Result<()> {
    let doing = || {
        format!(
            "mounting {} ({}) on {}",
            source.device.display(),
            source.kind,
            at.display()
        )
    };
    std::fs::create_dir_all(at).with_context(doing)?;
    nix::mount::mount(
        Some(source.device),
        at,
        Some(source.kind),
        source.flags,
        (!source.options.is_empty()).then_some(source.options),
    )
    .with_context(doing)
}

/// A mount that ends with this value.
#[derive(Debug)]
pub struct Mounted {
    at: PathBuf,
}

impl Mounted {
    /// Mounts, see [`mount`].
    ///
    /// # Errors
    /// As [`mount`].
    pub fn new(source: Source<'_>, at: &Path) -> Result<Self> {
        mount(source, at)?;
        Ok(Self { at: at.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Leaves it mounted for the rest of this boot.
    pub fn keep(self) -> PathBuf {
        let at = self.at.clone();
        std::mem::forget(self);
        at
    }

    /// Unmounts now, with the error that a drop could only log.
    ///
    /// # Errors
    /// When files on it are still open.
    pub fn end(self) -> Result<()> {
        let at = self.keep();
        unmount(&at)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(err) = unmount(&self.at) {
            tracing::warn!(error = format!("{err:#}"), "a mount stays behind");
        }
    }
}

/// Unmounts; nothing mounted there is fine.
///
/// # Errors
/// When files on it are still open.
pub fn unmount(at: &Path) -> Result<()> {
    match umount2(at, MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) | Err(Errno::EINVAL) => Ok(()),
        Err(err) => Err(err).with_context(|| format!("unmounting {}", at.display())),
    }
}

/// What is mounted at a path: source and kind, out of the text of `/proc/self/mounts`. Paths with
/// spaces are escaped there and never match; burin mounts at none.
pub fn mounted_at<'a>(mounts: &'a str, at: &str) -> Option<(&'a str, &'a str)> {
    // The last line wins: a later mount hides an earlier one.
    mounts.lines().rev().find_map(|line| {
        let mut words = line.split(' ');
        let source = words.next()?;
        (words.next()? == at).then_some(())?;
        Some((source, words.next()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mount_on_a_path_counts() {
        let text = "proc /proc proc rw 0 0\n/dev/sda1 /run/burin/esp vfat ro 0 0\n/dev/sdb1 /run/burin/esp vfat rw 0 0\n";
        assert_eq!(
            mounted_at(text, "/run/burin/esp"),
            Some(("/dev/sdb1", "vfat"))
        );
        assert_eq!(mounted_at(text, "/run/burin"), None);
    }

    #[test]
    fn a_mount_that_fails_names_device_kind_and_place() {
        let at = tempfile::tempdir().unwrap();
        let source = Source {
            device: Path::new("/dev/none"),
            kind: "no-such-fs",
            flags: QUIET,
            options: "",
        };
        let text = format!("{:#}", Mounted::new(source, at.path()).unwrap_err());
        assert!(text.contains("/dev/none (no-such-fs)"), "{text}");
    }
}
