//! The EFI system partition as bytes: a FAT file system whose every byte follows from its files.
use std::collections::BTreeMap;
use std::io::{Cursor, Read, Seek, Write};

use anyhow::{Context, Result, ensure};
use fatfs::{
    Date, DateTime, Dir, FatType, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider,
};

const SECTOR: u64 = 512;
const CLUSTER: u32 = 2048;
/// FAT16 needs at least this many clusters; a driver that finds fewer reads the table as FAT12.
const CLUSTERS_AT_LEAST: u64 = 4200;
/// Label of the volume, padded to 11 characters as the format wants it.
const LABEL: [u8; 11] = *b"BURIN-BOOT ";
/// Fixed serial number: the ISO is found by its content, not by this number.
const SERIAL: u32 = 0x4255_5249;

/// FAT cannot say a time before 1980; every file has this one.
#[derive(Debug)]
struct OneTime;

const FIRST_DAY: Date = Date {
    year: 1980,
    month: 1,
    day: 1,
};

impl TimeProvider for OneTime {
    fn get_current_date(&self) -> Date {
        FIRST_DAY
    }
    fn get_current_date_time(&self) -> DateTime {
        DateTime {
            date: FIRST_DAY,
            time: Time {
                hour: 0,
                min: 0,
                sec: 0,
                millis: 0,
            },
        }
    }
}

static ONE_TIME: OneTime = OneTime;

/// Packs `files` (path to bytes) into a FAT image that is just large enough.
///
/// # Errors
/// A name that FAT cannot hold, or more bytes than FAT16 can address (2 GiB).
pub fn make(files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>> {
    let clusters: u64 = files
        .values()
        .map(|bytes| (bytes.len() as u64).div_ceil(u64::from(CLUSTER)) + 1)
        .sum();
    // Folders, long names and a little air: firmware tools warn about a full file system.
    let clusters = (clusters + 64 + files.len() as u64 * 2).max(CLUSTERS_AT_LEAST);
    let tables = 2 * (clusters * 2).div_ceil(SECTOR);
    let sectors = clusters * u64::from(CLUSTER) / SECTOR + tables + 64;
    let sectors = u32::try_from(sectors).context("the boot partition is too large for FAT16")?;
    let mut disk = Cursor::new(vec![0; usize::try_from(u64::from(sectors) * SECTOR)?]);
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat16)
        .bytes_per_cluster(CLUSTER)
        .total_sectors(sectors)
        .volume_id(SERIAL)
        .volume_label(LABEL);
    fatfs::format_volume(&mut disk, options).context("formatting the boot partition")?;
    let options = FsOptions::new()
        .time_provider(&ONE_TIME)
        .update_accessed_date(false);
    let volume = FileSystem::new(&mut disk, options).context("opening the new boot partition")?;
    for (path, bytes) in files {
        write(&volume.root_dir(), path, bytes)
            .with_context(|| format!("writing {path} to the boot partition"))?;
    }
    volume.unmount().context("closing the boot partition")?;
    Ok(disk.into_inner())
}

fn write<T: Read + Write + Seek>(root: &Dir<'_, T>, path: &str, bytes: &[u8]) -> Result<()> {
    for (at, _) in path.match_indices('/') {
        root.create_dir(&path[..at])?;
    }
    let mut file = root.create_file(path)?;
    file.truncate()?;
    file.write_all(bytes)?;
    file.flush()?;
    Ok(())
}

/// Most folders that are read; ours has five. A damaged table can make a folder hold itself.
const FOLDERS_AT_MOST: usize = 64;

/// Reads every file of a FAT file system of `length` bytes: path to bytes.
///
/// # Errors
/// The bytes are no FAT file system, or its tables run in a circle or outside of it.
pub fn read<T: Read + Write + Seek>(disk: T, length: u64) -> Result<BTreeMap<String, Vec<u8>>> {
    let options = FsOptions::new().update_accessed_date(false);
    let volume = FileSystem::new(disk, options).context("opening the boot partition")?;
    let mut files = BTreeMap::new();
    let mut folders = vec![(String::new(), volume.root_dir())];
    let (mut seen, mut left) = (0, length);
    while let Some((prefix, folder)) = folders.pop() {
        seen += 1;
        ensure!(
            seen <= FOLDERS_AT_MOST,
            "more than {FOLDERS_AT_MOST} folders: the file system is damaged"
        );
        // An entry has 32 bytes, so a folder of a sound file system has no more than these.
        for entry in folder.iter().take(usize::try_from(length / 32)?) {
            let entry =
                entry.with_context(|| format!("reading folder /{prefix} of the boot partition"))?;
            let name = entry.file_name();
            if name == "." || name == ".." {
                continue;
            }
            let path = format!("{prefix}{name}");
            if entry.is_dir() {
                folders.push((format!("{path}/"), entry.to_dir()));
                continue;
            }
            let mut bytes = Vec::new();
            let read = entry.to_file().take(left + 1).read_to_end(&mut bytes);
            read.with_context(|| format!("reading {path} of the boot partition"))?;
            let rest = left.checked_sub(bytes.len() as u64);
            left = rest.with_context(|| {
                format!("{path} is larger than the boot partition: it is damaged")
            })?;
            files.insert(path, bytes);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn files() -> BTreeMap<String, Vec<u8>> {
        let large: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
        [
            ("EFI/BOOT/BOOTX64.EFI", b"MZ".to_vec()),
            ("loader/entries/install.conf", b"title x\n".to_vec()),
            ("burin/linux", large),
            ("burin/manifest.json", Vec::new()),
        ]
        .into_iter()
        .map(|(path, bytes)| (path.to_owned(), bytes))
        .collect()
    }

    #[test]
    fn what_was_written_reads_back_and_is_the_same_twice() {
        let image = make(&files()).unwrap();
        assert_eq!(
            read(Cursor::new(image.clone()), image.len() as u64).unwrap(),
            files()
        );
        assert_eq!(make(&files()).unwrap(), image);
    }

    #[test]
    fn it_is_fat16_with_the_type_that_its_cluster_count_says() {
        let image = make(&files()).unwrap();
        let volume = FileSystem::new(Cursor::new(image), FsOptions::new()).unwrap();
        assert_eq!(volume.fat_type(), FatType::Fat16);
        assert_eq!(volume.volume_label(), "BURIN-BOOT");
    }

    #[test]
    fn bytes_that_are_no_fat_are_refused() {
        assert!(read(Cursor::new(vec![0; 4096]), 4096).is_err());
    }

    proptest! {
        // Each case makes a file system of 9 MiB.
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn damaged_tables_are_errors_or_other_files_never_a_panic(
            at in 0usize..40_000, value in any::<u8>(), cut in 0usize..3,
        ) {
            let small: BTreeMap<_, _> =
                files().into_iter().filter(|(_, bytes)| bytes.len() < 100).collect();
            let mut image = make(&small).unwrap();
            image[at] = value;
            image.truncate(image.len() >> cut);
            let length = image.len() as u64;
            if let Ok(found) = read(Cursor::new(image), length) {
                prop_assert!(found.values().map(|bytes| bytes.len() as u64).sum::<u64>() <= length);
            }
        }
    }
}
