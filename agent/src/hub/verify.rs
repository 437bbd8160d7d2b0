//! What a host believes of an answer. Bytes in, a proven message out: a proxy that opens TLS can put
//! anything into these bytes, and nothing else of the agent looks at them.

use burin_api::answer::Answer;
use burin_api::dsse::{DsseError, Envelope, Payload, PublicKey};
use burin_api::message::{Hello, HelloAnswer, Refusal, RootDocument};
use burin_api::root::{self, Anchor};

use super::problem::Problem;

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Of HTTP.
    pub status: u16,
    pub body: Vec<u8>,
}

/// What a hello brought, verified.
#[derive(Debug)]
pub struct Greeting {
    pub answer: HelloAnswer,
    /// The newest root document of the hub.
    pub root: RootDocument,
}

impl Said {
    fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn envelope(&self) -> Result<Envelope, Problem> {
        serde_json::from_slice(&self.body).map_err(|_| {
            let status = self.status;
            Problem::Answer(format!("status {status}, and not what a hub says"))
        })
    }
}

/// The answer to `hello`, and who speaks for the hub from now on. `now` is the latest time that the
/// host knows of, milliseconds since 1970.
///
/// # Errors
/// Why it proves nothing: [`Problem::Answer`], [`Problem::Signature`], [`Problem::Root`]; and
/// [`Problem::Unproven`], as nothing says yet whose refusal it is.
pub fn greeting(
    anchor: Anchor<'_>,
    hello: &Hello,
    said: &Said,
    now: u64,
) -> Result<Greeting, Problem> {
    let envelope = said.envelope()?;
    if !said.is_good() {
        let refusal: Refusal = envelope.peek().map_err(Problem::Signature)?;
        return Err(Problem::Unproven(refusal));
    }
    let peeked: HelloAnswer = envelope.peek().map_err(Problem::Signature)?;
    let root = root::follow(anchor, &peeked.root).map_err(Problem::Root)?;
    let key = signer(&envelope, &root, now)?;
    let answer: HelloAnswer = envelope.open(&[key]).map_err(Problem::Signature)?;
    if answer.host_nonce != hello.host_nonce {
        return Err(Problem::Answer(
            "it is an answer to another hello".to_owned(),
        ));
    }
    if answer.hub_id != root.hub_id {
        return Err(Problem::Answer("it is of another hub".to_owned()));
    }
    Ok(Greeting { answer, root })
}

/// The answer to a signed request, from a hub that `root` names. `now` as above.
///
/// # Errors
/// Why it proves nothing; [`Problem::Refused`] when the hub refused this request, and
/// [`Problem::Unread`] when it could not read what came.
pub fn answer<A: Payload>(
    request: &Envelope,
    said: &Said,
    root: &RootDocument,
    now: u64,
) -> Result<A, Problem> {
    let envelope = said.envelope()?;
    let key = signer(&envelope, root, now)?;
    if said.is_good() {
        return envelope
            .open_answer(key, request)
            .map_err(Problem::Signature);
    }
    let refusal = envelope.open_refusal(key, request);
    let refusal = refusal.map_err(Problem::Signature)?;
    let bound: Answer<Refusal> = envelope.peek().map_err(Problem::Signature)?;
    Err(if bound.request.is_empty() {
        Problem::Unread(refusal.message)
    } else {
        Problem::Refused(refusal)
    })
}

/// The one of the keys that speak for the hub now which an answer says it is signed by.
fn signer<'a>(
    envelope: &Envelope,
    root: &'a RootDocument,
    now: u64,
) -> Result<&'a PublicKey, Problem> {
    let signed_by = |key: &&PublicKey| {
        key.thumbprint()
            .is_ok_and(|id| envelope.signatures.iter().any(|it| it.keyid == id))
    };
    root.speakers(now)
        .into_iter()
        .find(signed_by)
        .ok_or_else(|| Problem::Signature(DsseError::Missing("of the hub's own".to_owned())))
}
