//! The task that talks to the hub for ever: hello, enroll, session, sync.

use std::sync::Arc;
use std::time::Duration;

use burin_api::desired::Desired;
use burin_api::message::{EnrollAnswer, KeyStore, Phase};
use burin_api::sealed::HostSecrets;
use burin_core::backoff::{Class, LONGEST, pause_in_outage};
use burin_core::view::{Fact, Pending};
use burin_seal::PrivateKey;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::client::Client;
use super::greet::Addresses;
use super::identity::Identity;
use super::messages;
use super::problem::Problem;
use super::rekey::Change;
use super::session::{Keys, Session};
use super::settings::{HubSettings, Introduction};
use super::verify::Greeting;
use super::word::{Report, Word};
use crate::context::Paths;
use crate::events::Events;
use crate::machine::clock::Clock;
use crate::machine::route::Ways;
use crate::perform::random;

/// The hub takes a sync of a host every five seconds at most.
pub(super) const SOONEST: Duration = Duration::from_secs(5);
/// The hub opens a session of a host every ten seconds at most.
const ANOTHER_SESSION: Duration = Duration::from_secs(10);
/// Seconds that the hub holds an answer while the host waits for a person or for its profile.
pub(super) const LONG_POLL: u32 = 20;

/// Everything the task needs.
#[derive(Debug)]
pub struct Link {
    pub settings: HubSettings,
    pub introduction: Introduction,
    pub identity: Identity,
    pub paths: Paths,
    pub events: Events,
    /// Build time in milliseconds since 1970: no right clock shows less.
    pub built: u64,
    pub report: watch::Receiver<Report>,
    pub word: watch::Sender<Word>,
    /// What the hub sealed to this host.
    pub secrets: watch::Sender<Arc<HostSecrets>>,
    pub clock: Arc<dyn Clock>,
    /// Routes to other machines.
    pub ways: Ways,
}

/// What one attempt leaves to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Attempts that failed since the last answer.
    failures: u32,
    /// When the first of them failed.
    failing_since: Option<Instant>,
    /// Etag of the pending answer that the screen shows.
    held: Option<String>,
    /// The change of the identity key that is under way.
    pub(super) rekey: Change,
    /// Where the hub answered last, and whether it was to be elsewhere.
    pub(super) found: Option<(String, bool)>,
    /// What the hub assigned last, as it was sent.
    pub(super) offer: Option<Box<Desired>>,
}

impl Memory {
    /// The hub answered: what failed before is over.
    fn answered(&mut self) {
        self.failures = 0;
        self.failing_since = None;
    }
}

impl Link {
    /// Talks to the hub until the process ends. Nothing makes it give up.
    pub async fn run(mut self) {
        let mut memory = Memory::default();
        self.network().await;
        loop {
            // A route that comes while an attempt is under way is worth another one.
            self.ways.mark_unchanged();
            match self.once(&mut memory).await {
                Ok(wait) => sleep(wait).await,
                Err(problem) => {
                    memory.failures += 1;
                    let class = match problem.class() {
                        Class::Never => Class::After(LONGEST),
                        class => class,
                    };
                    let lasted = memory
                        .failing_since
                        .get_or_insert_with(Instant::now)
                        .elapsed();
                    let wait = pause_in_outage(class, memory.failures, lasted, random());
                    let wait = wait.unwrap_or(LONGEST);
                    self.say(&problem, wait);
                    self.wait(wait, class, memory.failures).await;
                }
            }
        }
    }

    /// Registers if that is still to do, then syncs until something goes wrong. Returns how long to
    /// wait when the hub asked for patience.
    async fn once(&mut self, memory: &mut Memory) -> Result<Duration, Problem> {
        let (client, greeting) = self.greet(memory).await?;
        if self.heard(&greeting) == Addresses::Changed {
            return Ok(Duration::ZERO);
        }
        let Some(host_uid) = self.identity.registration().host_uid else {
            return self.enroll(&client, &greeting, memory).await;
        };
        if self.changes_key(memory) {
            return self
                .change_key(&client, &greeting, &host_uid, memory)
                .await
                .map(|()| Duration::ZERO);
        }
        let mut session = self.open_session(&client, &greeting, &host_uid).await?;
        self.events.tell(&Fact::HubState(String::new()));
        loop {
            match self.sync(&client, memory, &mut session).await {
                // The session is fine, it was only too early.
                Err(problem) if problem.code() == "limited" => {}
                other => other?,
            }
            memory.answered();
            self.prepare_key(&mut session, memory);
            if self.changes_key(memory) {
                return Ok(Duration::ZERO);
            }
            if session.is_outdated {
                return Ok(ANOTHER_SESSION);
            }
            self.rest(&session).await;
        }
    }

    pub(super) fn keep(&self, change: impl FnOnce(&mut super::identity::Registration)) {
        if let Err(err) = self.identity.register(&self.paths, change) {
            let err = err.context("keeping what the hub said");
            self.events
                .report(burin_api::event::EventKind::Note, "", &err);
        }
    }

