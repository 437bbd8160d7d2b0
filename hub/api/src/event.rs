//! One numbered stream of events feeds console, log, record and hub.

use serde::{Deserialize, Serialize};

/// Something that happened on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Unique for ever: boot ID, start of the agent and number. The hub stores each once.
    pub id: String,
    /// Grows by one from the agent's start on.
    pub sequence: u64,
    pub boot_id: String,
    /// Milliseconds since this boot.
    pub monotonic: u64,
    /// The host's clock when it happened, milliseconds since 1970; may be wrong.
    pub time: u64,
    /// Which installation, upgrade or boot this belongs to.
    pub operation: String,
    /// Name of the step, empty outside of steps.
    #[serde(default)]
    pub step: String,
    pub kind: EventKind,
    /// One sentence for a person.
    pub message: String,
    /// The chain of causes of a failure, outermost first.
    #[serde(default)]
    pub causes: Vec<String>,
}

/// What kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Started,
    /// Tried again; `message` says why and when.
    Retrying,
    Done,
    Failed,
    /// Worth keeping, belongs to no step.
    Note,
    /// Integrity: a block that does not match its digest.
    Corruption,
    #[serde(other)]
    Unknown,
}

/// How far the current step is. Only the newest counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub step: String,
    /// Number of the step and number of all steps.
    pub position: u32,
    pub steps: u32,
    /// Bytes.
    pub done: u64,
    /// Bytes; 0 when unknown.
    pub total: u64,
    /// Seconds; none when unknown.
    #[serde(default)]
    pub left: Option<u64>,
}

/// One result of the hardware gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// For example `memory.size`.
    pub name: String,
    pub measured: String,
    pub required: String,
    pub severity: Severity,
    /// What to do about it; empty when it is fine.
    pub advice: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Ok,
    Warn,
    /// Stops before any write.
    Block,
}
