//! Builds and signs what the host says.

use burin_api::dsse::{Envelope, PublicKey};
use burin_api::event::Event;
use burin_api::message::{Enroll, OpenSession, Rekey, Sync};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::key::Key;
use super::link::{LONG_POLL, Link};
use super::problem::Problem;
use super::session::Keys;
use crate::context::VERSION;

/// Bytes of events in one sync, as JSON: with base 64 and the rest it stays below the 64 KiB that a
/// hub reads.
const EVENT_BYTES: usize = 32 * 1024;

pub(super) fn enroll(link: &Link, nonce: &str, held: Option<String>) -> Result<Envelope, Problem> {
    let it = &link.introduction;
    let token = link.settings.token.as_ref().map(|token| &token.0);
    let key = link.identity.key();
    let body = Enroll {
        nonce: nonce.to_owned(),
        host_id: it.host_id.clone(),
        host_id_source: it.host_id_source.clone(),
        evidence: it.evidence.clone(),
        public_key: key.public().clone(),
        key_store: link.key_store(),
        boot_id: it.boot_id.clone(),
        mode: it.mode,
        agent: VERSION.to_owned(),
        arch: it.arch.clone(),
        labels: it.labels.clone(),
        token_id: token.map(|token| token.id().to_owned()),
        findings: link.report.borrow().findings.clone(),
        wait: if held.is_some() { LONG_POLL } else { 0 },
        held,
    };
    let sealed = Envelope::seal::<_, anyhow::Error>(&body, |message| {
        let mut signatures = vec![signature(&key, message)?];
        if let Some(token) = token {
            signatures.push((token.public_key().thumbprint()?, token.sign(message)));
        }
        Ok(signatures)
    });
    sealed.map_err(unsigned)
}

pub(super) fn session(
    link: &Link,
    nonce: &str,
    host_uid: &str,
    keys: &Keys,
) -> Result<Envelope, Problem> {
    let it = &link.introduction;
    let body = OpenSession {
        nonce: nonce.to_owned(),
        host_uid: host_uid.to_owned(),
        session_key: keys.public.clone(),
        sealing_key: Some(keys.sealing.public().to_string()),
        boot_id: it.boot_id.clone(),
        hardware_digest: it.hardware_digest(),
        machine: it.machine(),
        key_store: link.key_store(),
        mode: it.mode,
        agent: VERSION.to_owned(),
    };
    let sealed = Envelope::seal::<_, anyhow::Error>(&body, |message| {
        Ok(vec![signature(&link.identity.key(), message)?])
    });
    sealed.map_err(unsigned)
}

/// Asks for another key in the place of the one in force.
pub(super) fn rekey(
    link: &Link,
    nonce: &str,
    host_uid: &str,
    next: &Key,
    reason: &str,
) -> Result<Envelope, Problem> {
    let body = Rekey {
        nonce: nonce.to_owned(),
        host_uid: host_uid.to_owned(),
        public_key: next.public().clone(),
        reason: reason.to_owned(),
    };
    let now = link.identity.key();
    let sealed = Envelope::seal::<_, anyhow::Error>(&body, |message| {
        Ok(vec![signature(&now, message)?, signature(next, message)?])
    });
    sealed.map_err(unsigned)
}

fn signature(key: &Key, message: &[u8]) -> anyhow::Result<(String, Vec<u8>)> {
    Ok((key.thumbprint().to_owned(), key.sign(message)?))
}

pub(super) fn sync(body: &Sync, key: &Ed25519KeyPair, key_id: &str) -> Result<Envelope, Problem> {
    let sealed = Envelope::seal::<_, anyhow::Error>(body, |message| {
        Ok(vec![(
            key_id.to_owned(),
            key.sign(message).as_ref().to_vec(),
        )])
    });
    sealed.map_err(unsigned)
}

/// A new key for one session.
pub(super) fn session_key() -> Result<(Ed25519KeyPair, PublicKey), Problem> {
    let random = |_| unsigned(anyhow::anyhow!("the kernel gives no random bytes"));
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(random)?;
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref())
        .map_err(|err| unsigned(anyhow::anyhow!("the session key was refused: {err}")))?;
    let public = PublicKey::Ed25519(hex::encode(pair.public_key().as_ref()));
    Ok((pair, public))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function of map_err"
)]
fn unsigned(err: anyhow::Error) -> Problem {
    Problem::Answer(format!("it could not be asked for: {err:#}"))
}

/// As many of the oldest events as fit into one sync.
pub(super) fn fitting(events: Vec<Event>) -> Vec<Event> {
    let mut bytes = 0_usize;
    events
        .into_iter()
        .take_while(|event| {
            let size = serde_json::to_vec(event).map_or(0, |json| json.len());
            bytes = bytes.saturating_add(size);
            bytes <= EVENT_BYTES
        })
        .collect()
}
