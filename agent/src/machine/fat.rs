//! FAT without the kernel: formats an ESP and sees whether one was begun.

use std::io::SeekFrom;

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Seek as _, Write as _};

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
        }
    }

    /// The mark of an unfinished installation lies here until the ESP is made.
    #[test]
    fn formatting_takes_the_mark_away() {
        use burin_core::layout::{MARK_BYTES, mark};
        use std::io::Read as _;
        let operation = "0f3c1a52-7a10-4a52-9c5f-5d2f7cf0a001";
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(300 * MIB).unwrap();
        file.write_all(&mark(operation)).unwrap();
        format(&mut file, 512, *b"BURIN-ESP  ", 1).unwrap();
        let mut block = vec![0; MARK_BYTES];
        file.rewind().unwrap();
        file.read_exact(&mut block).unwrap();
        assert!(!block.windows(6).any(|it| it == b"burin:"));
    }

    #[test]
    fn a_device_too_small_for_fat32_is_refused() {
        let mut small = tempfile::tempfile().unwrap();
        small.set_len(64 * MIB).unwrap();
        let err = format(&mut small, 512, *b"BURIN-ESP  ", 1).unwrap_err();
        assert!(format!("{err:#}").contains("too few"), "{err:#}");
    }

    #[test]
    fn what_is_no_fat_has_no_folder() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(MIB).unwrap();
        assert!(!has_folder(file, "EFI"));
    }
}
