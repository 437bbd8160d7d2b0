//! FAT without the kernel: formats an ESP and sees whether one was begun.

use std::fs::File;
use std::io::SeekFrom;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context, Result, ensure};
use burin_core::fat::{BOOT_BYTES, DIRTY, Geometry, STATE_AT};
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

/// What a FAT was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Clean,
    /// It was not unmounted, is sound, and is marked clean again.
    Settled,
}

/// Takes the sign of a power cut off a FAT32 that is not mounted, after every chain was followed:
/// the second table becomes like the first, which the kernel writes first, and free clusters are
/// counted anew.
///
/// # Errors
/// When it is no FAT32, is damaged (it is left as it is), or cannot be written.
pub fn settle(device: &mut File) -> Result<State> {
    let doing = "looking at the FAT of the boot partition";
    let mut boot = [0; BOOT_BYTES];
    device.read_exact_at(&mut boot, 0).context(doing)?;
    let geometry = Geometry::parse(&boot).context(doing)?;
    if !geometry.dirty {
        return Ok(State::Clean);
    }
    burin_core::fat::check(device, &geometry).context("the boot partition was not unmounted")?;
    settle_tables(device, &geometry).context("marking the boot partition clean")?;
    // Last, when all else is on the disk.
    for start in [Some(0), geometry.backup].into_iter().flatten() {
        let mut state = [0];
        let at = start + STATE_AT;
        device
            .read_exact_at(&mut state, at)
            .and_then(|()| device.write_all_at(&[state[0] & !DIRTY], at))
            .context("marking the boot partition clean")?;
    }
    device
        .sync_all()
        .context("marking the boot partition clean")?;
    Ok(State::Settled)
}

fn settle_tables(device: &File, geometry: &Geometry) -> std::io::Result<()> {
    let length = usize::try_from(geometry.fat_size).unwrap_or(usize::MAX);
    let mut first = vec![0; length];
    device.read_exact_at(&mut first, geometry.fat)?;
    for copy in 1..geometry.copies {
        device.write_all_at(&first, geometry.fat + copy * geometry.fat_size)?;
    }
    // Free clusters and where to look for one: not known.
    device.write_all_at(&[0xff; 8], geometry.info + 488)?;
    device.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
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

    /// As a power cut leaves it: the bit is set, and the second table lags behind.
    fn cut() -> (tempfile::NamedTempFile, Geometry) {
        let mut named = tempfile::NamedTempFile::new().unwrap();
        let file = named.as_file_mut();
        file.set_len(300 * MIB).unwrap();
        format(file, 512, *b"BURIN-ESP  ", 1).unwrap();
        // Others' tools fill it, so that it is not only what the library here takes for a FAT.
        let linux = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(linux.path(), [7; 50_000]).unwrap();
        let linux = linux.path().to_str().unwrap();
        mtools(named.path(), &["mmd", "::EFI"]);
        mtools(
            named.path(),
            &["mcopy", linux, "::EFI/a-kernel-with-a-long-name"],
        );
        let file = named.as_file();
        let mut boot = [0; BOOT_BYTES];
        file.read_exact_at(&mut boot, 0).unwrap();
        let geometry = Geometry::parse(&boot).unwrap();
        assert!(!geometry.dirty);
        for start in [0, geometry.backup.unwrap()] {
            file.write_all_at(&[DIRTY], start + STATE_AT).unwrap();
        }
        let second = geometry.fat + geometry.fat_size;
        file.write_all_at(&[0; 4], second + 4 * 5).unwrap();
        (named, geometry)
    }

    fn mtools(image: &std::path::Path, words: &[&str]) {
        let ran = std::process::Command::new(words[0])
            .arg("-i")
            .arg(image)
            .args(&words[1..])
            .status()
            .expect("scripts/prepare installs mtools");
        assert!(ran.success(), "{words:?}");
    }

    /// What Debian's own checker says, as the witness.
    fn fsck(path: &std::path::Path) -> (bool, String) {
        let ran = std::process::Command::new("/usr/sbin/fsck.fat")
            .args(["-n", "-v"])
            .arg(path)
            .output()
            .expect("scripts/prepare installs dosfstools");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        (ran.status.success(), said)
    }

    #[test]
    fn a_sound_fat_is_clean_again_after_a_power_cut() {
        let (named, _) = cut();
        let (fine, said) = fsck(named.path());
        assert!(!fine && said.contains("Dirty bit"), "{said}");
        let mut file = named.reopen().unwrap();
        assert_eq!(settle(&mut file).unwrap(), State::Settled);
        let (fine, said) = fsck(named.path());
        assert!(fine && !said.contains("Dirty bit"), "{said}");
        assert_eq!(settle(&mut file).unwrap(), State::Clean);
        assert!(has_folder(file, "EFI"));
    }

    #[test]
    fn a_damaged_fat_is_left_as_it_is_and_told() {
        let (named, geometry) = cut();
        let mut file = named.reopen().unwrap();
        // The folder's cluster follows the root's: both chains now end in the same place.
        file.write_all_at(&3u32.to_le_bytes(), geometry.fat + 4 * 2)
            .unwrap();
        let before = std::fs::read(named.path()).unwrap();
        let err = settle(&mut file).unwrap_err();
        assert!(format!("{err:#}").contains("crosses"), "{err:#}");
        assert!(before == std::fs::read(named.path()).unwrap());
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
