//! FAT without the kernel: formats an ESP, reads the installer's partition out of a boot medium.

use std::io::{self, Read, Seek, SeekFrom, Write};

use anyhow::{Context, Result, ensure};
use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions, ReadWriteSeek};

/// Bytes of a cluster: small enough that 256 MiB are already FAT32, large enough for 1 GiB.
const CLUSTER: u32 = 4096;
/// FAT32 needs this many clusters (Microsoft FAT specification 1.03, page 14): firmware decides by
/// the count alone.
const LEAST_CLUSTERS: u64 = 65_525;

/// Formats a device as FAT32.
///
/// # Errors
/// When it is too small for FAT32, or cannot be written.
pub fn format(
    device: &mut impl ReadWriteSeek,
    sector: u32,
    label: [u8; 11],
    id: u32,
) -> Result<()> {
    let doing = "formatting the EFI system partition";
    let size = device.seek(SeekFrom::End(0)).context(doing)?;
    ensure!(
        size / u64::from(CLUSTER) > LEAST_CLUSTERS + 600,
        "{doing}: {size} bytes are too few for FAT32"
    );
    let sectors = u32::try_from(size / u64::from(sector)).context(doing)?;
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat32)
        .bytes_per_sector(u16::try_from(sector).context(doing)?)
        .bytes_per_cluster(CLUSTER)
        .total_sectors(sectors)
        .volume_id(id)
        .volume_label(label);
    device.seek(SeekFrom::Start(0)).context(doing)?;
    fatfs::format_volume(device, options).context(doing)
}

/// Whether there is a readable FAT with this folder in its root: a format that was cut short has
/// none, and is done again.
pub fn has_folder(mut device: impl ReadWriteSeek, name: &str) -> bool {
    // The library insists on being given the device at its start.
    device.rewind().is_ok()
        && FileSystem::new(device, FsOptions::new())
            .is_ok_and(|fs| fs.root_dir().open_dir(name).is_ok())
}

/// A FAT file system that is only read.
pub struct Volume<T: Read + Seek> {
    fs: FileSystem<Part<T>>,
}

impl<T: Read + Seek> std::fmt::Debug for Volume<T> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Volume").finish_non_exhaustive()
    }
}

impl<T: Read + Seek> Volume<T> {
    /// Opens the file system at `offset` bytes of `device`, `length` bytes long.
    ///
    /// # Errors
    /// When there is no FAT.
    pub fn open(device: T, offset: u64, length: u64) -> Result<Self> {
        let part = Part {
            device,
            offset,
            length,
            at: 0,
        };
        let fs = FileSystem::new(part, FsOptions::new())
            .with_context(|| format!("opening the FAT at byte {offset}"))?;
        Ok(Self { fs })
    }

    /// Copies one file into `out`, at most `limit` bytes; returns how many.
    ///
    /// # Errors
    /// When it is missing, longer or unreadable, or `out` fails.
    pub fn copy(&self, path: &str, limit: u64, out: &mut impl Write) -> Result<u64> {
        let doing = || format!("reading {path} of the boot medium");
        let file = self.fs.root_dir().open_file(path).with_context(doing)?;
        let mut bounded = file.take(limit + 1);
        let copied = io::copy(&mut bounded, out).with_context(doing)?;
        ensure!(copied <= limit, "{}: longer than {limit} bytes", doing());
        Ok(copied)
    }

    /// Reads one file of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Volume::copy`].
    pub fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.copy(path, limit, &mut bytes)?;
        Ok(bytes)
    }
}

/// A range of a device. Writes are refused: the library asks for the trait, reading needs none.
#[derive(Debug)]
struct Part<T> {
    device: T,
    offset: u64,
    length: u64,
    at: u64,
}

impl<T: Read + Seek> Read for Part<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let from = self.offset.checked_add(self.at);
        let from = from.ok_or(io::ErrorKind::InvalidInput)?;
        self.device.seek(SeekFrom::Start(from))?;
        let count = self.device.read(&mut buffer[..most])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl<T> Seek for Part<T> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl<T> Write for Part<T> {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    const MIB: u64 = 1 << 20;

    fn formatted(sector: u32) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(300 * MIB).unwrap();
        format(&mut file, sector, *b"BURIN-ESP  ", 0x1234_5678).unwrap();
        file
    }

    #[test]
    fn both_sector_sizes_become_fat32_and_hold_files() {
        for sector in [512, 4096] {
            let file = formatted(sector);
            assert!(!has_folder(file.try_clone().unwrap(), "EFI"));
            {
                file.try_clone().unwrap().rewind().unwrap();
                let fs = FileSystem::new(file.try_clone().unwrap(), FsOptions::new()).unwrap();
                assert_eq!(fs.fat_type(), FatType::Fat32);
                assert_eq!(fs.volume_label(), "BURIN-ESP");
                let folder = fs.root_dir().create_dir("EFI").unwrap();
                folder
                    .create_file("x")
                    .unwrap()
                    .write_all(b"content")
                    .unwrap();
            }
            assert!(has_folder(file.try_clone().unwrap(), "EFI"));
            let volume = Volume::open(file, 0, 300 * MIB).unwrap();
            assert_eq!(volume.read("EFI/x", 7).unwrap(), b"content");
            assert!(volume.read("EFI/x", 6).is_err(), "longer than its limit");
            assert!(volume.read("EFI/y", 6).is_err(), "missing");
        }
    }

    #[test]
    fn a_device_too_small_for_fat32_is_refused() {
        let mut small = tempfile::tempfile().unwrap();
        small.set_len(64 * MIB).unwrap();
        let err = format(&mut small, 512, *b"BURIN-ESP  ", 1).unwrap_err();
        assert!(format!("{err:#}").contains("too few"), "{err:#}");
    }

    #[test]
    fn what_is_no_fat_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(MIB).unwrap();
        assert!(Volume::open(file, 4096, 8192).is_err());
    }
}
