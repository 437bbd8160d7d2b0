//! One fake agent: as the real one says hello, enrolls, opens a session and syncs for ever, with
//! its pauses after failures, without a machine behind it.

use std::hash::BuildHasher as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use burin_api::dsse::{Envelope, Payload};
use burin_api::event::{Event, EventKind};
use burin_api::message::{EnrollAnswer, Observed, Phase, Refusal, SessionAnswer, Sync, SyncAnswer};
use burin_api::token::Token;
use burin_core::backoff::{Class, LONGEST, pause_in_outage};
use burin_fake_host::FakeHost;
use rustls::ClientConfig;
use tokio::time::sleep;

use super::tally::Tally;
use super::wire::Way;

/// Events of a host's first sync: what an installation tells.
const FIRST_EVENTS: u64 = 20;
/// After that every so many syncs bring one event.
const EVENT_EVERY: u64 = 10;

/// What all agents of a fleet know.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) hub: SocketAddr,
    /// Thumbprint of the hub's root key.
    pub(super) pin: String,
    pub(super) trust: ClientConfig,
    pub(super) token: Token,
    pub(super) tally: Arc<Tally>,
}

/// A host that has its own address of the loopback network: the hub counts calls by address.
pub(super) struct Agent {
    site: Arc<Site>,
    host: FakeHost,
    from: Ipv4Addr,
    uid: Option<String>,
    /// Round of the tally in which it was last heard.
    round: u32,
    syncs: u64,
    failures: u32,
    /// When the first of these failed.
    failing_since: Option<Instant>,
}