    async fn enroll(
        &self,
        client: &Client,
        greeting: &Greeting,
        memory: &mut Memory,
    ) -> Result<Duration, Problem> {
        let nonce = &greeting.answer.nonce;
        let envelope = messages::enroll(self, nonce, memory.held.take())?;
        let answer = client.send("enroll", &envelope, &greeting.root).await?;
        memory.answered();
        let (text, wait) = match answer {
            EnrollAnswer::Accepted { host_uid } => {
                self.keep(|registration| registration.host_uid = Some(host_uid.clone()));
                self.events.note("the hub accepted this host");
                self.events.tell(&Fact::Accepted { host_uid });
                self.word.send_modify(|word| word.accepted = true);
                return Ok(Duration::ZERO);
            }
            EnrollAnswer::Pending {
                reason,
                message,
                interval,
                code,
                match_number,
                etag,
                ..
            } => {
                self.events.tell(&Fact::Pending(Pending {
                    reason,
                    code: code.unwrap_or_default(),
                    match_number,
                }));
                memory.held = etag;
                (format!("waiting for the hub: {message}"), interval.max(1))
            }
            EnrollAnswer::Rejected { reason, message } => {
                self.events.tell(&Fact::Refused { reason });
                (format!("the hub refused this host: {message}"), 900)
            }
            EnrollAnswer::Unknown => (
                "the hub's answer is newer than this agent understands".to_owned(),
                900,
            ),
        };
        self.events.tell(&Fact::HubState(text));
        Ok(Duration::from_secs(wait.into()))
    }

    async fn open_session(
        &self,
        client: &Client,
        greeting: &Greeting,
        host_uid: &str,
    ) -> Result<Session, Problem> {
        let (signing, public) = messages::session_key()?;
        let keys = Keys {
            signing,
            public,
            sealing: PrivateKey::generate(),
        };
        let nonce = &greeting.answer.nonce;
        let envelope = messages::session(self, nonce, host_uid, &keys)?;
        let answer = client
            .send::<burin_api::message::SessionAnswer>("session", &envelope, &greeting.root)
            .await
            .inspect_err(|problem| self.forget_if_unknown(problem))?;
        self.word.send_modify(|word| word.accepted = true);
        self.events.tell(&Fact::Accepted {
            host_uid: host_uid.to_owned(),
        });
        Session::begin(keys, &greeting.root, host_uid, answer)
    }

    /// A hub that was restored from an old backup may not know the host any more, or another key of
    /// it: register again, with the same key.
    fn forget_if_unknown(&self, problem: &Problem) {
        if matches!(
            problem.code(),
            "host_unknown" | "not_accepted" | "bad_signature"
        ) {
            self.keep(|registration| registration.host_uid = None);
            self.word.send_modify(|word| word.accepted = false);
        }
    }

    async fn sync(
        &mut self,
        client: &Client,
        memory: &mut Memory,
        session: &mut Session,
    ) -> Result<(), Problem> {
        session.sequence += 1;
        let report = self.report.borrow_and_update().clone();
        let before = self.word.borrow().clone();
        let events = messages::fitting(self.events.after(before.stored, 200));
        let view = self.events.view();
        let mut observed = report.observed;
        observed.address = Some(view.address).filter(|it| !it.is_empty());
        let mut findings = report.findings;
        // The installer shows it with its own.
        findings.extend(before.refused.filter(|it| !findings.contains(it)));
        let wait = match report.phase {
            Phase::Waiting if events.is_empty() => LONG_POLL,
            _ => 0,
        };
        let upload = session.upload(&self.paths, &self.events);
        let sync = burin_api::message::Sync {
            session: session.id.clone(),
            sequence: session.sequence,
            etag: before.etag,
            phase: report.phase,
            progress: view.progress,
            observed,
            findings,
            events,
            wait,
            secrets: session.held(),
            kubeconfig: upload.as_ref().map(|upload| upload.sealed.clone()),
        };
        let envelope = messages::sync(&sync, &session.key, &session.key_id)?;
        let mut answer: burin_api::message::SyncAnswer =
            client.send("sync", &envelope, &session.root).await?;
        session.next = Duration::from_secs(answer.next.max(1).into());
        session.uploaded(upload.as_ref());
        if let Some(secrets) = answer.secrets.take() {
            self.secrets.send_replace(Arc::new(session.open(secrets)?));
        }
        session.rekey = answer.rekey.take();
        session.is_outdated = answer.root_version > session.root.version;
        self.keep_time(answer.time);
        self.hear(memory, &session.root, answer);
        Ok(())
    }

    /// The floor of the clock moves in steps of a day: it is written to disk.
    fn keep_time(&self, time: u64) {
        const DAY: u64 = 24 * 3600 * 1000;
        if time
            > self
                .identity
                .registration()
                .confirmed_time
                .saturating_add(DAY)
        {
            self.keep(|registration| registration.confirmed_time = time);
        }
    }

    /// Waits for the next sync: the hub's interval with a tenth of jitter, or until the agent has
    /// something new to say, but never sooner than the hub takes it.
    async fn rest(&mut self, session: &Session) {
        let began = Instant::now();
        let tenth = u64::try_from(session.next.as_millis() / 10).unwrap_or(0);
        let wait = session.next + Duration::from_millis(random() % (tenth + 1));
        tokio::select! {
            () = sleep_until(began + wait) => {}
            changed = self.report.changed() => {
                if changed.is_err() {
                    // The agent has ended; the process is about to.
                    sleep_until(began + wait).await;
                }
            }
        }
        sleep_until(began + SOONEST).await;
    }

    fn say(&self, problem: &Problem, wait: Duration) {
        let text = problem.text();
        self.events.tell(&Fact::HubState(text));
        let error = anyhow::anyhow!("{problem}");
        self.events.retrying("hub", &error, wait);
    }

    /// Where the key lies, for the hub's rule about keys that die with the power.
    pub(super) fn key_store(&self) -> KeyStore {
        self.identity.store()
    }
}
