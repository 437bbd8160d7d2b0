//! What lies on a disk, from its first and last bytes: partition tables and signatures of file
//! systems, RAID and encryption. Source of the places: util-linux, libblkid/src/superblocks.

use serde::{Deserialize, Serialize};

use super::unfinished::unfinished;
use crate::display::counted;

/// Bytes of a disk's start that are looked at: VMFS keeps its signature at 1 MiB, ZFS its labels
/// up to 256 KiB.
pub const HEAD_BYTES: usize = (1 << 20) + 4096;
/// Bytes of a disk's end that are looked at: md 0.90 within the last 128 KiB, ZFS's labels 2 and 3 in
/// the last 512 KiB, firmware RAID in the last sectors.
pub const TAIL_BYTES: usize = 512 << 10;

/// A partition of a GPT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GptEntry {
    pub number: u32,
    /// Lower case with hyphens.
    pub kind: String,
    pub guid: String,
    /// Bytes.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    pub name: String,
}

/// What was recognised.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signatures {
    /// `gpt`, `mbr`, or empty.
    pub table: String,
    /// Partitions of the GPT.
    pub partitions: Vec<GptEntry>,
    /// Everything else that was found, for example `ext4`, `LUKS`, or `unknown data`.
    pub found: Vec<String>,
    /// The installation that was about to make its file systems here when it ended. It holds no
    /// identity and nobody's data, also when its table is not whole.
    pub unfinished: Option<String>,
}

/// The names of burin's partitions, in their order.
const NAMES: [&str; 3] = ["burin-esp", "burin-system", "burin-data"];

pub(super) fn is_name(name: &str) -> bool {
    NAMES.contains(&name)
}

impl Signatures {
    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty() && self.found.is_empty()
    }

    /// Whether it carries exactly burin's partitions, by name: made by an installation, whether it
    /// was finished or not. Signatures of an earlier life between table and first partition do not
    /// change that.
    pub fn is_burin(&self) -> bool {
        let names: Vec<&str> = self.partitions.iter().map(|p| p.name.as_str()).collect();
        names == NAMES
    }

    /// For people: `gpt (3 partitions)`, `ext4`, `empty`.
    pub fn describe(&self) -> String {
        let mut parts = Vec::new();
        if self.table == "gpt" {
            let names: Vec<&str> = self
                .partitions
                .iter()
                .map(|p| p.name.as_str())
                .filter(|n| !n.is_empty())
                .collect();
            let names = if names.is_empty() {
                String::new()
            } else {
                format!(": {}", names.join(", "))
            };
            parts.push(format!(
                "gpt with {}{names}",
                counted(self.partitions.len(), "partition", "partitions")
            ));
        } else if !self.table.is_empty() {
            parts.push(self.table.clone());
        }
        parts.extend(self.found.iter().cloned());
        if parts.is_empty() {
            "empty".to_owned()
        } else {
            parts.join(", ")
        }
    }
}

