//! Disks: the partition table with its read-back, and partitions found by GUID without udev.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use burin_core::layout::{Layout, MARK_AT, Partition, mark};
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition_types::{EFI, LINUX_FS, Type};
use gpt::{DiskDevice, GptConfig};
use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::ioctl;
use super::uevent::{Heard, Listener};

/// Bytes cleared at both ends of the disk and of every partition: all that core looks at for
/// signatures, so that what is wiped is also recognised as empty.
pub const WIPED: u64 = 2 << 20;

/// The names of burin's partitions, in the order of their numbers.
pub const NAMES: [&str; 3] = ["burin-esp", "burin-system", "burin-data"];

/// A partition as the table has it. Offsets in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub number: u32,
    /// Lower case with hyphens.
    pub guid: String,
    pub name: String,
    pub start: u64,
    pub size: u64,
}

/// Opens a disk or partition for writing. The kernel refuses while it is mounted or part of an
/// assembled device.
///
/// # Errors
/// `EBUSY` when it is in use.
pub fn open_alone(device: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags((OFlag::O_EXCL | OFlag::O_CLOEXEC).bits())
        .open(device)
        .with_context(|| format!("opening {} for writing", device.display()))
}

/// Overwrites the places of old signatures with zeros: both ends of the disk and of each partition
/// to come.
///
/// # Errors
/// When the disk cannot be written.
pub fn wipe(disk: &mut (impl Write + Seek), size: u64, layout: &Layout) -> Result<()> {
    for (start, length) in places(size, layout) {
        zero(disk, start, length)
            .with_context(|| format!("wiping {length} bytes at {start} of {}", layout.disk))?;
    }
    Ok(())
}

fn places(size: u64, layout: &Layout) -> Vec<(u64, u64)> {
    let ends = |start: u64, size: u64| {
        let length = WIPED.min(size);
        [(start, length), (start + size - length, length)]
    };
    let partitions = [&layout.esp, &layout.system, &layout.data];
    let mut all: Vec<_> = partitions
        .iter()
        .flat_map(|one| ends(one.start, one.size))
        .collect();
    // The table goes last: until then the disk looks as it did.
    all.extend(ends(0, size));
    all
}

fn zero(disk: &mut (impl Write + Seek), start: u64, length: u64) -> std::io::Result<()> {
    let zeros = vec![0u8; 1 << 16];
    disk.seek(SeekFrom::Start(start))?;
    let mut left = length;
    while left > 0 {
        let part = usize::try_from(left)
            .unwrap_or(zeros.len())
            .min(zeros.len());
        disk.write_all(&zeros[..part])?;
        left -= part as u64;
    }
    Ok(())
}

/// Marks a wiped disk as one that this installation is about to partition. Formatting the EFI
/// system partition, after the other two, takes the mark away.
///
/// # Errors
/// When the disk cannot be written.
pub fn write_mark(disk: &mut (impl Write + Seek), layout: &Layout) -> Result<()> {
    disk.seek(SeekFrom::Start(MARK_AT))
        .and_then(|_| disk.write_all(&mark(&layout.disk_guid)))
        .with_context(|| format!("marking {} as being partitioned", layout.disk))
}

/// Writes protective MBR, GPT and its copy.
///
/// # Errors
/// When the layout does not fit the sector size or the disk cannot be written.
pub fn write_table<D: DiskDevice>(mut disk: D, layout: &Layout) -> Result<D> {
    let doing = || format!("writing the partition table of {}", layout.disk);
    let block = block(layout.sector)?;
    let size = disk.seek(SeekFrom::End(0)).with_context(doing)?;
    let blocks = size / u64::from(layout.sector);
    ProtectiveMBR::with_lb_size(u32::try_from(blocks - 1).unwrap_or(u32::MAX))
        .overwrite_lba0(&mut disk)
        .with_context(doing)?;
    let guid = layout.disk_guid.parse().with_context(doing)?;
    let mut table = GptConfig::new()
        .writable(true)
        .logical_block_size(block)
        .create_from_device(disk, Some(guid))
        .with_context(doing)?;
    let mut partitions = BTreeMap::new();
    let parts = [&layout.esp, &layout.system, &layout.data];
    for ((partition, name), kind) in parts.into_iter().zip(NAMES).zip([EFI, LINUX_FS, LINUX_FS]) {
        let made = made(partition, name, kind, u64::from(layout.sector)).with_context(doing)?;
        partitions.insert(partition.number, made);
    }
    table.update_partitions(partitions).with_context(doing)?;
    table.write().with_context(doing)
}

