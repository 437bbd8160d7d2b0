//! The agent's end of the task that talks to the hub.

use std::sync::Arc;
use std::time::Duration;

use burin_api::desired::Desired;
use burin_api::event::{EventKind, Finding};
use burin_api::message::{Observed, Phase};
use burin_api::sealed::HostSecrets;
use burin_core::view::Fact;
use tokio::sync::watch;
use tokio::time::timeout;

use super::start;
use crate::context::Paths;
use crate::events::Events;
use crate::hub::{HubSettings, Identity, Introduction, Link, Report, Word};
use crate::machine::clock::Kernel;
use crate::machine::route::{self, Ways};

/// How long a host that leaves waits for the hub to take its last events.
const LAST_WORDS: Duration = Duration::from_secs(15);

/// What the agent says and hears.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) events: Events,
    report: watch::Sender<Report>,
    pub(super) word: watch::Receiver<Word>,
    /// What the hub sealed to this host.
    pub(super) secrets: watch::Receiver<Arc<HostSecrets>>,
    /// Without a hub nobody answers; the rest works the same.
    connected: bool,
    /// Etag of the assignment that the agent works with.
    heard: Option<String>,
}

impl Talk {
    /// Starts the task, if there is a hub.
    pub(super) fn start(
        paths: &Paths,
        events: &Events,
        identity: &Identity,
        settings: Option<HubSettings>,
        introduction: Introduction,
        first: (Phase, Vec<Finding>),
    ) -> Self {
        let (report, reports) = watch::channel(Report {
            phase: first.0,
            findings: first.1,
            observed: Observed::default(),
        });
        let (words, word) = watch::channel(Word::default());
        let (sealed, secrets) = watch::channel(Arc::default());
        let connected = settings.is_some();
        if let Some(settings) = settings {
            let link = Link {
                settings,
                introduction,
                identity: identity.clone(),
                paths: paths.clone(),
                events: events.clone(),
                built: start::built(paths),
                report: reports,
                word: words,
                secrets: sealed,
                clock: Arc::new(Kernel),
                ways: ways(paths, events),
            };
            tokio::spawn(link.run());
        }
        Self {
            events: events.clone(),
            report,
            word,
            secrets,
            connected,
            heard: None,
        }
    }

    /// Shows a phase on the consoles and tells it to the hub.
    pub(super) fn phase(&self, phase: Phase) {
        self.events.tell(&Fact::Phase(phase));
        self.report.send_if_modified(|report| {
            let changed = report.phase != phase;
            report.phase = phase;
            changed
        });
    }

    /// Replaces the findings, on the consoles as well.
    pub(super) fn findings(&self, findings: &[Finding]) {
        self.events.tell(&Fact::Findings(findings.to_vec()));
        self.report.send_if_modified(|report| {
            let changed = report.findings != findings;
            report.findings = findings.to_vec();
            changed
        });
    }

    /// Changes what the host sees of itself.
    pub(super) fn observe(&self, change: impl FnOnce(&mut Observed)) {
        self.report
            .send_modify(|report| change(&mut report.observed));
    }

    /// What the hub wants this host to be.
    pub(super) fn desired(&mut self) -> Option<Arc<Desired>> {
        let word = self.word.borrow_and_update();
        self.heard.clone_from(&word.etag);
        word.desired.clone()
    }

    /// Why the host does not take what the hub wants.
    pub(super) fn refused(&self) -> Option<Finding> {
        self.word.borrow().refused.clone()
    }

    /// Waits until the hub wants something other than what was last asked for, or time is over.
    pub(super) async fn news(&mut self, longest: Duration) {
        let heard = self.heard.clone();
        let other = self.word.wait_for(|word| word.etag != heard);
        match timeout(longest, other).await {
            // News, or none in time: the agent looks again either way.
            Ok(Ok(_)) | Err(_) => {}
            // Without a hub nobody holds the other end.
            Ok(Err(_)) => tokio::time::sleep(longest).await,
        }
    }

    /// Lets the hub have every event so far, as long as that does not take too long.
    pub(super) async fn last_words(&mut self) {
        if !self.connected || !self.word.borrow().accepted {
            return;
        }
        let newest = self.events.newest();
        self.report.send_modify(|_| {});
        let stored = self.word.wait_for(|word| word.stored >= newest);
        if timeout(LAST_WORDS, stored).await.is_err() {
            self.events
                .note("the hub did not take the last events in time; they are in the log");
        }
    }
}

/// Who cannot be told of routes tries as if there were one.
fn ways(paths: &Paths, events: &Events) -> Ways {
    route::follow(&paths.root).unwrap_or_else(|err| {
        events.report(EventKind::Note, "", &err);
        watch::channel([String::new()].into()).1
    })
}

#[cfg(test)]
impl Talk {
    /// An end with nobody at the other one.
    pub(super) fn unconnected(events: &Events) -> Self {
        let (report, _) = watch::channel(Report {
            phase: Phase::Starting,
            findings: Vec::new(),
            observed: Observed::default(),
        });
        Self {
            events: events.clone(),
            report,
            word: watch::channel(Word::default()).1,
            secrets: watch::channel(Arc::default()).1,
            connected: false,
            heard: None,
        }
    }

    /// What the hub would be told.
    pub(super) fn reported(&self) -> Report {
        self.report.borrow().clone()
    }
}
