//! The ISO 9660 file around the boot partition: written by xorriso, read back by ourselves.
use std::fs::{self, File};
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::packages::run;

/// Volume label of the ISO 9660 file system.
pub const LABEL: &str = "BURIN";
/// Sector of optical media, in bytes.
const SECTOR: u64 = 2048;
/// First byte of a bootable entry, and the platform number of EFI, in an El Torito catalog.
const BOOTABLE: u8 = 0x88;
const EFI: u8 = 0xef;
const README: &str = "This is the burin installer. Write this image as it is to a USB stick, or attach it as a\n\
    virtual DVD, and start the machine from it with UEFI firmware.\n\
    What it boots lies in the EFI system partition behind this file system.\n";

/// Who may read an ISO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// The one who makes it: a token in user-data lets hosts in.
    Owner,
    /// Whom the umask allows.
    Everybody,
}

/// Writes the ISO: a small ISO 9660 tree, `esp` as appended partition, both a GPT entry (USB
/// stick) and an El Torito image (DVD) that point at the same bytes.
///
/// # Errors
/// xorriso is missing or fails.
pub fn write(out: &Path, esp: &[u8], epoch: u64, readers: Readers) -> Result<()> {
    let folder = out
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let work = tempfile::Builder::new()
        .prefix(".burin-iso-")
        .tempdir_in(folder);
    let work = work.with_context(|| format!("making a folder in {}", folder.display()))?;
    let (tree, image, made) = (
        work.path().join("tree"),
        work.path().join("esp"),
        work.path().join("iso"),
    );
    fs::create_dir(&tree).context("making the tree of the ISO")?;
    fs::write(tree.join("README.TXT"), README).context("writing README.TXT")?;
    fs::write(&image, esp).context("writing the boot partition")?;
    let mut xorriso = Command::new("xorriso");
    xorriso
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .env("TZ", "UTC");
    xorriso.args([
        "-no_rc", "-as", "mkisofs", "-quiet", "-V", LABEL, "-uid", "0", "-gid", "0",
    ]);
    xorriso.args(["-dir-mode", "0555", "-file-mode", "0444", "-r"]);
    xorriso.args(["--set_all_file_dates", &format!("={epoch}")]);
    xorriso.args(["-append_partition", "2", "0xef"]).arg(&image);
    xorriso.args([
        "-appended_part_as_gpt",
        "-partition_offset",
        "16",
        "-iso_mbr_part_type",
        "0x83",
    ]);
    xorriso.args([
        "-e",
        "--interval:appended_partition_2:all::",
        "-no-emul-boot",
        "-boot-load-size",
        "0",
    ]);
    xorriso.arg("-o").arg(&made).arg(&tree);
    run(&mut xorriso).context("writing the ISO (xorriso comes with the package xorriso)")?;
    if readers == Readers::Owner {
        // Nobody else could look into the folder where it lies until now.
        fs::set_permissions(&made, fs::Permissions::from_mode(0o600))
            .context("making the ISO its owner's alone")?;
    }
    fs::rename(&made, out).with_context(|| format!("moving the ISO to {}", out.display()))
}

/// Where the boot partition lies and how firmware is told about it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BootImage {
    /// First byte in the ISO.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
    /// Sector count in the El Torito catalog, in units of 512 bytes; 0 or 1 says "to the end".
    pub catalog_sectors: u16,
}

/// Reads the volume label.
///
/// # Errors
/// The file is no ISO 9660 image.
pub fn label(iso: &mut File) -> Result<String> {
    let bytes = iso.metadata().context("reading the file's size")?.len();
    ensure!(
        bytes >= 17 * SECTOR,
        "this is no ISO: it has {bytes} bytes, less than the head of an ISO 9660 image"
    );
    let sector = read_at(iso, 16 * SECTOR, SECTOR)?;
    ensure!(
        sector.starts_with(b"\x01CD001"),
        "this is no ISO: it has no head of an ISO 9660 image"
    );
    Ok(String::from_utf8_lossy(&sector[40..72])
        .trim_end()
        .to_owned())
}

