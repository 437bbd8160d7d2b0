//! What the hub wants the host to be, judged before anybody acts on it.

use std::sync::Arc;

use burin_api::desired::Desired;
use burin_api::event::{Finding, Severity};
use burin_api::message::{RootDocument, SyncAnswer};
use burin_core::release::{self, Ground};
use burin_core::view::Fact;

use super::link::{Link, Memory};
use super::word::Word;
use crate::context::VERSION;

impl Link {
    /// Takes the hub's word from an answer.
    ///
    /// An assignment is judged at every sync, not only when it comes: a root document that lists
    /// release keys may have come since.
    pub(super) fn hear(&self, memory: &mut Memory, root: &RootDocument, answer: SyncAnswer) {
        let before = self.word.borrow().clone();
        let news = answer.desired.is_some() || answer.etag.is_none();
        if news {
            memory.offer = answer.desired;
        }
        let (desired, refused) = match memory.offer.as_deref().map(|it| self.judged(it, root)) {
            None => (None, None),
            Some(Ok(desired)) => (Some(desired), None),
            Some(Err(finding)) => (None, Some(finding)),
        };
        self.tell_refusal(&before, refused.as_ref());
        self.word.send_modify(|word| {
            word.syncs += 1;
            word.stored = word.stored.max(answer.events_stored.unwrap_or(0));
            if news {
                word.etag = answer.etag;
            }
            if word.desired.as_deref() != desired.as_ref() {
                word.desired = desired.map(Arc::new);
            }
            word.refused = refused;
        });
    }

    /// What the host may act on, or why not. A signed release is remembered first.
    fn judged(&self, offer: &Desired, root: &RootDocument) -> Result<Desired, Finding> {
        let registration = self.identity.registration();
        let ground = Ground {
            root,
            accepted: &registration.releases,
            // A clock that was set back makes no old signature good again.
            now: self
                .clock
                .now()
                .max(registration.confirmed_time)
                .max(self.built),
            agent: VERSION,
        };
        let taken = release::judge(offer, &ground).map_err(|refusal| refusal.finding())?;
        if let Some(mark) = taken.mark {
            let name = &taken.desired.release.name;
            let kept = self.identity.take_release(&self.paths, name, mark);
            kept.map_err(|err| Finding {
                name: "release.record".to_owned(),
                measured: format!("the release cannot be remembered: {err:#}"),
                required: "a system partition that can be written".to_owned(),
                severity: Severity::Block,
                advice: "Replace the disk.".to_owned(),
            })?;
        }
        Ok(taken.desired)
    }

    fn tell_refusal(&self, before: &Word, refused: Option<&Finding>) {
        let Some(finding) = refused else {
            if before.refused.is_some() {
                self.events.tell(&Fact::HubState(String::new()));
            }
            return;
        };
        let text = format!("{}: {}. {}", finding.name, finding.measured, finding.advice);
        if before.refused.as_ref() != refused {
            self.events.note(&text);
        }
        self.events.tell(&Fact::HubState(text));
    }
}