fn made(
    partition: &Partition,
    name: &str,
    kind: Type,
    sector: u64,
) -> Result<gpt::partition::Partition> {
    ensure!(
        partition.start.is_multiple_of(sector)
            && partition.size.is_multiple_of(sector)
            && partition.size > 0,
        "partition {} does not lie on sectors of {sector} bytes",
        partition.number
    );
    let first = partition.start / sector;
    Ok(gpt::partition::Partition {
        part_type_guid: kind,
        part_guid: partition.guid.parse().context("reading its GUID")?,
        first_lba: first,
        last_lba: first + partition.size / sector - 1,
        flags: 0,
        name: name.to_owned(),
    })
}

fn block(sector: u32) -> Result<LogicalBlockSize> {
    match sector {
        512 => Ok(LogicalBlockSize::Lb512),
        4096 => Ok(LogicalBlockSize::Lb4096),
        other => bail!("sectors of {other} bytes are not supported; 512 and 4096 are"),
    }
}

/// Reads the partition table: the disk's GUID and its partitions by number. Both copies must agree
/// in their checksums.
///
/// # Errors
/// When there is no valid table.
pub fn read_table<D: DiskDevice>(disk: D, sector: u32) -> Result<(String, Vec<Entry>)> {
    let block = block(sector)?;
    let table = GptConfig::new()
        .writable(false)
        .only_valid_headers(true)
        .logical_block_size(block)
        .open_from_device(disk)
        .context("reading the partition table")?;
    let mut entries = Vec::new();
    for (number, one) in table.partitions().iter().filter(|(_, one)| one.is_used()) {
        entries.push(Entry {
            number: *number,
            guid: one.part_guid.to_string(),
            name: one.name.clone(),
            start: one
                .bytes_start(block)
                .context("reading the partition table")?,
            size: one
                .bytes_len(block)
                .context("reading the partition table")?,
        });
    }
    Ok((table.guid().to_string(), entries))
}

/// What the table of a layout must read back as.
pub fn expected(layout: &Layout) -> Vec<Entry> {
    [&layout.esp, &layout.system, &layout.data]
        .into_iter()
        .zip(NAMES)
        .map(|(one, name)| Entry {
            number: one.number,
            guid: one.guid.clone(),
            name: name.to_owned(),
            start: one.start,
            size: one.size,
        })
        .collect()
}

/// Whether the disk carries exactly this layout. A table that cannot be read is another one.
pub fn carries<D: DiskDevice>(disk: D, layout: &Layout) -> bool {
    read_table(disk, layout.sector)
        .is_ok_and(|(guid, entries)| guid == layout.disk_guid && entries == expected(layout))
}

/// Has the kernel take the new table: all of it, or, where one partition of the disk is in use,
/// partition by partition.
///
/// # Errors
/// When the kernel refuses both.
pub fn tell_kernel(disk: &File, layout: &Layout) -> Result<()> {
    match ioctl::reread_partitions(disk) {
        Ok(()) => return Ok(()),
        // EINVAL: the device has no partition scan, as a loop device made without it.
        Err(Errno::EBUSY | Errno::EINVAL) => {}
        Err(err) => return Err(err).context("having the kernel read the partition table"),
    }
    for one in [&layout.esp, &layout.system, &layout.data] {
        if let Err(err) = ioctl::remove_partition(disk, one.number) {
            tracing::debug!(error = format!("{err:#}"), "no old partition to forget");
        }
        ioctl::add_partition(disk, one.number, one.start, one.size)?;
    }
    Ok(())
}