/// Signatures at a fixed place: name, offset, bytes.
const FIXED: [(&str, usize, &[u8]); 33] = [
    ("LUKS", 0, b"LUKS\xba\xbe"),
    ("xfs", 0, b"XFSB"),
    ("squashfs", 0, b"hsqs"),
    ("NTFS", 3, b"NTFS    "),
    ("BitLocker", 3, b"-FVE-FS-"),
    ("exFAT", 3, b"EXFAT   "),
    ("ReFS", 3, b"ReFS\0\0\0\0"),
    ("FAT", 0x36, b"FAT1"),
    ("FAT", 0x52, b"FAT32   "),
    ("APFS", 32, b"NXSB"),
    ("HFS+", 1024, b"H+\0\x04"),
    ("HFS+", 1024, b"HX\0\x05"),
    ("ext", 1080, b"\x53\xef"),
    ("f2fs", 1024, b"\x10\x20\xf5\xf2"),
    ("EROFS", 1024, b"\xe2\xe1\xf5\xe0"),
    ("swap", 4086, b"SWAPSPACE2"),
    ("swap", 4086, b"SWAP-SPACE"),
    ("swap", 65526, b"SWAPSPACE2"),
    ("hibernation image", 4086, b"S1SUSPEND"),
    ("btrfs", 65_600, b"_BHRfS_M"),
    ("ISO 9660", 32_769, b"CD001"),
    ("UDF", 32_769, b"BEA01"),
    ("reiserfs", 65_588, b"ReIsEr"),
    ("jfs", 32_768, b"JFS1"),
    (
        "bcache",
        4120,
        b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81",
    ),
    (
        "bcachefs",
        4120,
        b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef",
    ),
    ("Linux RAID member", 0, b"\xfc\x4e\x2b\xa9"),
    ("Linux RAID member", 4096, b"\xfc\x4e\x2b\xa9"),
    ("VMFS", 1 << 20, b"\x0d\xd0\x01\xc0"),
    ("DRBD", 4096, b"DRBD"),
    ("Ceph OSD", 0, b"bluestore block device"),
    ("Stratis", 528, b"!Stra0tis\x86\xff\x02^\x41rh"),
    ("Apple partition map", 512, b"PM\0\0"),
];

/// Recognises what lies on a disk.
///
/// `head` are the first [`HEAD_BYTES`] (fewer on a smaller disk), `tail` the last [`TAIL_BYTES`].
/// Bytes that nothing explains count as `unknown data`: a disk with plain encryption looks so.
pub fn signatures(head: &[u8], tail: &[u8], sector: u32) -> Signatures {
    let mut out = Signatures::default();
    let sector = if sector == 4096 { 4096 } else { 512 };
    let table = gpt(head, sector);
    let ours = table.as_ref().map(|(disk, all)| (disk.as_str(), &all[..]));
    out.unfinished = unfinished(head, tail, sector, ours);
    if let Some((_, partitions)) = table {
        "gpt".clone_into(&mut out.table);
        out.partitions = partitions;
    } else if gpt_behind(tail, sector) {
        // Only the copy at the end is left: the start was overwritten or wiped.
        out.found.push("end of a gpt".to_owned());
    }
    let at = |offset: usize, bytes: &[u8]| head.get(offset..offset + bytes.len()) == Some(bytes);
    for (name, offset, bytes) in FIXED {
        if at(offset, bytes) && !out.found.iter().any(|f| f == name) {
            out.found.push(name.to_owned());
        }
    }
    // LVM's label lies in one of the first four sectors.
    if (0..4).any(|i| at(i * 512, b"LABELONE")) {
        out.found.push("LVM".to_owned());
    }
    if has_zfs(head) || has_zfs(tail) {
        out.found.push("ZFS".to_owned());
    }
    out.found.extend(raid_behind(tail));
    let is_fat = out
        .found
        .iter()
        .any(|f| matches!(f.as_str(), "FAT" | "NTFS" | "exFAT" | "BitLocker"));
    if out.table.is_empty() && !is_fat && at(510, b"\x55\xaa") && has_mbr_partition(head) {
        "mbr".clone_into(&mut out.table);
    }
    let blank = |bytes: &[u8]| bytes.iter().all(|b| *b == 0) || bytes.iter().all(|b| *b == 0xff);
    if out.is_empty() && !(blank(head) && blank(tail)) {
        out.found.push("unknown data".to_owned());
    }
    out
}

fn has_mbr_partition(head: &[u8]) -> bool {
    // Four entries of 16 bytes at 446; the type is byte 4 of an entry.
    (0..4).any(|i| head.get(446 + i * 16 + 4).is_some_and(|kind| *kind != 0))
}

/// ZFS keeps four labels of 256 KiB, two at each end; the ring of uberblocks is their second half,
/// one every KiB at least (OpenZFS, vdev_impl.h). Written in the pool's byte order.
fn has_zfs(bytes: &[u8]) -> bool {
    const MAGIC: u64 = 0x00ba_b10c;
    bytes.chunks_exact(1024).any(|block| {
        let first: Option<[u8; 8]> = block.get(..8).and_then(|b| b.try_into().ok());
        first.is_some_and(|b| u64::from_le_bytes(b) == MAGIC || u64::from_be_bytes(b) == MAGIC)
    })
}

