//! The mark of an installation that has not made its file systems yet. It lies where the EFI system
//! partition will start, from before the partition table is written until that partition is
//! formatted, which is after the other two. Identity and record come later still: a disk with the
//! mark of its own table holds neither, whatever a power cut has left of table and file systems.

use super::content::{GptEntry, guid, is_name};

/// Where the mark lies on the disk, in bytes: the start of the first partition.
pub const MARK_AT: u64 = 1 << 20;
/// Bytes that are written for it: a block of every disk.
pub const MARK_BYTES: usize = 4096;

const WORDS: &str = "burin: this disk is being partitioned by the installation ";
/// Bytes of a table's entries: 128 of 128 bytes.
const ENTRIES: usize = 128 * 128;

/// The block that marks the disk of `operation`, which is the GUID of its table.
#[must_use]
pub fn mark(operation: &str) -> Vec<u8> {
    let mut block = format!("{WORDS}{operation}\n").into_bytes();
    block.resize(MARK_BYTES, 0);
    block
}

/// The operation that has marked the disk, if all else that is in the way of an installation is that
/// operation's as well: its table (`disk` and `partitions`), or what a power cut has left of it on an
/// otherwise wiped disk. Anybody else's table, boot code or data makes the mark worth nothing.
///
/// `head` and `tail` as [`super::signatures`] takes them.
pub(super) fn unfinished(
    head: &[u8],
    tail: &[u8],
    sector: usize,
    table: Option<(&str, &[GptEntry])>,
) -> Option<String> {
    let at = usize::try_from(MARK_AT).ok()?;
    let block = head.get(at..at.checked_add(MARK_BYTES)?)?;
    let text = block.strip_prefix(WORDS.as_bytes())?;
    let operation = std::str::from_utf8(text.get(..36)?).ok()?;
    if block != mark(operation) {
        return None;
    }
    let whole = table.is_some_and(|(disk, entries)| {
        disk == operation && entries.len() == 3 && entries.iter().all(|it| is_name(&it.name))
    });
    // Behind a whole table file systems are being made, up to the end of the disk.
    let rest = whole || is_blank_but_for_the_copy(tail, sector, operation);
    let front = is_ours(head.get(..at)?, sector, operation);
    (front && rest).then(|| operation.to_owned())
}

/// Protective MBR, header and entries, each there or not yet, and nothing else.
fn is_ours(front: &[u8], sector: usize, operation: &str) -> bool {
    let part = |from: usize, length: usize| front.get(from..from + length).unwrap_or_default();
    is_protective(part(0, sector))
        && is_header(part(sector, sector), operation)
        && are_entries(part(2 * sector, ENTRIES))
        && is_zero(front.get(2 * sector + ENTRIES..).unwrap_or_default())
}

fn is_blank_but_for_the_copy(tail: &[u8], sector: usize, operation: &str) -> bool {
    let Some(header) = tail.len().checked_sub(sector) else {
        return false;
    };
    let Some(entries) = header.checked_sub(ENTRIES) else {
        return false;
    };
    is_zero(&tail[..entries])
        && are_entries(&tail[entries..header])
        && is_header(&tail[header..], operation)
}

/// One partition over the whole disk and no boot code (UEFI 2.10, 5.2.3).
fn is_protective(block: &[u8]) -> bool {
    is_zero(block)
        || (is_zero(&block[..446])
            && block[450] == 0xee
            && is_zero(&block[462..510])
            && block[510..512] == [0x55, 0xaa]
            && is_zero(&block[512..]))
}

fn is_header(block: &[u8], operation: &str) -> bool {
    is_zero(block) || (block.starts_with(b"EFI PART") && guid(&block[56..72]) == operation)
}

fn are_entries(bytes: &[u8]) -> bool {
    bytes.chunks(128).all(|entry| {
        is_zero(entry) || super::content::entry_name(entry).is_some_and(|name| is_name(&name))
    })
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
