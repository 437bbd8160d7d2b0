//! The kernel calls that have no safe wrapper. The one module with `unsafe`.
#![expect(
    unsafe_code,
    reason = "ioctls of block devices, inodes and consoles have no safe wrapper"
)]

use std::fs::File;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use nix::libc;

mod raw {
    use nix::libc;

    // linux/fs.h
    nix::ioctl_none!(blkrrpart, 0x12, 95);
    nix::ioctl_none_bad!(blkflsbuf, nix::request_code_none!(0x12, 97));
    nix::ioctl_read!(blkgetsize64, 0x12, 114, libc::size_t);
    nix::ioctl_read_bad!(blksszget, nix::request_code_none!(0x12, 104), libc::c_int);
    nix::ioctl_write_ptr_bad!(blkdiscard, nix::request_code_none!(0x12, 119), [u64; 2]);
    nix::ioctl_write_ptr_bad!(blkpg, nix::request_code_none!(0x12, 105), super::BlkpgArg);
    nix::ioctl_read!(fs_getflags, b'f', 1, libc::c_long);
    nix::ioctl_write_ptr!(fs_setflags, b'f', 2, libc::c_long);
    // linux/kd.h
    nix::ioctl_write_ptr_bad!(kdfontop, 0x4B72, super::FontOp);
    nix::ioctl_write_ptr_bad!(pio_unimap, 0x4B67, super::UnimapDesc);
    nix::ioctl_write_ptr_bad!(pio_unimapclr, 0x4B68, super::UnimapInit);
}

/// `struct blkpg_ioctl_arg` of linux/blkpg.h.
#[repr(C)]
#[derive(Debug)]
struct BlkpgArg {
    op: libc::c_int,
    flags: libc::c_int,
    datalen: libc::c_int,
    data: *mut BlkpgPartition,
}

/// `struct blkpg_partition` of linux/blkpg.h: start and length in bytes.
#[repr(C)]
#[derive(Debug)]
struct BlkpgPartition {
    start: libc::c_longlong,
    length: libc::c_longlong,
    number: libc::c_int,
    devname: [u8; 64],
    volname: [u8; 64],
}

/// `struct console_font_op` of linux/kd.h.
#[repr(C)]
#[derive(Debug)]
struct FontOp {
    op: libc::c_uint,
    flags: libc::c_uint,
    width: libc::c_uint,
    height: libc::c_uint,
    charcount: libc::c_uint,
    data: *const u8,
}

/// `struct unipair` of linux/kd.h: a code point and the glyph that shows it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unipair {
    pub unicode: u16,
    pub glyph: u16,
}

/// `struct unimapdesc` of linux/kd.h.
#[repr(C)]
#[derive(Debug)]
struct UnimapDesc {
    count: u16,
    entries: *const Unipair,
}

/// `struct unimapinit` of linux/kd.h.
#[repr(C)]
#[derive(Debug)]
struct UnimapInit {
    hashsize: u16,
    hashstep: u16,
    hashlevel: u16,
}

/// Bytes of a block device.
///
/// # Errors
/// When `device` is no block device.
pub fn size(device: &File) -> Result<u64> {
    let mut bytes: libc::size_t = 0;
    // SAFETY: BLKGETSIZE64 writes one u64, which is what size_t is on every target of burin.
    unsafe { raw::blkgetsize64(device.as_raw_fd(), &raw mut bytes) }
        .context("asking for the size of a block device")?;
    Ok(bytes as u64)
}

/// Bytes of a logical sector.
///
/// # Errors
/// When `device` is no block device.
pub fn sector(device: &File) -> Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: BLKSSZGET writes one int.
    unsafe { raw::blksszget(device.as_raw_fd(), &raw mut bytes) }
        .context("asking for the sector size of a block device")?;
    u64::try_from(bytes).context("reading the sector size of a block device")
}

/// Has the kernel read the partition table anew. It answers EBUSY while a partition is in use.
///
/// # Errors
/// When the kernel refuses.
pub fn reread_partitions(device: &File) -> nix::Result<()> {
    // SAFETY: BLKRRPART takes no argument.
    unsafe { raw::blkrrpart(device.as_raw_fd()) }.map(drop)
}

/// Drops what the kernel has cached of a device, so that a read-back reads the medium.
///
/// # Errors
/// When `device` is no block device, or not root.
pub fn drop_cache(device: &File) -> Result<()> {
    // SAFETY: BLKFLSBUF takes no argument.
    unsafe { raw::blkflsbuf(device.as_raw_fd()) }
        .map(drop)
        .context("dropping the cache of a block device")
}

