//! Where the partitions lie, in bytes.

use super::{LEAST_DATA, Layout, MARK_AT, Partition};

/// Bytes of the EFI system partition.
pub const ESP_BYTES: u64 = 1 << 30;
/// Partitions start at multiples of this: right for every sector size and every SSD's blocks.
const ALIGN: u64 = 1 << 20;

/// Fresh GUIDs for one installation, lower case with hyphens. Made by the caller: this part of
/// burin has no randomness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guids {
    pub disk: String,
    pub esp: String,
    pub system: String,
    pub data: String,
}

/// Why a disk cannot be partitioned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    #[error("the disk has {have} bytes; {need} are needed for boot, system and data partition")]
    TooSmall { have: u64, need: u64 },
    #[error("the disk has blocks of {0} bytes; 512 and 4096 are supported")]
    Sector(u32),
    #[error("the system partition of {0} bytes is not a multiple of 1 MiB")]
    Alignment(u64),
}

/// The smallest disk for a system partition of `system` bytes.
pub fn least_disk(system: u64) -> u64 {
    // 1 MiB in front for the partition table, 1 MiB behind for its copy.
    MARK_AT + ALIGN + ESP_BYTES + system + LEAST_DATA
}

/// The partitions of a disk. Nothing is written; all sizes are checked here.
///
/// # Errors
/// [`LayoutError`].
pub fn compute(
    node: &str,
    size: u64,
    sector: u32,
    system: u64,
    guids: &Guids,
) -> Result<Layout, LayoutError> {
    if !matches!(sector, 512 | 4096) {
        return Err(LayoutError::Sector(sector));
    }
    if !system.is_multiple_of(ALIGN) {
        return Err(LayoutError::Alignment(system));
    }
    let need = least_disk(system);
    if size < need {
        return Err(LayoutError::TooSmall { have: size, need });
    }
    let partition = |number, guid: &str, start, size| Partition {
        number,
        guid: guid.to_owned(),
        start,
        size,
    };
    let esp = partition(1, &guids.esp, MARK_AT, ESP_BYTES);
    let system = partition(2, &guids.system, esp.start + esp.size, system);
    let start = system.start + system.size;
    // The copy of the table needs 33 blocks of 512 or 5 of 4096; a whole MiB keeps the end aligned.
    let end = (size - ALIGN) / ALIGN * ALIGN;
    let data = partition(3, &guids.data, start, end - start);
    Ok(Layout {
        disk: node.to_owned(),
        sector,
        disk_guid: guids.disk.clone(),
        esp,
        system,
        data,
    })
}
