//! What remains to be done, as data.

use burin_api::desired::Blob;
use serde::{Deserialize, Serialize};

use crate::layout::Layout;

/// One step of an installation, an upgrade or a boot, with all its arguments.
///
/// Every step is safe to repeat, and what it did can be seen afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Writes the partition table with fresh GUIDs; from here on the disk is ours.
    Partition { layout: Layout },
    /// Makes the file systems that are not there yet.
    MakeFilesystems { layout: Layout },
    /// Writes identity key, user-data, host facts and record to the system partition: the first files.
    KeepIdentity,
    /// Writes boot loader, installer kernel and initramfs and the recovery entry, and the firmware's
    /// boot variable, and reads all of it back: from here on the disk boots by itself.
    InstallRecovery,
    /// Streams one blob of an image into the store.
    PullBlob {
        image: String,
        registry: String,
        repository: String,
        blob: Blob,
    },
    /// Merges the release's layers into one root and seals it; also seals the agent's own image.
    Seal { generation: u64 },
    /// Writes `generations/<n>/`.
    WriteGeneration { generation: u64 },
    /// Writes kernel and initramfs to the ESP under the names of their digests, reads them back.
    WriteKernel { generation: u64 },
    /// Writes the counted boot entry, the last write of an installation, and reads it back.
    WriteEntry { generation: u64 },
    /// Leaves for the newly armed generation.
    Reboot,
    /// Renders Kubernetes' configuration and starts its service.
    StartKubernetes,
    /// Waits until the generation is healthy and has stayed so.
    ProveHealth { generation: u64 },
    /// Marks the boot entry good.
    MarkGood { generation: u64 },
}
