//! Which disk to install on. The rule of rules: when in doubt, none.

use burin_api::desired::DiskChoice;
use serde::{Deserialize, Serialize};

use super::{Existing, Fields, Pick, Selector};
use crate::host::Disk;

/// A disk and what was found on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub disk: Disk,
    pub content: Content,
}

/// What lies on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    Empty,
    Burin(BurinContent),
    /// What was recognised, for example `gpt with 3 partitions, ext4`.
    Foreign(String),
    /// It could not be read; the cause.
    Unreadable(String),
}

/// What the system partition of a burin disk says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BurinContent {
    /// Whether it holds an identity key.
    pub identity: bool,
    /// Whether it holds a generation that was ever good.
    pub ever_good: bool,
    /// Whether an installation came to its end there.
    pub installed: bool,
    /// The installation that made it, when its record can be read.
    pub operation: Option<String>,
    /// Whether the system partition could be read at all; if not, it is taken for a live host.
    pub readable: bool,
}

/// What may be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Kernel name of the disk that the installer runs from.
    pub boot_medium: Option<String>,
    /// The smallest disk, bytes.
    pub least: u64,
    pub existing: Existing,
    /// The installation that goes on, if one does.
    pub operation: Option<String>,
    /// What an operator decided, at the console or in the hub. Beats the selector.
    pub choice: Option<DiskChoice>,
}

/// The disk to install on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen<'a> {
    pub disk: &'a Disk,
    /// Whether it carries a half-finished installation that goes on: nothing is partitioned anew.
    pub resumes: bool,
}

/// Why no disk was chosen. Each lists what there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no disk can be installed on; {list}")]
    None { list: String },
    #[error(
        "{count} disks could be installed on and burin does not guess; name one by `install.device` (serial, wwn or path): {list}"
    )]
    Several { count: usize, list: String },
    #[error("no disk fits `install.device`; {list}")]
    NoMatch { list: String },
    #[error(
        "{disk} holds {content}; erase it with `install.wipe: true`, by typing its serial at the console, or by the hub's assignment"
    )]
    Foreign { disk: String, content: String },
    #[error(
        "{disk} holds an installed burin host; start it, or ask for a reinstallation by the hub or by typing its serial at the console"
    )]
    Live { disk: String },
    #[error("{disk} could not be read: {cause}")]
    Unreadable { disk: String, cause: String },
}

impl Refusal {
    /// Whether the disk carries a host that should be started instead.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Live { .. })
    }
}

/// Chooses the disk.
///
/// # Errors
/// [`Refusal`]: always with the list of disks and why each was passed over.
pub fn choose<'a>(
    candidates: &'a [Candidate],
    selector: &Selector,
    policy: &Policy,
) -> Result<Chosen<'a>, Refusal> {
    let usable: Vec<&Candidate> = candidates
        .iter()
        .filter(|c| passed_over(&c.disk, policy).is_none())
        .collect();
    let list = || list(candidates, policy);
    // A half-finished installation of ours was chosen by these rules before.
    let ours: Vec<_> = usable.iter().filter(|c| resumes(c, policy)).collect();
    if let [one] = ours[..] {
        return Ok(Chosen {
            disk: &one.disk,
            resumes: true,
        });
    }
    let (fits, named): (Vec<&Candidate>, bool) = match (&policy.choice, selector) {
        (Some(choice), _) => {
            let by_serial =
                |c: &&Candidate| !choice.serial.is_empty() && c.disk.serial == choice.serial;
            (usable.into_iter().filter(by_serial).collect(), true)
        }
        (None, Selector::Auto) => (usable, false),
        (None, Selector::Path(path)) => {
            let by_path = |c: &&Candidate| c.disk.node() == *path || c.disk.has_link(path);
            (usable.into_iter().filter(by_path).collect(), true)
        }
        (None, Selector::Fields(fields)) => (by_fields(usable, fields), true),
    };
    match fits[..] {
        [one] => check_content(one, policy),
        [] if named => Err(Refusal::NoMatch { list: list() }),
        [] => Err(Refusal::None { list: list() }),
        _ => several(&fits, list()),
    }
}

/// An installed host among the disks explains more than a list: it should be started.
fn several<'a>(fits: &[&'a Candidate], list: String) -> Result<Chosen<'a>, Refusal> {
    let live: Vec<_> = fits.iter().filter(|c| is_live(&c.content)).collect();
    match live[..] {
        [one] => Err(Refusal::Live {
            disk: show(&one.disk),
        }),
        _ => Err(Refusal::Several {
            count: fits.len(),
            list,
        }),
    }
}