enum Problem {
    Refused(Refusal),
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Problem {
    fn from(err: anyhow::Error) -> Self {
        Self::Other(err)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Problem {
    /// As the agent judges it.
    fn class(&self) -> Class {
        match self {
            Self::Other(_) => Class::Again,
            Self::Refused(refusal) => match refusal.retry_after {
                Some(seconds) => Class::After(Duration::from_secs(seconds.max(1).into())),
                None => Class::After(LONGEST),
            },
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Other(err) => format!("{err:#}"),
            Self::Refused(refusal) => format!("{}: {}", refusal.code, refusal.message),
        }
    }
}

impl Agent {
    /// Host `number` of a fleet.
    ///
    /// # Errors
    /// When its keys cannot be made.
    pub(super) fn new(site: Arc<Site>, number: u32) -> Result<Self> {
        let serial = format!("FLEET-{number:06}");
        Ok(Self {
            host: FakeHost::new(&serial, &format!("boot-of-{serial}"))?,
            site,
            from: address(number),
            uid: None,
            round: 0,
            syncs: 0,
            failures: 0,
            failing_since: None,
        })
    }

    /// Talks to the hub until the task is ended.
    pub(super) async fn run(mut self, after: Duration) {
        sleep(after).await;
        loop {
            let Err(problem) = self.once().await else {
                continue;
            };
            self.failures += 1;
            self.site.tally.count(|counts| {
                counts.failures += 1;
                counts.problem = problem.text();
            });
            let since = self.failing_since.get_or_insert_with(Instant::now);
            let (class, lasted) = (problem.class(), since.elapsed());
            let wait = pause_in_outage(class, self.failures, lasted, random());
            sleep(wait.unwrap_or(LONGEST)).await;
        }
    }

    /// From a new connection on until something goes wrong, or the host was accepted.
    async fn once(&mut self) -> Result<(), Problem> {
        let site = Arc::clone(&self.site);
        let mut way = Way::new(self.from, site.hub, &site.trust, Arc::clone(&site.tally));
        let nonce = self.hello(&mut way).await?;
        let Some(uid) = self.uid.clone() else {
            return self.enroll(&mut way, nonce).await;
        };
        let envelope = self.host.seal_session(nonce, &uid)?;
        let session: SessionAnswer = self.send(&mut way, "session", &envelope).await?;
        self.host.begin(&session);
        let mut next = session.interval;
        loop {
            match self.sync(&mut way).await {
                Ok(answer) => {
                    next = answer.next;
                    self.answered();
                }
                // The session is fine, it was only too early.
                Err(Problem::Refused(refusal)) if refusal.code == "limited" => {}
                Err(problem) => return Err(problem),
            }
            let usual = Duration::from_secs(next.max(1).into());
            let jitter = random() % (u64::from(next) * 100 + 1);
            sleep(usual + Duration::from_millis(jitter)).await;
        }
    }

    /// What failed before is over.
    fn answered(&mut self) {
        self.failures = 0;
        self.failing_since = None;
    }

    async fn hello(&mut self, way: &mut Way) -> Result<String, Problem> {
        let (good, answer) = way.call("hello", json(&self.host.hello())?).await?;
        if !good {
            // Before its first hello nothing says yet whose refusal this is.
            return Err(answer
                .peek::<Refusal>()
                .map_err(anyhow::Error::from)?
                .into());
        }
        if !self.host.knows_a_hub() {
            self.host.learn(&answer, &self.site.pin)?;
        }
        Ok(self.host.nonce(&answer)?)
    }

    async fn enroll(&mut self, way: &mut Way, nonce: String) -> Result<(), Problem> {
        let token = Some(&self.site.token);
        let body = self.host.enroll_body(nonce, token);
        let envelope = self.host.seal_enroll(&body, token)?;
        match self.send(way, "enroll", &envelope).await? {
            EnrollAnswer::Accepted { host_uid } => {
                self.uid = Some(host_uid);
                self.answered();
                self.site.tally.count(|counts| counts.accepted += 1);
                Ok(())
            }
            other => Err(anyhow::anyhow!("a token lets a host in at once: {other:?}").into()),
        }
    }

    async fn sync(&mut self, way: &mut Way) -> Result<SyncAnswer, Problem> {
        let body = self.report();
        let envelope = self.host.seal_sync(&body)?;
        let asked = Instant::now();
        let (good, answer) = way.call("sync", json(&envelope)?).await?;
        let took = asked.elapsed();
        let answer = self.host.read(&envelope, good, &answer)??;
        self.syncs += 1;
        self.site.tally.synced(took, &mut self.round);
        Ok(answer)
    }

    async fn send<T: Payload>(
        &self,
        way: &mut Way,
        message: &str,
        envelope: &Envelope,
    ) -> Result<T, Problem> {
        let (good, answer) = way.call(message, json(envelope)?).await?;
        Ok(self.host.read(envelope, good, &answer)??)
    }

    /// What an installed host says that runs well.
    fn report(&mut self) -> Sync {
        let events = match self.syncs {
            0 => FIRST_EVENTS,
            syncs if syncs.is_multiple_of(EVENT_EVERY) => 1,
            _ => 0,
        };
        let mut body = self.host.sync_body(Phase::Running);
        body.observed = Observed {
            generation: Some(1),
            root_digest: Some("5a".repeat(32)),
            agent_digest: Some("a5".repeat(32)),
            kubernetes: Some("v1.33.4+k3s1".to_owned()),
            kernel: Some("6.12.48+deb13-amd64".to_owned()),
            last_error: None,
            address: Some(self.from.to_string()),
        };
        body.events = (1..=events).map(|number| self.event(number)).collect();
        body
    }

    fn event(&self, number: u64) -> Event {
        let boot_id = &self.host.boot_id;
        let sequence = self.syncs * FIRST_EVENTS + number;
        Event {
            id: format!("{boot_id}-{sequence}"),
            sequence,
            boot_id: boot_id.clone(),
            monotonic: sequence * 1000,
            time: 0,
            operation: "install".to_owned(),
            step: "pull".to_owned(),
            kind: EventKind::Note,
            message: "the network card eth0 lost its carrier and has it again".to_owned(),
            causes: Vec::new(),
        }
    }
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

/// Addresses of 127.0.0.0/8 without 127.0.x.y and without 0 and 255 at the end.
fn address(number: u32) -> Ipv4Addr {
    let digit = |value: u32| u8::try_from(value % 254 + 1).unwrap_or(1);
    Ipv4Addr::new(
        127,
        digit(number / (254 * 254)),
        digit(number / 254),
        digit(number),
    )
}

/// Good enough to spread hosts in time.
fn random() -> u64 {
    std::hash::RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_host_has_an_address_of_its_own() {
        let all: HashSet<Ipv4Addr> = (0..100_000).map(address).collect();
        assert_eq!(all.len(), 100_000);
        assert!(all.iter().all(|it| it.is_loopback() && it.octets()[1] > 0));
    }
}
