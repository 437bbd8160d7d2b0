//! Files on the boot partition. FAT has no journal and no atomic rename: a file is written once,
//! under a name of its own, synced, and read back from the disk before anything names it.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::fs::{Advice, fadvise};

use super::file::{self, Mode};

/// Writes a file unless it is there with these bytes, and reads it back from the disk.
///
/// # Errors
/// When the partition is full, or does not give back what was written.
pub fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    if holds(path, bytes).is_ok_and(|same| same) {
        return Ok(());
    }
    let folder = path.parent().context("a boot file lies in a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    file::replace(path, bytes, Mode::Public)?;
    ensure!(
        holds(path, bytes)?,
        "{} does not read back as it was written: the disk does not keep what is written",
        path.display()
    );
    Ok(())
}

/// Whether a file has exactly these bytes, read from the disk and not from memory.
///
/// # Errors
/// When it cannot be read.
pub fn holds(path: &Path, bytes: &[u8]) -> Result<bool> {
    let doing = || format!("reading back {}", path.display());
    let open = File::open(path).with_context(doing)?;
    fadvise(&open, 0, None, Advice::DontNeed).with_context(doing)?;
    let found = file::read(path, bytes.len().saturating_add(1)).unwrap_or_default();
    Ok(found == bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_written_again() {
        let esp = tempfile::tempdir().unwrap();
        let path = esp.path().join("burin/x.linux");
        assert!(holds(&path, b"kernel").is_err(), "not there");
        put(&path, b"kernel").unwrap();
        for damage in ["kernfl", "kerne", "kernel and more"] {
            std::fs::write(&path, damage).unwrap();
            assert!(!holds(&path, b"kernel").unwrap(), "{damage}");
            put(&path, b"kernel").unwrap();
            assert!(holds(&path, b"kernel").unwrap());
        }
    }
}
