//! What the agent and the task that talks to the hub tell each other.

use std::sync::Arc;

use burin_api::desired::Desired;
use burin_api::event::Finding;
use burin_api::message::{Observed, Phase};

/// What the agent wants the hub to know, replaced as a whole.
#[derive(Debug, Clone)]
pub struct Report {
    pub phase: Phase,
    pub findings: Vec<Finding>,
    pub observed: Observed,
}

/// What the hub last said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Word {
    /// Whether the hub took the host in.
    pub accepted: bool,
    pub etag: Option<String>,
    pub desired: Option<Arc<Desired>>,
    /// Why the host does not take what the hub wants.
    pub refused: Option<Finding>,
    /// Sequence number of the newest event that the hub has stored.
    pub stored: u64,
    /// Syncs answered in this boot; grows.
    pub syncs: u64,
}