/// Finds the boot partition by the partition table, and checks that the El Torito catalog
/// points at the same place: a stick and a DVD must start the same bytes.
///
/// # Errors
/// A table is missing, or the two disagree.
pub fn boot_image(iso: &mut File) -> Result<BootImage> {
    let (lba, catalog_sectors) = el_torito(iso)?;
    let block = gpt::disk::LogicalBlockSize::Lb512;
    let disk = gpt::GptConfig::new()
        .writable(false)
        .logical_block_size(block);
    let disk = disk
        .open_from_device(Box::new(&mut *iso))
        .context("reading the partition table")?;
    let esp = disk
        .partitions()
        .values()
        .find(|one| one.part_type_guid == gpt::partition_types::EFI);
    let esp = esp.context("the partition table names no EFI system partition")?;
    let offset = esp.bytes_start(block).context("the partition's start")?;
    let length = esp.bytes_len(block).context("the partition's length")?;
    ensure!(
        offset == u64::from(lba) * SECTOR,
        "the boot catalog points at byte {}, the partition table at {offset}",
        u64::from(lba) * SECTOR
    );
    // More than 32 MiB do not fit in the field; firmware then reads to the end of the medium.
    ensure!(
        catalog_sectors <= 1 || u64::from(catalog_sectors) * 512 >= length,
        "the boot catalog counts {catalog_sectors} sectors, the boot partition has {length} bytes: \
         firmware would read only a part of it"
    );
    Ok(BootImage {
        offset,
        length,
        catalog_sectors,
    })
}

/// The bytes of the boot partition.
///
/// # Errors
/// The ISO is shorter than its tables say.
pub fn read_boot_image(iso: &mut File, image: &BootImage) -> Result<Cursor<Vec<u8>>> {
    let size = iso.metadata().context("reading the ISO's size")?.len();
    ensure!(
        image
            .offset
            .checked_add(image.length)
            .is_some_and(|end| end <= size),
        "the ISO has {size} bytes, its boot partition ends at {}: the file was cut",
        image.offset.saturating_add(image.length)
    );
    Ok(Cursor::new(read_at(iso, image.offset, image.length)?))
}

/// Start (in sectors of 2048 bytes) and sector count of the EFI entry (El Torito 1.0, figure 3).
fn el_torito(iso: &mut File) -> Result<(u32, u16)> {
    let record = read_at(iso, 17 * SECTOR, SECTOR)?;
    ensure!(
        record.starts_with(b"\0CD001\x01EL TORITO"),
        "no El Torito boot record"
    );
    let at = u32::from_le_bytes([record[71], record[72], record[73], record[74]]);
    let catalog = read_at(iso, u64::from(at) * SECTOR, SECTOR)?;
    ensure!(
        catalog[0] == 1 && catalog[30..32] == [0x55, 0xaa],
        "the boot catalog is damaged"
    );
    let mut platform = catalog[1];
    for entry in catalog.chunks_exact(32).skip(1) {
        match entry[0] {
            // A section header says for which firmware the entries behind it are.
            0x90 | 0x91 => platform = entry[1],
            BOOTABLE if platform == EFI => {
                let sectors = u16::from_le_bytes([entry[6], entry[7]]);
                return Ok((
                    u32::from_le_bytes([entry[8], entry[9], entry[10], entry[11]]),
                    sectors,
                ));
            }
            BOOTABLE => {}
            _ => break,
        }
    }
    bail!("the boot catalog has no entry for EFI")
}

fn read_at(file: &mut File, offset: u64, length: u64) -> Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))
        .context("seeking in the ISO")?;
    let mut bytes = Vec::new();
    let read = file
        .take(length)
        .read_to_end(&mut bytes)
        .context("reading the ISO")?;
    ensure!(
        read as u64 == length,
        "the ISO ends before byte {}",
        offset + length
    );
    Ok(bytes)
}
