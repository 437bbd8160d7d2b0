//! What a host shows of its hardware.

use serde::{Deserialize, Serialize};

/// Hardware evidence: helps a person to recognise the box, never proves anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    pub vendor: String,
    pub product: String,
    pub serial: String,
    pub board_vendor: String,
    pub board_serial: String,
    /// SMBIOS system UUID in lower case, as the kernel prints it.
    pub uuid: String,
    pub macs: Vec<String>,
    pub cpu: String,
    pub cores: u32,
    /// Bytes.
    pub memory: u64,
    pub disks: Vec<DiskEvidence>,
    /// Modaliases of the disks' controllers and of the network cards: what a kernel must drive.
    pub modaliases: Vec<String>,
}

/// One disk of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiskEvidence {
    /// Kernel name, for example `nvme0n1`.
    pub name: String,
    pub model: String,
    pub serial: String,
    /// Bytes.
    pub size: u64,
    pub rotational: bool,
    pub removable: bool,
    /// What lies on it: `empty`, `burin`, `foreign: ext4` ...
    pub content: String,
}
