//! Where signatures lie beside an image: under a tag made of its digest, or as referrers (OCI 1.1).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use burin_api::dsse::pre_authentication;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Form, Found, IN_TOTO, MAX_PAYLOAD, MOST_SIGNATURES};
use crate::oci::{Digest, DocumentError};

/// Artifact type of a bundle, and media type of the blob that holds it.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// Largest manifest, list of referrers or bundle that is read, bytes: a bundle carries the proof of a
/// transparency log, of some kilobytes.
pub const MAX_DOCUMENT: usize = 512 * 1024;

const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// Longest signature, as base 64: one of ECDSA over P-256 has 96 digits.
const LONGEST_SIGNATURE: usize = 256;

/// A signature in the manifest of an image's signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Of the blob that was signed.
    pub payload: Digest,
    /// Bytes of that blob.
    pub size: u64,
    pub signature: Vec<u8>,
}

/// A manifest that names an image as its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Referrer {
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// The tag under which an image's signatures lie.
#[must_use]
pub fn attached_tag(image: &Digest) -> String {
    format!("sha256-{}.sig", image.hex())
}

/// The tag under which a registry without referrers keeps their list.
#[must_use]
pub fn referrers_tag(image: &Digest) -> String {
    format!("sha256-{}", image.hex())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u64,
    layers: Vec<Descriptor>,
    #[serde(default)]
    subject: Option<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u64,
    manifests: Vec<Descriptor>,
}

/// The signatures in a manifest, the first [`MOST_SIGNATURES`] of them; entries that cannot be one
/// are passed over.
///
/// # Errors
/// What is no manifest.
pub fn attached(manifest: &[u8]) -> Result<Vec<Attached>, DocumentError> {
    let manifest: Manifest = json(manifest)?;
    schema(manifest.schema_version)?;
    let one = |layer: Descriptor| {
        let text = layer.annotations.get(SIGNATURE)?;
        let fits = layer.media_type == PAYLOAD
            && layer.size <= MAX_PAYLOAD as u64
            && text.len() <= LONGEST_SIGNATURE;
        let signature = BASE64.decode(text).ok().filter(|_| fits)?;
        Some(Attached {
            payload: layer.digest,
            size: layer.size,
            signature,
        })
    };
    let all = manifest.layers.into_iter().filter_map(one);
    Ok(all.take(MOST_SIGNATURES).collect())
}

/// The bundles in a list of referrers, the first [`MOST_SIGNATURES`] of them.
///
/// # Errors
/// What is no index.
pub fn referrers(index: &[u8]) -> Result<Vec<Referrer>, DocumentError> {
    let index: Index = json(index)?;
    schema(index.schema_version)?;
    let bundles = index
        .manifests
        .into_iter()
        .filter(|it| it.artifact_type.as_deref() == Some(BUNDLE) && it.size <= MAX_DOCUMENT as u64);
    let all = bundles.map(|it| Referrer {
        digest: it.digest,
        size: it.size,
    });
    Ok(all.take(MOST_SIGNATURES).collect())
}

/// The blob of the bundle in a referrer's manifest; none when it is of another image.
///
/// # Errors
/// What is no manifest.
pub fn bundle_of(manifest: &[u8], image: &Digest) -> Result<Option<Referrer>, DocumentError> {
    let manifest: Manifest = json(manifest)?;
    schema(manifest.schema_version)?;
    let about = manifest.subject.is_some_and(|it| it.digest == *image);
    let fits = |it: &&Descriptor| it.media_type == BUNDLE && it.size <= MAX_DOCUMENT as u64;
    let blob = manifest.layers.first().filter(fits).filter(|_| about);
    Ok(blob.map(|it| Referrer {
        digest: it.digest,
        size: it.size,
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    sig: String,
}

pub(super) fn bundle(bytes: &[u8]) -> Result<Found, DocumentError> {
    let bundle: Bundle = json(bytes)?;
    let envelope = bundle.dsse_envelope;
    if bundle.media_type != BUNDLE {
        return Err(DocumentError::MediaType(super::short(&bundle.media_type)));
    }
    if envelope.payload_type != IN_TOTO {
        return Err(DocumentError::MediaType(super::short(
            &envelope.payload_type,
        )));
    }
    let decode = |text: &str| {
        let wrong = |_| DocumentError::Syntax("it is not base 64".to_owned());
        BASE64.decode(text).map_err(wrong)
    };
    let payload = decode(&envelope.payload)?;
    let signatures = envelope.signatures.iter().take(MOST_SIGNATURES);
    let signatures: Result<Vec<_>, _> = signatures.map(|it| decode(&it.sig)).collect();
    Ok(Found {
        message: pre_authentication(IN_TOTO, &payload),
        signatures: signatures?,
        form: Form::Statement(payload),
    })
}

fn schema(version: u64) -> Result<(), DocumentError> {
    match version {
        2 => Ok(()),
        other => Err(DocumentError::Schema(other)),
    }
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    if bytes.len() > MAX_DOCUMENT {
        return Err(DocumentError::TooLarge {
            found: bytes.len(),
            most: MAX_DOCUMENT,
        });
    }
    serde_json::from_slice(bytes).map_err(|err| DocumentError::Syntax(err.to_string()))
}