/// Finds the node of a partition by its GUID, under `root` (`/` on a machine). The kernel names it in
/// the event text of the partition (`PARTUUID`, newer than 6.12); before that the tables are read.
pub fn find_partition(root: &Path, guid: &str) -> Option<PathBuf> {
    let class = root.join("sys/class/block");
    let names = names(&class);
    let wanted = format!("PARTUUID={guid}");
    let told = names.iter().find(|name| {
        fs::read_to_string(class.join(name).join("uevent"))
            .is_ok_and(|text| text.lines().any(|line| line.eq_ignore_ascii_case(&wanted)))
    });
    let name = match told {
        Some(name) => name.clone(),
        None => names
            .iter()
            .filter(|name| !class.join(name).join("partition").exists())
            .find_map(|disk| by_table(root, disk, guid))?,
    };
    Some(root.join("dev").join(name))
}

/// The GUID of a partition, lower case, from its folder in sysfs: the kernel's word (`PARTUUID` in
/// its event text, which Debian's 6.12 does not have), else what the disk's table says.
///
/// # Errors
/// When neither tells it.
pub fn guid_of(root: &Path, partition: &Path) -> Result<String> {
    let doing = || format!("finding the GUID of {}", partition.display());
    let event = fs::read_to_string(partition.join("uevent")).unwrap_or_default();
    if let Some(guid) = event.lines().find_map(|it| it.strip_prefix("PARTUUID=")) {
        return Ok(guid.to_ascii_lowercase());
    }
    let real = partition.canonicalize().with_context(doing)?;
    let disk = real.parent().with_context(doing)?;
    let text = |path: PathBuf| -> Result<u32> {
        let text = fs::read_to_string(path).with_context(doing)?;
        text.trim().parse().with_context(doing)
    };
    let number = text(real.join("partition"))?;
    let sector = text(disk.join("queue/logical_block_size"))?;
    let node = root.join("dev").join(disk.file_name().with_context(doing)?);
    let device = File::open(&node).with_context(doing)?;
    let (_, entries) = read_table(ReadOnly(device), sector).with_context(doing)?;
    let entry = entries.into_iter().find(|entry| entry.number == number);
    entry.map(|entry| entry.guid).with_context(doing)
}

/// Looks for the GUID in the table of one disk; the kernel's name of that partition.
fn by_table(root: &Path, disk: &str, guid: &str) -> Option<String> {
    let folder = root.join("sys/class/block").join(disk);
    let sector = fs::read_to_string(folder.join("queue/logical_block_size")).ok()?;
    let device = File::open(root.join("dev").join(disk)).ok()?;
    let (_, entries) = read_table(ReadOnly(device), sector.trim().parse().ok()?).ok()?;
    let entry = entries
        .iter()
        .find(|entry| entry.guid.eq_ignore_ascii_case(guid))?;
    partition_name(&folder, entry.number)
}

/// The kernel's name of partition `number` of the disk at `folder` of sysfs.
fn partition_name(folder: &Path, number: u32) -> Option<String> {
    names(folder).into_iter().find(|name| {
        fs::read_to_string(folder.join(name).join("partition"))
            .is_ok_and(|text| text.trim() == number.to_string())
    })
}

/// Waits until the kernel shows a partition and its node exists.
///
/// # Errors
/// When it is not there at the deadline.
pub fn wait_for_partition(root: &Path, guid: &str, deadline: Instant) -> Result<PathBuf> {
    // Subscribed before the first look, so that it cannot appear between the two.
    let listener = Listener::open()?;
    loop {
        if let Some(node) = find_partition(root, guid).filter(|node| node.exists()) {
            return Ok(node);
        }
        if listener.next(deadline)? == Heard::Nothing {
            bail!("waiting for the partition {guid}: the kernel shows none with this GUID");
        }
    }
}

/// A device that is only read, in a type the GPT reader accepts.
#[derive(Debug)]
pub struct ReadOnly(pub File);

impl Read for ReadOnly {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for ReadOnly {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

impl Write for ReadOnly {
    fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .map(|entries| {
            entries
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect()
        })
        .unwrap_or_default()
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
