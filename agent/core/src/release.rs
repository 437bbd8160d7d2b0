//! Which release a host may install: by the keys that its hub's root document names, by the day, and
//! by what it accepted before.

mod shape;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use burin_api::desired::{Desired, Release};
use burin_api::dsse::{DsseError, Envelope};
use burin_api::event::{Finding, Severity};
use burin_api::message::RootDocument;
use burin_api::release::Statement;
use serde::{Deserialize, Serialize};

use crate::date;
use crate::oci::Digest;

pub use shape::{ShapeError, check};

/// Most signatures of an envelope.
const MOST_SIGNATURES: usize = 16;

/// The newest signed release of a profile that a host took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    pub counter: u64,
    /// Of the signed bytes.
    pub digest: Digest,
}

/// What a host knows when it judges.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The newest root document that it follows.
    pub root: &'a RootDocument,
    /// By profile.
    pub accepted: &'a BTreeMap<String, Accepted>,
    /// Milliseconds since 1970: never less than a time that is known to have passed.
    pub now: u64,
    /// Version of the agent.
    pub agent: &'a str,
}

/// What a host may act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The release is the signed one, where releases are signed.
    pub desired: Desired,
    /// To be kept before the host acts; none for a release that needs no signature.
    pub mark: Option<Accepted>,
}

/// A statement whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub statement: Statement,
    /// Thumbprint of the key that signed it.
    pub signer: String,
    /// Of the signed bytes.
    pub digest: Digest,
}

/// Why a release is not installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the release is not signed, and the hub's root document asks for a signature")]
    Unsigned,
    #[error("the release is signed by no key that the hub's root document lists")]
    ForeignKey,
    #[error("the key that signed the release may not sign for profile `{0}`")]
    OtherProfile(String),
    #[error("the release's signature is wrong: {0}")]
    Signature(DsseError),
    #[error("the release is signed for hub {0}, which is another one")]
    OtherHub(String),
    #[error("the release is older than one that this host took: {found} is less than {held}")]
    Older { found: u64, held: u64 },
    #[error("another release has the same counter {0} as the one that this host took")]
    SameCounter(u64),
    /// Milliseconds since 1970.
    #[error("the release's signature expired at {}", date::time(*.0))]
    Expired(u64),
    #[error("the release needs agent {0}")]
    Agent(String),
    #[error("the release cannot be used: {0}")]
    Shape(#[from] ShapeError),
}

impl Refusal {
    /// Machine code, also the name of the finding.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsigned => "release.unsigned",
            Self::ForeignKey => "release.foreign_key",
            Self::OtherProfile(_) => "release.other_profile",
            Self::Signature(_) => "release.signature",
            Self::OtherHub(_) => "release.other_hub",
            Self::Older { .. } => "release.older",
            Self::SameCounter(_) => "release.same_counter",
            Self::Expired(_) => "release.expired",
            Self::Agent(_) => "release.agent",
            Self::Shape(_) => "release.shape",
        }
    }

    /// What to do.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unsigned => {
                "Sign the version with `burin-hub release sign` and bring it in with `release import`."
            }
            Self::ForeignKey | Self::OtherProfile(_) => {
                "Sign it with a listed key, or list the key with `burin-hub root rotate`."
            }
            Self::Signature(_) | Self::OtherHub(_) | Self::SameCounter(_) => {
                "Find out who changed it: whoever has the hub's database may have tried."
            }
            Self::Older { .. } => {
                "To go back on purpose, sign the older version again with a higher counter."
            }
            Self::Expired(_) => "Sign it again with a later day, or set the host's clock.",
            Self::Agent(_) => "Build the installer with a newer agent.",
            Self::Shape(_) => "Publish the profile again.",
        }
    }

    /// As it stands on the host's screen and in the hub.
    #[must_use]
    pub fn finding(&self) -> Finding {
        Finding {
            name: self.code().to_owned(),
            measured: self.to_string(),
            required: "a release that this host may install".to_owned(),
            severity: Severity::Block,
            advice: self.advice().to_owned(),
        }
    }
}

/// Judges an assignment.
///
/// # Errors
/// Why the host must not install it.
pub fn judge(desired: &Desired, ground: &Ground<'_>) -> Result<Taken, Refusal> {
    let Some(envelope) = &desired.signed else {
        if !ground.root.release.is_empty() {
            return Err(Refusal::Unsigned);
        }
        check(&desired.release)?;
        let desired = desired.clone();
        return Ok(Taken {
            desired,
            mark: None,
        });
    };
    let signed = open(envelope, ground.root)?;
    let statement = signed.statement;
    let mark = Accepted {
        counter: statement.counter,
        digest: signed.digest,
    };
    not_older(&statement.release, &mark, ground.accepted)?;
    // The day bounds when a release may be taken, not how long a host may run it.
    let taken_before = ground.accepted.get(&statement.release.name) == Some(&mark);
    if !taken_before && statement.expires < ground.now {
        return Err(Refusal::Expired(statement.expires));
    }
    new_enough(&statement, ground.agent)?;
    Ok(Taken {
        desired: Desired {
            release: statement.release,
            signed: None,
            ..desired.clone()
        },
        mark: Some(mark),
    })
}

/// Opens an envelope that a listed release key signed for its profile and for this hub.
///
/// # Errors
/// A signature that is missing, wrong or of a key that may not sign it; another hub; a release that
/// makes no sense.
pub fn open(envelope: &Envelope, root: &RootDocument) -> Result<Signed, Refusal> {
    if envelope.signatures.is_empty() {
        return Err(Refusal::Unsigned);
    }
    let mut refusal = Refusal::ForeignKey;
    for listed in &root.release {
        let Ok(print) = listed.key.thumbprint() else {
            continue;
        };
        let known = envelope.signatures.iter().take(MOST_SIGNATURES);
        if !known.into_iter().any(|signature| signature.keyid == print) {
            continue;
        }
        let statement = match envelope.open::<Statement>(&[&listed.key]) {
            Ok(statement) => statement,
            Err(err) => {
                refusal = Refusal::Signature(err);
                continue;
            }
        };
        if !listed.may_sign(&statement.release.name) {
            refusal = Refusal::OtherProfile(statement.release.name);
            continue;
        }
        if statement.hub_id != root.hub_id {
            return Err(Refusal::OtherHub(statement.hub_id));
        }
        check(&statement.release)?;
        let payload = BASE64.decode(&envelope.payload);
        let payload =
            payload.map_err(|_| Refusal::Signature(DsseError::Encoding("the payload")))?;
        return Ok(Signed {
            statement,
            signer: print,
            digest: Digest::of(&payload),
        });
    }
    Err(refusal)
}

fn not_older(
    release: &Release,
    mark: &Accepted,
    accepted: &BTreeMap<String, Accepted>,
) -> Result<(), Refusal> {
    match accepted.get(&release.name) {
        Some(held) if held.counter > mark.counter => Err(Refusal::Older {
            found: mark.counter,
            held: held.counter,
        }),
        Some(held) if held.counter == mark.counter && held.digest != mark.digest => {
            Err(Refusal::SameCounter(mark.counter))
        }
        _ => Ok(()),
    }
}

fn new_enough(statement: &Statement, agent: &str) -> Result<(), Refusal> {
    let Some(need) = &statement.agent else {
        return Ok(());
    };
    // What cannot be compared is refused: whoever signed it meant something by it.
    let pair = (semver::Version::parse(agent), semver::Version::parse(need));
    match pair {
        (Ok(agent), Ok(need)) if agent >= need => Ok(()),
        _ => Err(Refusal::Agent(need.clone())),
    }
}

#[cfg(test)]
mod tests;
