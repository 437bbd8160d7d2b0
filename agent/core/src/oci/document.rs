//! The JSON documents of an image.

use serde::{Deserialize, Serialize};

use super::{Digest, MAX_BLOB, MAX_CONFIG, MAX_LAYERS, MAX_MANIFEST, Packing};
use crate::display::counted;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Points to a blob or a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    #[serde(default)]
    pub platform: Option<Platform>,
    /// What kind of artifact it is, when it is not an image (OCI 1.1).
    #[serde(default)]
    pub artifact_type: Option<String>,
}

/// For which machines a manifest of an index is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Go's names: `amd64`, `arm64`.
    pub architecture: String,
    pub os: String,
    #[serde(default)]
    pub variant: Option<String>,
}

/// The manifest of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub config: Descriptor,
    /// Lowest first.
    pub layers: Vec<Descriptor>,
}

/// What lies behind a tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    Manifest(Manifest),
    /// Manifests for several platforms.
    Index(Vec<Descriptor>),
}

/// The image configuration, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    pub architecture: String,
    pub os: String,
    pub rootfs: RootFs,
}

/// The list of the layers' uncompressed digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Lowest first, as many as the manifest has layers.
    pub diff_ids: Vec<Digest>,
}

/// Why a document was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    #[error("it has {found} bytes, at most {most} are read")]
    TooLarge { found: usize, most: usize },
    #[error("it is not valid: {0}")]
    Syntax(String),
    #[error("schema version {0} is not supported; push the image again with a newer tool")]
    Schema(u64),
    #[error("`{0}` is not an image manifest or an index")]
    MediaType(String),
    #[error("it has {found} layers, at most {MAX_LAYERS} are supported")]
    Layers { found: usize },
    #[error(
        "layer {number} is a `{media_type}`, which is not a tar with gzip, zstd or nothing around it"
    )]
    Layer { number: usize, media_type: String },
    #[error("layer {number} claims {size} bytes")]
    LayerSize { number: usize, size: u64 },
    #[error(
        "the manifest has {} and the configuration {}",
        counted(*layers, "layer", "layers"),
        counted(*diff_ids, "diff-id", "diff-ids")
    )]
    Mismatch { layers: usize, diff_ids: usize },
    #[error("the image has no variant for linux/{wanted}; it has {found}")]
    Platform { wanted: String, found: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u64,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
}

/// Reads a manifest or an index. `content_type` is the registry's header; it must agree with the
/// document, so that one can never pass for the other (OCI image specification, "Manifest
/// confusion").
///
/// # Errors
/// Too large, not JSON, an old schema, neither of the two, too many or unreadable layers.
pub fn parse_document(bytes: &[u8], content_type: Option<&str>) -> Result<Document, DocumentError> {
    let raw: Raw = json(bytes, MAX_MANIFEST)?;
    if raw.schema_version != 2 {
        return Err(DocumentError::Schema(raw.schema_version));
    }
    // A header like `application/json` or one with parameters says nothing certain.
    let header = content_type
        .map(|t| t.split(';').next().unwrap_or(t).trim())
        .filter(|t| [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].contains(t));
    let named = raw.media_type.as_deref();
    let is_index = match named.or(header) {
        Some(OCI_INDEX | DOCKER_LIST) => true,
        Some(OCI_MANIFEST | DOCKER_MANIFEST) => false,
        Some(other) => return Err(DocumentError::MediaType(other.to_owned())),
        None => raw.manifests.is_some(),
    };
    if named.zip(header).is_some_and(|(n, h)| n != h) {
        return Err(DocumentError::MediaType(format!(
            "{} sent as {}",
            named.unwrap_or_default(),
            header.unwrap_or_default()
        )));
    }
    match (is_index, raw.manifests, raw.config, raw.layers) {
        (true, Some(manifests), None, None) => Ok(Document::Index(manifests)),
        (false, None, Some(config), Some(layers)) => {
            let manifest = Manifest { config, layers };
            check_layers(&manifest)?;
            Ok(Document::Manifest(manifest))
        }
        _ => Err(DocumentError::Syntax(
            "an image has `config` and `layers`, an index has `manifests`".to_owned(),
        )),
    }
}

fn check_layers(manifest: &Manifest) -> Result<(), DocumentError> {
    if manifest.layers.len() > MAX_LAYERS {
        return Err(DocumentError::Layers {
            found: manifest.layers.len(),
        });
    }
    for (number, layer) in manifest.layers.iter().enumerate() {
        if Packing::of_media_type(&layer.media_type).is_none() {
            return Err(DocumentError::Layer {
                number,
                media_type: layer.media_type.clone(),
            });
        }
        if layer.size == 0 || layer.size > MAX_BLOB {
            return Err(DocumentError::LayerSize {
                number,
                size: layer.size,
            });
        }
    }
    Ok(())
}

/// Chooses the manifest of an index for an architecture (`amd64`, `arm64`) of Linux.
///
/// # Errors
/// [`DocumentError::Platform`] when there is none, naming those that there are.
pub fn choose<'a>(
    manifests: &'a [Descriptor],
    architecture: &str,
) -> Result<&'a Descriptor, DocumentError> {
    let fits = |d: &&Descriptor| {
        matches!(d.media_type.as_str(), OCI_MANIFEST | DOCKER_MANIFEST)
            && d.artifact_type.is_none()
            && d.platform
                .as_ref()
                .is_some_and(|p| p.os == "linux" && p.architecture == architecture)
    };
    // amd64 variants (v2, v3) ask for newer processors: the one without variant runs everywhere.
    let plain = |d: &&Descriptor| {
        let variant = d.platform.as_ref().and_then(|p| p.variant.as_deref());
        fits(d) && matches!(variant, None | Some("" | "v8"))
    };
    manifests
        .iter()
        .find(plain)
        .or_else(|| manifests.iter().find(fits))
        .ok_or_else(|| DocumentError::Platform {
            wanted: architecture.to_owned(),
            found: platforms(manifests),
        })
}

fn platforms(manifests: &[Descriptor]) -> String {
    let mut names: Vec<String> = manifests
        .iter()
        .filter_map(|d| d.platform.as_ref())
        .filter(|p| p.os != "unknown")
        .map(|p| format!("{}/{}", p.os, p.architecture))
        .collect();
    names.dedup();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// Reads an image configuration.
///
/// # Errors
/// Too large, not JSON, or without diff-ids.
pub fn parse_config(bytes: &[u8]) -> Result<Config, DocumentError> {
    json(bytes, MAX_CONFIG)
}

/// Layer and diff-id side by side, lowest first.
///
/// # Errors
/// [`DocumentError::Mismatch`] when manifest and configuration disagree.
pub fn image_blobs<'a>(
    manifest: &'a Manifest,
    config: &Config,
) -> Result<Vec<(&'a Descriptor, Digest)>, DocumentError> {
    let diff_ids = &config.rootfs.diff_ids;
    if manifest.layers.len() != diff_ids.len() {
        return Err(DocumentError::Mismatch {
            layers: manifest.layers.len(),
            diff_ids: diff_ids.len(),
        });
    }
    Ok(manifest
        .layers
        .iter()
        .zip(diff_ids.iter().copied())
        .collect())
}

fn json<T: serde::de::DeserializeOwned>(bytes: &[u8], most: usize) -> Result<T, DocumentError> {
    if bytes.len() > most {
        return Err(DocumentError::TooLarge {
            found: bytes.len(),
            most,
        });
    }
    serde_json::from_slice(bytes).map_err(|err| DocumentError::Syntax(err.to_string()))
}

/// Go's name of an architecture, from `uname -m`.
pub fn go_architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