fn check_content<'a>(one: &'a Candidate, policy: &Policy) -> Result<Chosen<'a>, Refusal> {
    let choice = policy.choice.as_ref();
    let chosen = Ok(Chosen {
        disk: &one.disk,
        resumes: false,
    });
    let disk = show(&one.disk);
    match &one.content {
        Content::Empty => chosen,
        Content::Unreadable(cause) => Err(Refusal::Unreadable {
            disk,
            cause: cause.clone(),
        }),
        Content::Foreign(content) => {
            if policy.existing == Existing::Wipe || choice.is_some_and(|c| c.wipe || c.reinstall) {
                chosen
            } else {
                Err(Refusal::Foreign {
                    disk,
                    content: content.clone(),
                })
            }
        }
        live @ Content::Burin(_) if is_live(live) => {
            // `install.wipe` is not enough here: a stick left in would erase its own host.
            if choice.is_some_and(|c| c.reinstall) {
                chosen
            } else {
                Err(Refusal::Live { disk })
            }
        }
        // Partitions of an installation that never got as far as an identity.
        Content::Burin(_) => chosen,
    }
}

/// A disk with an identity, a good generation or a finished installation, or one that hides whether
/// it has them.
fn is_live(content: &Content) -> bool {
    match content {
        Content::Burin(burin) => {
            burin.identity || burin.ever_good || burin.installed || !burin.readable
        }
        _ => false,
    }
}

fn resumes(candidate: &Candidate, policy: &Policy) -> bool {
    match &candidate.content {
        Content::Burin(burin) => {
            burin.readable
                && !burin.ever_good
                && !burin.installed
                && burin.operation.is_some()
                && burin.operation == policy.operation
        }
        _ => false,
    }
}

/// Why a disk can never be installed on; none when it can.
fn passed_over(disk: &Disk, policy: &Policy) -> Option<String> {
    if policy.boot_medium.as_deref() == Some(&disk.name) {
        return Some("the installer runs from it".to_owned());
    }
    if disk.is_removable() {
        return Some("removable".to_owned());
    }
    if disk.read_only {
        return Some("read-only".to_owned());
    }
    let holders = disk.all_holders();
    if !holders.is_empty() {
        return Some(format!("in use by {}", holders.join(", ")));
    }
    (disk.size < policy.least).then(|| format!("smaller than {:.0} GB", policy.least as f64 / 1e9))
}

fn by_fields<'a>(usable: Vec<&'a Candidate>, fields: &Fields) -> Vec<&'a Candidate> {
    let is = |want: &Option<String>, have: &str| want.as_deref().is_none_or(|w| w == have);
    let mut fits: Vec<_> = usable
        .into_iter()
        .filter(|c| {
            let disk = &c.disk;
            is(&fields.serial, &disk.serial)
                && is(&fields.wwn, &disk.wwn)
                && is(&fields.bus, disk.bus.name())
                && fields.min_size.is_none_or(|least| disk.size >= least)
                && fields.ssd.is_none_or(|ssd| ssd != disk.rotational)
                && fields
                    .model
                    .as_deref()
                    .is_none_or(|part| disk.model.to_lowercase().contains(&part.to_lowercase()))
        })
        .collect();
    let end = match fields.pick {
        Some(Pick::Smallest) => fits.iter().map(|c| c.disk.size).min(),
        Some(Pick::Largest) => fits.iter().map(|c| c.disk.size).max(),
        None => None,
    };
    if let Some(size) = end {
        fits.retain(|c| c.disk.size == size);
    }
    fits
}

fn show(disk: &Disk) -> String {
    let serial = if disk.serial.is_empty() {
        "no serial"
    } else {
        &disk.serial
    };
    format!(
        "{} ({}, {:.0} GB, {serial})",
        disk.node(),
        disk.model,
        disk.size as f64 / 1e9
    )
}

fn list(candidates: &[Candidate], policy: &Policy) -> String {
    if candidates.is_empty() {
        return "the machine has no disk that a driver knows".to_owned();
    }
    let lines: Vec<String> = candidates
        .iter()
        .map(|c| {
            let state = passed_over(&c.disk, policy).unwrap_or_else(|| match &c.content {
                Content::Empty => "empty".to_owned(),
                Content::Burin(_) => "a burin disk".to_owned(),
                Content::Foreign(what) => format!("holds {what}"),
                Content::Unreadable(cause) => format!("cannot be read: {cause}"),
            });
            format!("{}: {state}", show(&c.disk))
        })
        .collect();
    lines.join("; ")
}
