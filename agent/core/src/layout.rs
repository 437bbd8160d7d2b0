//! The choice of the disk and its partitions.

use serde::{Deserialize, Serialize};

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