/// Tells the kernel of one partition, in bytes, without its reading the table.
///
/// # Errors
/// `EBUSY` when it overlaps one that is known.
pub fn add_partition(device: &File, number: u32, start: u64, length: u64) -> Result<()> {
    const BLKPG_ADD_PARTITION: libc::c_int = 1;
    blkpg(device, BLKPG_ADD_PARTITION, number, start, length)
        .with_context(|| format!("telling the kernel of partition {number}"))
}

/// Has the kernel forget one partition.
///
/// # Errors
/// `EBUSY` while it is in use, `ENXIO` when there is none.
pub fn remove_partition(device: &File, number: u32) -> Result<()> {
    const BLKPG_DEL_PARTITION: libc::c_int = 2;
    blkpg(device, BLKPG_DEL_PARTITION, number, 0, 0)
        .with_context(|| format!("having the kernel forget partition {number}"))
}

fn blkpg(device: &File, op: libc::c_int, number: u32, start: u64, length: u64) -> Result<()> {
    let mut partition = BlkpgPartition {
        start: start.try_into()?,
        length: length.try_into()?,
        number: number.try_into()?,
        devname: [0; 64],
        volname: [0; 64],
    };
    let arg = BlkpgArg {
        op,
        flags: 0,
        datalen: libc::c_int::try_from(size_of::<BlkpgPartition>())?,
        data: &raw mut partition,
    };
    // SAFETY: both structures have the kernel's layout and live across the call.
    unsafe { raw::blkpg(device.as_raw_fd(), &raw const arg) }?;
    Ok(())
}

/// The inode attribute that forbids every change: efivarfs sets it on most variables.
const FS_IMMUTABLE_FL: libc::c_long = 0x10;

/// Whether an inode refuses changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Immutable {
    Yes,
    No,
}

/// Sets or clears the immutable attribute of an open file.
///
/// # Errors
/// When the file system has no attributes, or not root.
pub fn set_immutable(file: &File, wanted: Immutable) -> Result<()> {
    let mut flags: libc::c_long = 0;
    // SAFETY: FS_IOC_GETFLAGS is declared with long but writes an int; `flags` holds both.
    unsafe { raw::fs_getflags(file.as_raw_fd(), &raw mut flags) }
        .context("reading the attributes of a file")?;
    let changed = match wanted {
        Immutable::Yes => flags | FS_IMMUTABLE_FL,
        Immutable::No => flags & !FS_IMMUTABLE_FL,
    };
    if changed == flags {
        return Ok(());
    }
    // SAFETY: FS_IOC_SETFLAGS reads an int out of the long it is given (little-endian targets).
    unsafe { raw::fs_setflags(file.as_raw_fd(), &raw const changed) }
        .context("changing the attributes of a file")?;
    Ok(())
}

/// Glyphs of a console font as the kernel takes them: 32 rows of `ceil(width / 8)` bytes per glyph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glyphs {
    pub width: u32,
    pub height: u32,
    pub count: u32,
    pub bytes: Vec<u8>,
}

/// Sets the font of a virtual terminal and which code point is shown by which glyph.
///
/// # Errors
/// When the glyphs are too few bytes, or the terminal takes no such font (a text-mode VGA console
/// takes only 8 or 9 columns).
pub fn set_font(terminal: &File, glyphs: &Glyphs, map: &[Unipair]) -> Result<()> {
    const KD_FONT_OP_SET: libc::c_uint = 0;
    let needed = glyphs.width.div_ceil(8) as usize * 32 * glyphs.count as usize;
    anyhow::ensure!(
        glyphs.bytes.len() >= needed,
        "setting the console font: {} bytes of glyphs where {needed} are needed",
        glyphs.bytes.len()
    );
    let op = FontOp {
        op: KD_FONT_OP_SET,
        flags: 0,
        width: glyphs.width,
        height: glyphs.height,
        charcount: glyphs.count,
        data: glyphs.bytes.as_ptr(),
    };
    // SAFETY: the kernel reads `needed` bytes from `data`, checked above.
    unsafe { raw::kdfontop(terminal.as_raw_fd(), &raw const op) }
        .context("setting the console font")?;
    let none = UnimapInit {
        hashsize: 0,
        hashstep: 0,
        hashlevel: 0,
    };
    // SAFETY: PIO_UNIMAPCLR reads this structure (and ignores it since Linux 4.6).
    unsafe { raw::pio_unimapclr(terminal.as_raw_fd(), &raw const none) }
        .context("clearing the console's map of code points")?;
    let all = UnimapDesc {
        count: u16::try_from(map.len()).context("setting the console's map of code points")?,
        entries: map.as_ptr(),
    };
    // SAFETY: the kernel reads `count` pairs from `entries`.
    unsafe { raw::pio_unimap(terminal.as_raw_fd(), &raw const all) }
        .context("setting the console's map of code points")?;
    Ok(())
}
