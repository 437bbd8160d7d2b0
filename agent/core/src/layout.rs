//! The choice of the disk and its partitions.

mod choose;
mod content;
mod partitions;
mod unfinished;

use serde::{Deserialize, Serialize};

pub use choose::{BurinContent, Candidate, Chosen, Content, Policy, Refusal, choose};
pub use content::{GptEntry, HEAD_BYTES, Signatures, TAIL_BYTES, signatures};
pub use partitions::{ESP_BYTES, Guids, LayoutError, compute, least_disk};
pub use unfinished::{MARK_AT, MARK_BYTES, mark};

/// Bytes of the system partition unless user-data says otherwise.
pub const DEFAULT_SYSTEM: u64 = 24 << 30;
/// The smallest system partition that can be asked for, bytes.
pub const LEAST_SYSTEM: u64 = 4 << 30;
/// The smallest data partition, bytes: less would not hold the images of a Kubernetes node.
pub const LEAST_DATA: u64 = 4 << 30;

/// The partitions of a burin disk. All sizes and offsets in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Device node, for example `/dev/nvme0n1`.
    pub disk: String,
    /// 512 or 4096.
    pub sector: u32,
    pub disk_guid: String,
    pub esp: Partition,
    pub system: Partition,
    pub data: Partition,
}

/// One partition. `guid` is unique for every installation (PARTUUID, lower case).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    pub number: u32,
    pub guid: String,
    pub start: u64,
    pub size: u64,
}

/// What to do with foreign data on a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    #[default]
    Keep,
    Wipe,
}

/// `install.device`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Selector {
    /// The only candidate; more than one is refused.
    #[default]
    Auto,
    /// A node or a link under `/dev`.
    Path(String),
    /// All that is given must fit.
    Fields(Box<Fields>),
}

/// Properties of a disk to select it by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    pub serial: Option<String>,
    pub wwn: Option<String>,
    /// A part of the model's name, case ignored.
    pub model: Option<String>,
    /// As [`crate::host::Bus::name`] writes it.
    pub bus: Option<String>,
    /// Bytes.
    pub min_size: Option<u64>,
    pub ssd: Option<bool>,
    pub pick: Option<Pick>,
}

/// Which one when several fit. Two of the same size are still refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    Smallest,
    Largest,
}

/// Bytes of a size: a number and `MiB`, `GiB`, `TiB` (also `M`, `G`, `T`, as most tools mean them) or
/// `MB`, `GB`, `TB` (powers of ten, as disks are sold).
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..end].parse().ok()?;
    let unit: u64 = match text[end..].trim_start() {
        "MiB" | "Mi" | "M" => 1 << 20,
        "GiB" | "Gi" | "G" => 1 << 30,
        "TiB" | "Ti" | "T" => 1 << 40,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests;
