//! The pure fold of what happens on a host into what a screen or a serial line shows.

use burin_api::event::{Event, EventKind, Finding, Progress, Severity};
use burin_api::message::Phase;

mod line;
mod pending;
mod qr;
mod screen;
mod text;

pub use line::{event_line, fact_line, progress_line};
pub use screen::{Row, screen};

/// Something about the host that is no event: it only replaces what was known before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    Phase(Phase),
    /// The host ID as people read it, and the rule that made it.
    Host {
        id: String,
        source: String,
    },
    /// How user-data names the host.
    Name(String),
    Address(String),
    /// The hub's address.
    Hub(String),
    /// What the host waits for or could not do with its hub, and what to do; empty when all is well.
    HubState(String),
    /// How a person recognises and claims the host; known before the hub ever answered.
    Claim {
        /// The label of the identity key, in groups of four.
        key: String,
        /// The text of the QR code; empty for a host that was taken in and for one without a hub.
        link: String,
    },
    /// The hub has not decided yet.
    Pending(Pending),
    /// The hub refused the host; the sentence for people is the hub's state.
    Refused {
        /// Machine code, for example `denied`.
        reason: String,
    },
    /// The hub took the host in.
    Accepted {
        host_uid: String,
    },
    /// The assigned release.
    Release {
        name: String,
        version: String,
    },
    /// All findings of the hardware gate.
    Findings(Vec<Finding>),
    /// A finding of class *block* stopped the host before any write.
    Blocked,
    Rebooting,
    PoweringOff,
    /// The generation that runs, is proven good and was seen healthy in this boot.
    Running(u64),
}

/// What the hub wants to be told by a person who stands before the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pending {
    /// Machine code, for example `no_token`; the sentence for people is the hub's state.
    pub reason: String,
    /// Letters to type at `HUB/c`, as `WDJB-MJHT`; empty for none.
    pub code: String,
    /// Two digits that whoever claims the host must tell.
    pub match_number: Option<u8>,
}

/// The last failure, as shown until its step is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failed {
    pub step: String,
    pub message: String,
    pub causes: Vec<String>,
}

/// Everything a screen needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub phase: Phase,
    pub host_id: String,
    /// How user-data names the host; empty when it does not.
    pub name: String,
    pub address: String,
    pub hub: String,
    pub hub_state: String,
    /// The label of the identity key, in groups of four; empty until there is one.
    pub key: String,
    /// The text of the QR code; empty for none.
    pub link: String,
    /// What the hub waits for; none before it was asked and once it decided.
    pub pending: Option<Pending>,
    pub accepted: bool,
    pub release: String,
    pub findings: Vec<Finding>,
    /// The step under way; empty between steps.
    pub step: String,
    pub progress: Option<Progress>,
    pub failed: Option<Failed>,
    /// The newest sentences, oldest first.
    pub recent: Vec<String>,
    pub running: Option<u64>,
    pub leaving: bool,
}

impl Default for View {
    fn default() -> Self {
        Self {
            phase: Phase::Starting,
            host_id: String::new(),
            name: String::new(),
            address: String::new(),
            hub: String::new(),
            hub_state: String::new(),
            key: String::new(),
            link: String::new(),
            pending: None,
            accepted: false,
            release: String::new(),
            findings: Vec::new(),
            step: String::new(),
            progress: None,
            failed: None,
            recent: Vec::new(),
            running: None,
            leaving: false,
        }
    }
}

/// The step under which talking to the hub fails.
const HUB: &str = "hub";
/// How many sentences the screen keeps.
const RECENT: usize = 6;

impl View {
    /// Takes in one event.
    pub fn event(&mut self, event: &Event) {
        match event.kind {
            EventKind::Started => {
                self.step.clone_from(&event.step);
                self.progress = None;
            }
            EventKind::Done => {
                if self.step == event.step {
                    self.step.clear();
                    self.progress = None;
                }
                if self.failed.as_ref().is_some_and(|it| it.step == event.step) {
                    self.failed = None;
                }
            }
            EventKind::Failed | EventKind::Retrying => {
                self.failed = Some(Failed {
                    step: event.step.clone(),
                    message: event.message.clone(),
                    causes: event.causes.clone(),
                });
            }
            EventKind::Note | EventKind::Corruption | EventKind::Unknown => {}
        }
        if !event.message.is_empty() {
            self.recent.push(event.message.clone());
            if self.recent.len() > RECENT {
                self.recent.remove(0);
            }
        }
    }

    /// Takes in how far the step under way is; older progress is forgotten.
    pub fn progress(&mut self, progress: Progress) {
        self.progress = Some(progress);
    }

    /// Takes in one fact.
    pub fn fact(&mut self, fact: &Fact) {
        if matches!(
            fact,
            Fact::Pending(_) | Fact::Refused { .. } | Fact::Accepted { .. }
        ) {
            // The hub answered: that it did not before is over.
            self.failed = self.failed.take().filter(|it| it.step != HUB);
        }
        match fact {
            Fact::Phase(phase) => self.phase = *phase,
            Fact::Host { id, .. } => self.host_id.clone_from(id),
            Fact::Name(name) => self.name.clone_from(name),
            Fact::Address(address) => self.address.clone_from(address),
            Fact::Hub(hub) => self.hub.clone_from(hub),
            Fact::HubState(state) => self.hub_state.clone_from(state),
            Fact::Claim { key, link } => {
                self.key.clone_from(key);
                self.link.clone_from(link);
            }
            Fact::Pending(pending) => {
                self.accepted = false;
                self.pending = Some(pending.clone());
            }
            // What it waited for is decided: code and number are good no more.
            Fact::Refused { .. } => {
                self.accepted = false;
                self.pending = None;
            }
            Fact::Accepted { .. } => {
                self.accepted = true;
                self.pending = None;
                self.hub_state.clear();
            }
            Fact::Release { name, version } => self.release = format!("{name} {version}"),
            Fact::Findings(findings) => self.findings.clone_from(findings),
            Fact::Blocked => self.phase = Phase::Blocked,
            Fact::Rebooting | Fact::PoweringOff => self.leaving = true,
            Fact::Running(generation) => {
                self.running = Some(*generation);
                self.phase = Phase::Running;
            }
        }
    }
}

/// A phase in one word, as on the console.
#[must_use]
pub fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Blocked => "blocked",
        Phase::Waiting => "waiting",
        Phase::Installing => "installing",
        Phase::Configuring => "configuring",
        Phase::Running => "running",
        Phase::Degraded => "degraded",
        Phase::Unknown => "unknown",
    }
}

/// A severity in one word, as on the console.
#[must_use]
pub fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "ok",
        Severity::Warn => "warn",
        Severity::Block => "block",
    }
}
