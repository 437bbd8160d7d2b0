//! What remains to be done, as data.

use std::collections::BTreeSet;

use burin_api::desired::{Blob, Release};
use serde::{Deserialize, Serialize};

use crate::layout::Layout;
use crate::record::Record;

/// One step of an installation, an upgrade or a boot, with all its arguments.
///
/// Every step is safe to repeat, and what it did can be seen afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Writes the partition table with fresh GUIDs; from here on the disk is ours.
    Partition { layout: Layout },
    /// Makes the file systems that are not there yet, and mounts all of them.
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

impl Step {
    /// The step's name in events, on the console and in the record.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Partition { .. } => "partition",
            Self::MakeFilesystems { .. } => "filesystems",
            Self::KeepIdentity => "identity",
            Self::InstallRecovery => "recovery",
            Self::PullBlob { .. } => "pull",
            Self::Seal { .. } => "seal",
            Self::WriteGeneration { .. } => "generation",
            Self::WriteKernel { .. } => "kernel",
            Self::WriteEntry { .. } => "entry",
            Self::Reboot => "reboot",
            Self::StartKubernetes => "kubernetes",
            Self::ProveHealth { .. } => "health",
            Self::MarkGood { .. } => "good",
        }
    }
}

/// What shall be true in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// The release lies on the disk as `generation`, armed, and the machine has left for it.
    Install {
        /// The partitions to make. For a half-finished installation: those found.
        layout: Box<Layout>,
        release: Box<Release>,
        generation: u64,
    },
    /// The running generation is proven and good.
    Boot {
        generation: u64,
        /// Whether the release has Kubernetes.
        kubernetes: bool,
    },
}

/// What is there now: evidence on the machine, never what somebody remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// A finding of class *block*: nothing may be written.
    pub blocked: bool,
    /// burin's partitions on the target disk, if all are there.
    pub layout: Option<Layout>,
    /// All three file systems are there and mounted.
    pub filesystems: bool,
    /// Key, host facts and user-data lie on the system partition and are those in use.
    pub identity: bool,
    /// Loader, installer, its entry and the fallback path are there and read back well.
    pub recovery: bool,
    /// Diff-ids of the layers in the store.
    pub layers: BTreeSet<String>,
    /// Root and agent image of this release are sealed.
    pub sealed: bool,
    /// `generations/<n>/` is complete and of this release.
    pub generation: bool,
    /// Kernel and initramfs of the generation are on the ESP.
    pub kernel: bool,
    pub entry: Entry,
    /// Number of the generation that runs now; none in the installer.
    pub running: Option<u64>,
    /// Kubernetes is configured for this generation and its service runs.
    pub kubernetes: bool,
}

/// The boot entry of the generation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    #[default]
    Absent,
    /// Armed with a try count.
    Counted,
    /// Proven.
    Good,
}

/// What remains to be done to reach the goal, in the order that keeps the machine bootable.
///
/// A finished host plans to nothing, and so does a blocked one. Evidence counts only where
/// everything that it stands on is there: a boot entry of a generation whose kernel is missing is
/// written again, after the kernel.
#[must_use]
pub fn plan(goal: &Goal, seen: &Seen, record: &Record) -> Vec<Step> {
    if seen.blocked {
        return Vec::new();
    }
    match goal {
        Goal::Install {
            layout,
            release,
            generation,
        } => install(layout, release, *generation, seen, record),
        Goal::Boot {
            generation,
            kubernetes,
        } => boot(*generation, *kubernetes, seen),
    }
}

fn install(
    layout: &Layout,
    release: &Release,
    generation: u64,
    seen: &Seen,
    record: &Record,
) -> Vec<Step> {
    if seen.running == Some(generation) {
        return Vec::new();
    }
    let mut steps = Vec::new();
    let ours = seen.layout.as_ref() == Some(layout) && continues(record, layout);
    if !ours {
        steps.push(Step::Partition {
            layout: layout.clone(),
        });
    }
    let files = ours && seen.filesystems;
    if !files {
        steps.push(Step::MakeFilesystems {
            layout: layout.clone(),
        });
    }
    let identity = files && seen.identity;
    if !identity {
        steps.push(Step::KeepIdentity);
    }
    // The recovery entry finds the identity on the disk, so it must not be there before it.
    if !(identity && seen.recovery) {
        steps.push(Step::InstallRecovery);
    }
    let sealed = files && seen.sealed;
    if !sealed {
        let none = BTreeSet::new();
        let layers = if files { &seen.layers } else { &none };
        steps.extend(pulls(release, layers));
        steps.push(Step::Seal { generation });
    }
    let written = sealed && seen.generation;
    if !written {
        steps.push(Step::WriteGeneration { generation });
    }
    let kernel = written && seen.kernel;
    if !kernel {
        steps.push(Step::WriteKernel { generation });
    }
    if !(kernel && seen.entry > Entry::Absent) {
        steps.push(Step::WriteEntry { generation });
    }
    steps.push(Step::Reboot);
    steps
}

/// Only the disk of this very operation is continued; any other table is written anew.
fn continues(record: &Record, layout: &Layout) -> bool {
    record.operation.is_empty() || record.operation == layout.disk_guid
}

/// One step for each blob that the store lacks, each diff-id once.
fn pulls<'a>(release: &'a Release, have: &'a BTreeSet<String>) -> impl Iterator<Item = Step> + 'a {
    let mut planned = BTreeSet::new();
    release
        .layers
        .iter()
        .flat_map(|layer| layer.blobs.iter().map(move |blob| (layer, blob)))
        .filter(move |(_, blob)| {
            !have.contains(&blob.diff_id) && planned.insert(blob.diff_id.clone())
        })
        .map(|(layer, blob)| Step::PullBlob {
            image: layer.name.clone(),
            registry: layer.registry.clone(),
            repository: layer.repository.clone(),
            blob: blob.clone(),
        })
}

fn boot(generation: u64, kubernetes: bool, seen: &Seen) -> Vec<Step> {
    let mut steps = Vec::new();
    if kubernetes && !seen.kubernetes {
        steps.push(Step::StartKubernetes);
    }
    // A good generation is never judged again: the health gate must not reboot it.
    if seen.entry != Entry::Good {
        steps.push(Step::ProveHealth { generation });
        steps.push(Step::MarkGood { generation });
    }
    steps
}
