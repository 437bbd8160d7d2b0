//! Another identity key, when the hub asks for one. It lies beside the old one from before the hub hears
//! of it until after the hub took it: whenever the host dies, it has the key that is in force.

use std::time::Duration;

use burin_api::claim::KeyLabel;
use burin_api::event::EventKind;
use burin_api::message::{KeyStore, RekeyAnswer};
use burin_core::view::Fact;
use tokio::time::Instant;

use super::client::Client;
use super::link::{Link, Memory};
use super::messages;
use super::problem::Problem;
use super::session::Session;
use super::verify::Greeting;

/// How long a host waits with a change that could not be made. It lives on with the key it has.
const LATER: Duration = Duration::from_secs(3600);
/// How long it waits when the hub found a signature wrong: whoever is between can spoil one, and a key
/// that was copied is to go soon. Until then the host has a session, which shows whether it is known.
const SOON: Duration = Duration::from_secs(30);

/// What this process knows of a change of the key.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// Why, as the hub said it; empty when an earlier process was told.
    reason: String,
    /// Not before.
    later: Option<Instant>,
}

impl Change {
    fn is_put_off(&self) -> bool {
        self.later.is_some_and(|later| Instant::now() < later)
    }

    fn put_off(&mut self, pause: Duration) {
        self.later = Some(Instant::now() + pause);
    }
}

/// Whether the same may be answered otherwise in a moment.
fn passes(problem: &Problem) -> bool {
    match problem {
        Problem::Refused(refusal) => matches!(
            refusal.code.as_str(),
            "limited" | "busy" | "bad_nonce" | "internal"
        ),
        _ => true,
    }
}

impl Link {
    /// Whether a next key waits to be shown to the hub. An earlier life of this host may have shown it
    /// and not heard the answer: so it comes before the session, which needs the key in force. A session
    /// ends for it.
    pub(super) fn changes_key(&self, memory: &Memory) -> bool {
        !memory.rekey.is_put_off() && self.identity.next().is_some()
    }

    /// Makes the next key if the hub asked for one.
    pub(super) fn prepare_key(&self, session: &mut Session, memory: &mut Memory) {
        let Some(reason) = session.rekey.take() else {
            return;
        };
        if memory.rekey.is_put_off() || self.key_store() == KeyStore::Ram {
            return;
        }
        if let Err(err) = self.identity.make_next(&self.paths) {
            let err = err.context("making another identity key");
            self.events.report(EventKind::Note, "", &err);
            memory.rekey.put_off(LATER);
            return;
        }
        self.events
            .note(format!("the hub asks for another identity key: {reason}"));
        memory.rekey.reason = reason;
    }

    /// Shows the next key to the hub, signed by both, and puts it into its place.
    ///
    /// # Errors
    /// When the hub does not answer; the same is tried again then.
    pub(super) async fn change_key(
        &self,
        client: &Client,
        greeting: &Greeting,
        host_uid: &str,
        memory: &mut Memory,
    ) -> Result<(), Problem> {
        let Some(next) = self.identity.next() else {
            return Ok(());
        };
        let nonce = &greeting.answer.nonce;
        let reason = &memory.rekey.reason;
        let envelope = messages::rekey(self, nonce, host_uid, &next, reason)?;
        let answer = client
            .send::<RekeyAnswer>("rekey", &envelope, &greeting.root)
            .await;
        let pause = match &answer {
            Err(problem) if problem.code() == "bad_signature" => SOON,
            _ => LATER,
        };
        let done = match answer {
            Ok(answer) if answer.thumbprint == next.thumbprint() => {
                let done = self.identity.succeed(&self.paths);
                self.tell_key();
                done
            }
            Ok(_) => return Err(Problem::Answer("it names another key".to_owned())),
            Err(problem) if problem.code() == "key_used" => self.identity.drop_next(&self.paths),
            Err(problem) if passes(&problem) => return Err(problem),
            // The host lives on with the key it has, and asks again later.
            Err(problem) => Err(problem.into()),
        };
        if let Err(err) = done {
            let err = err.context("changing the identity key");
            if self.identity.next().is_some() {
                self.events.retrying("hub", &err, pause);
            } else {
                self.events.report(EventKind::Note, "", &err);
            }
            memory.rekey.put_off(pause);
        }
        Ok(())
    }

    fn tell_key(&self) {
        if self.identity.next().is_some() {
            return;
        }
        self.events.note("the identity key was changed");
        if let Ok(key) = KeyLabel::of(&self.identity.thumbprint()) {
            self.events.tell(&Fact::Claim {
                key: key.to_string(),
                link: String::new(),
            });
        }
    }
}
