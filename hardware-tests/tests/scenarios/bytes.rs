//! What lies on the disk of a machine that is off.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use burin_hardware_tests::{
    process,
    sparse::{Extent, stored},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A block of ext4, bytes: the least that a file's content is split into.
pub(crate) const BLOCK: usize = 4096;
/// Read at once, bytes; a multiple of [`BLOCK`].
const CHUNK: usize = 4 << 20;
/// The EFI system partition begins here on every burin disk, bytes.
const ESP: u64 = 1 << 20;
/// Bytes at either end of the disk that hold the partition table and its copy.
const TABLE: u64 = 34 * 512;

/// Digest of every byte that the raw file `disk` holds, holes left out, with their places.
pub(crate) fn digest(disk: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    chunks(disk, |at, bytes| {
        // What was filled with zeros reads as a hole does.
        if bytes.iter().any(|&byte| byte != 0) {
            hash.update(at.to_le_bytes());
            hash.update(bytes);
        }
    })?;
    Ok(hex::encode(hash.finalize()))
}

/// The partition table and its copy at the end of the raw file `disk`.
pub(crate) fn partition_tables(disk: &Path) -> Result<Vec<u8>> {
    let file = File::open(disk).context("opening the disk")?;
    let size = file.metadata().context("asking for the disk's size")?.len();
    let mut both = vec![0; 2 * TABLE as usize];
    let (first, last) = both.split_at_mut(TABLE as usize);
    file.read_exact_at(first, 0).context("reading the table")?;
    file.read_exact_at(last, size - TABLE)
        .context("reading the table's copy")?;
    Ok(both)
}

/// The text of the file `name` on the EFI system partition of the raw file `disk`.
pub(crate) fn on_esp(disk: &Path, name: &str) -> Result<String> {
    let mut command = Command::new("mtype");
    command
        .args(["-i", &format!("{}@@{ESP}", disk.display())])
        .arg(format!("::/{name}"));
    process::output(&mut command)
}

/// Flips one bit in the middle of the file `name` on the EFI system partition of the raw file `disk`; done
/// twice, nothing has changed.
pub(crate) fn damage_on_esp(disk: &Path, name: &str) -> Result<()> {
    let image = format!("{}@@{ESP}", disk.display());
    let folder = tempfile::tempdir().context("making a folder")?;
    let copy = folder.path().join("copy");
    let name = format!("::/{name}");
    let mut read = Command::new("mcopy");
    process::output(read.args(["-i", &image, &name]).arg(&copy))?;
    let mut bytes = fs::read(&copy).context("reading a file of the ESP")?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("the file is empty")? ^= 1;
    fs::write(&copy, bytes).context("damaging a file")?;
    let mut write = Command::new("mcopy");
    process::output(write.args(["-o", "-i", &image]).arg(&copy).arg(&name))?;
    Ok(())
}

/// Names of the boot entries on the EFI system partition of the raw file `disk`.
pub(crate) fn boot_entries(disk: &Path) -> Result<Vec<String>> {
    let mut command = Command::new("mdir");
    command
        .args(["-b", "-i", &format!("{}@@{ESP}", disk.display())])
        .arg("::/loader/entries");
    let said = process::output(&mut command)?;
    let name = |line: &str| line.rsplit('/').next().unwrap_or(line).trim().to_owned();
    Ok(said.lines().map(name).collect())
}

/// Flips one bit in the first block of the file `path` on the system partition of the raw file `disk`.
pub(crate) fn damage_file(disk: &Path, path: &str) -> Result<()> {
    let table = process::output(Command::new("sfdisk").arg("--json").arg(disk))?;
    let table: Value = serde_json::from_str(&table).context("understanding sfdisk")?;
    let table = &table["partitiontable"];
    let partitions = table["partitions"].as_array();
    let system = partitions
        .into_iter()
        .flatten()
        .find(|it| it["name"] == "burin-system");
    let start = system.and_then(|it| it["start"].as_u64());
    let sector = table["sectorsize"].as_u64();
    let start = start.zip(sector).map(|(start, sector)| start * sector);
    let start = start.with_context(|| format!("no burin-system in {table}"))?;
    let mut command = Command::new("debugfs");
    command.args(["-R", &format!("bmap {path} 0")]);
    command.arg(format!("{}?offset={start}", disk.display()));
    let said = process::output(&mut command)?;
    let block: u64 = said
        .trim()
        .parse()
        .with_context(|| format!("{path} has no first block: {said:?}"))?;
    let file = File::options().read(true).write(true).open(disk);
    let file = file.context("opening the disk to damage it")?;
    let place = start + block * BLOCK as u64 + 1100;
    let mut byte = [0];
    file.read_exact_at(&mut byte, place)
        .context("reading the disk")?;
    byte[0] ^= 1;
    file.write_all_at(&byte, place).context("damaging the disk")
}

/// Flips one bit in every copy of `block` on the raw file `disk`; how many there were.
///
/// # Errors
/// When there is none: then nothing would be damaged.
pub(crate) fn damage(disk: &Path, block: &[u8]) -> Result<usize> {
    assert_eq!(block.len(), BLOCK);
    let mut places = Vec::new();
    chunks(disk, |at, bytes| {
        let copies = bytes.chunks(BLOCK).enumerate();
        let found = copies.filter(|(_, here)| *here == block);
        places.extend(found.map(|(index, _)| at + (index * BLOCK) as u64));
    })?;
    if places.is_empty() {
        bail!("the block is nowhere on {}", disk.display());
    }
    let file = File::options().write(true).open(disk);
    let file = file.context("opening the disk to damage it")?;
    for place in &places {
        let flipped = block[100] ^ 1;
        file.write_all_at(&[flipped], place + 100)
            .context("damaging the disk")?;
    }
    Ok(places.len())
}

/// Goes through all that is stored, hole by hole.
fn chunks(disk: &Path, mut each: impl FnMut(u64, &[u8])) -> Result<()> {
    let file = File::open(disk).with_context(|| format!("opening {}", disk.display()))?;
    let mut buffer = vec![0; CHUNK];
    for Extent { start, length } in stored(disk)? {
        let mut at = start;
        while at < start + length {
            let want = usize::try_from(start + length - at).map_or(CHUNK, |left| left.min(CHUNK));
            file.read_exact_at(&mut buffer[..want], at)
                .context("reading the disk")?;
            each(at, &buffer[..want]);
            at += want as u64;
        }
    }
    Ok(())
}

/// The raw file of the first disk in `folder`.
pub(crate) fn main_disk(folder: &Path) -> PathBuf {
    folder.join("disk.raw")
}

#[test]
fn a_flipped_bit_changes_the_digest_and_a_missing_block_is_an_error() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let disk = main_disk(folder.path());
    let file = File::create(&disk)?;
    file.set_len(64 << 20)?;
    let empty = digest(&disk)?;
    let block = [7; BLOCK];
    assert!(damage(&disk, &block).is_err());
    file.write_all_at(&block, 9 * BLOCK as u64)?;
    file.sync_all()?;
    let before = digest(&disk)?;
    assert_ne!(empty, before);
    assert_eq!(damage(&disk, &block)?, 1);
    assert_ne!(before, digest(&disk)?);
    Ok(())
}
