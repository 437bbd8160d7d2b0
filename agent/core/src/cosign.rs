//! Signatures of images as cosign stores them, checked against listed public keys alone: no
//! certificates, no transparency log. Sources: cosign's SIGNATURE_SPEC and BUNDLE_SPEC,
//! containers-signature(5), in-toto Statement v1.

mod document;
mod key;
mod policy;

use serde::Deserialize;

use crate::oci::{Digest, DocumentError};

pub use document::{
    Attached, BUNDLE, MAX_DOCUMENT, Referrer, attached, attached_tag, bundle_of, referrers,
    referrers_tag,
};
pub use key::{Key, KeyError};
pub use policy::{Demand, PolicyError, demands};

/// Most signatures of one image that are looked at.
pub const MOST_SIGNATURES: usize = 64;
/// Longest signed text, bytes: one names a digest and little else.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// `critical.type` of a simple signing payload of an image.
const SIMPLE: &str = "cosign container image signature";
/// Payload type, statement type and predicate type of a signature in a bundle. Attestations have
/// other predicates and are no signatures of the image.
const IN_TOTO: &str = "application/vnd.in-toto+json";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// Why an image is not taken as signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the registry has no signature of {0}")]
    Unsigned(Digest),
    #[error("none of the {found} signatures of {image} is by a key that may sign it")]
    OtherKey { image: Digest, found: usize },
    #[error("a signature found with {image} is good, and is of another image, {named}")]
    OtherImage { image: Digest, named: Digest },
    #[error("the signature of {image} cannot be read: {why}")]
    Unreadable { image: Digest, why: String },
}

impl Refusal {
    /// Machine code, also the name of the finding.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsigned(_) => "image.unsigned",
            Self::OtherKey { .. } => "image.foreign_key",
            Self::OtherImage { .. } => "image.other_image",
            Self::Unreadable { .. } => "image.signature",
        }
    }
}

/// One signature and what was signed, as the registry gave them: nothing of it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The bytes under the signature.
    message: Vec<u8>,
    signatures: Vec<Vec<u8>>,
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Simple,
    /// The payload inside the message.
    Statement(Vec<u8>),
}

/// What one signature is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Good,
    OtherKey,
    OtherImage(Digest),
    /// A key signed it, and it is no signature of an image.
    Unreadable(String),
}

impl Found {
    /// A payload and the signature that was attached to it.
    #[must_use]
    pub fn simple(payload: Vec<u8>, signature: Vec<u8>) -> Self {
        Self {
            message: payload,
            signatures: vec![signature],
            form: Form::Simple,
        }
    }

    /// A Sigstore bundle with an envelope in it.
    ///
    /// # Errors
    /// What is no bundle, or holds something else than a statement in an envelope.
    pub fn bundle(bytes: &[u8]) -> Result<Self, DocumentError> {
        document::bundle(bytes)
    }

    /// Holds the signature against an image and the keys that may sign it.
    #[must_use]
    pub fn judge(&self, image: &Digest, keys: &[Key]) -> Verdict {
        let by = |key: &Key| {
            let mut all = self.signatures.iter();
            all.any(|signature| key.verifies(&self.message, signature))
        };
        if !keys.iter().any(by) {
            return Verdict::OtherKey;
        }
        let named = match &self.form {
            Form::Simple => simple(&self.message).map(|digest| vec![digest]),
            Form::Statement(payload) => statement(payload),
        };
        match named {
            Err(why) => Verdict::Unreadable(why),
            Ok(named) if named.contains(image) => Verdict::Good,
            Ok(named) => named.first().map_or_else(
                || Verdict::Unreadable("it names no image".to_owned()),
                |named| Verdict::OtherImage(*named),
            ),
        }
    }
}

#[derive(Deserialize)]
struct Simple {
    critical: Critical,
}

// What is critical and not known must not be passed over, says containers-signature(5).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    #[serde(rename = "type")]
    kind: String,
    image: Image,
    // What somebody called the image is no part of what it is: the digest is.
    #[serde(rename = "identity")]
    _identity: serde::de::IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: Digest,
}

fn simple(payload: &[u8]) -> Result<Digest, String> {
    let payload: Simple = serde_json::from_slice(payload).map_err(|err| err.to_string())?;
    match payload.critical.kind.as_str() {
        SIMPLE => Ok(payload.critical.image.digest),
        other => Err(format!("{:?} is signed, no image", short(other))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: Sha256,
}

#[derive(Deserialize)]
struct Sha256 {
    sha256: String,
}

fn statement(payload: &[u8]) -> Result<Vec<Digest>, String> {
    let statement: Statement = serde_json::from_slice(payload).map_err(|err| err.to_string())?;
    if statement.kind != STATEMENT || statement.predicate_type != SIGN {
        let what = short(&statement.predicate_type);
        return Err(format!(
            "{what:?} is signed, which is no signature of an image"
        ));
    }
    let digest = |subject: &Subject| format!("sha256:{}", subject.digest.sha256).parse();
    let digests: Result<Vec<Digest>, _> = statement.subject.iter().map(digest).collect();
    digests.map_err(|err| err.to_string())
}

/// The beginning of a text that may be long.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