/// RAID metadata at the end of a disk.
fn raid_behind(tail: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let behind = |from_end: usize, bytes: &[u8]| {
        tail.len()
            .checked_sub(from_end)
            .and_then(|at| tail.get(at..at + bytes.len()))
            == Some(bytes)
    };
    // md 0.90: 64 KiB aligned, 64 to 128 KiB from the end. md 1.0: 8 to 12 KiB from the end, 4 KiB
    // aligned. Sizes of disks are multiples of 512, so steps of 512 cover both.
    let md = (8 * 1024..=128 * 1024)
        .step_by(512)
        .any(|from| behind(from, b"\xfc\x4e\x2b\xa9"));
    if md {
        found.push("Linux RAID member".to_owned());
    }
    if behind(1024, b"Intel Raid ISM Cfg Sig. ") {
        found.push("Intel RAID member".to_owned());
    }
    if behind(512, b"\xde\x11\xde\x11") || behind(512, b"\x11\xde\x11\xde") {
        found.push("DDF RAID member".to_owned());
    }
    found
}

fn gpt_behind(tail: &[u8], sector: usize) -> bool {
    tail.len()
        .checked_sub(sector)
        .and_then(|at| tail.get(at..at + 8))
        == Some(b"EFI PART")
}

/// The disk's GUID and the partitions of the primary GPT (UEFI 2.10, 5.3). Checksums are not looked at: a damaged table is
/// somebody's table as well.
fn gpt(head: &[u8], sector: usize) -> Option<(String, Vec<GptEntry>)> {
    let header = head.get(sector..sector + 92)?;
    if !header.starts_with(b"EFI PART") {
        return None;
    }
    let table = usize::try_from(le64(header, 72)?)
        .ok()?
        .checked_mul(sector)?;
    let count = le32(header, 80)?.min(128);
    let length = usize::try_from(le32(header, 84)?).ok()?;
    let disk = guid(&header[56..72]);
    let mut out = Vec::new();
    if !(128..=4096).contains(&length) {
        return Some((disk, out));
    }
    for number in 0..count {
        let at = table.checked_add(usize::try_from(number).ok()? * length)?;
        let Some(entry) = head.get(at..at.checked_add(128)?) else {
            break;
        };
        if entry[..16] == [0; 16] {
            continue;
        }
        let (first, last) = (le64(entry, 32)?, le64(entry, 40)?);
        let bytes = |blocks: u64| blocks.saturating_mul(sector as u64);
        out.push(GptEntry {
            number: number + 1,
            kind: guid(&entry[..16]),
            guid: guid(&entry[16..32]),
            start: bytes(first),
            size: bytes(last.saturating_sub(first).saturating_add(1)),
            name: entry_name(entry).unwrap_or_default(),
        });
    }
    Some((disk, out))
}

/// The name in an entry of a GPT.
pub(super) fn entry_name(entry: &[u8]) -> Option<String> {
    let units: Vec<u16> = entry
        .get(56..128)?
        .chunks_exact(2)
        .map(|c| u16::from_le_bytes([c[0], c[1]]))
        .take_while(|c| *c != 0)
        .collect();
    let name = String::from_utf16_lossy(&units);
    let shown = |c: char| if c.is_control() { '?' } else { c };
    Some(name.chars().map(shown).collect())
}

/// The first three fields of a GUID are little-endian on disk.
pub(super) fn guid(b: &[u8]) -> String {
    let hex =
        |order: &[usize]| -> String { order.iter().map(|i| format!("{:02x}", b[*i])).collect() };
    format!(
        "{}-{}-{}-{}-{}",
        hex(&[3, 2, 1, 0]),
        hex(&[5, 4]),
        hex(&[7, 6]),
        hex(&[8, 9]),
        hex(&[10, 11, 12, 13, 14, 15])
    )
}

fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
