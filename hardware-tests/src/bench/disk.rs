//! A file system of its own on a loop device, so that what is written can be counted.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{output, run};

/// Bytes of the disk: room for the biggest image and its peer's copies.
const SIZE: u64 = 4 << 30;
/// `/sys/block/*/stat` counts in these, whatever the disk's own sectors are.
const SECTOR: u64 = 512;

/// A mounted ext4, made as the installer makes the system partition. Unmounted when dropped.
#[derive(Debug)]
pub(super) struct Disk {
    mount: PathBuf,
    device: PathBuf,
}

impl Disk {
    pub(super) fn make(folder: &Path, options: &[&str]) -> Result<Self> {
        let image = folder.join("disk.img");
        let mount = folder.join("disk");
        fs::create_dir_all(&mount).with_context(|| format!("making {}", mount.display()))?;
        let file = File::create(&image).with_context(|| format!("making {}", image.display()))?;
        file.set_len(SIZE)?;
        run(Command::new("mke2fs").arg("-q").args(options).arg(&image))?;
        let device = output(
            Command::new("losetup")
                .args(["--find", "--show"])
                .arg(&image),
        )?;
        let disk = Self {
            mount,
            device: PathBuf::from(device.trim()),
        };
        run(Command::new("mount").arg(&disk.device).arg(&disk.mount))?;
        Ok(disk)
    }

    pub(super) fn path(&self) -> &Path {
        &self.mount
    }

    /// Writes everything that is still in memory.
    pub(super) fn sync(&self) -> Result<()> {
        run(Command::new("sync").arg("-f").arg(&self.mount))
    }

    /// Bytes written to the block device so far.
    pub(super) fn written(&self) -> Result<u64> {
        let name = self.device.file_name().context("a device has a name")?;
        let path = Path::new("/sys/block").join(name).join("stat");
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let sectors = text
            .split_whitespace()
            .nth(6)
            .and_then(|n| n.parse::<u64>().ok());
        Ok(sectors.with_context(|| format!("no count of writes in {}", path.display()))? * SECTOR)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for (program, argument) in [("umount", &self.mount), ("losetup", &self.device)] {
            let mut command = Command::new(program);
            if program == "losetup" {
                command.arg("--detach");
            }
            if let Err(error) = run(command.arg(argument)) {
                tracing::warn!(%error, "clearing away {}", argument.display());
            }
        }
    }
}
