use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::client::{Get, Registry};
use crate::error::{Cause, Error};

/// Longest manifest, index or configuration that is read; the specification asks for at least 4 MiB.
const LONGEST_DOCUMENT: usize = 4 << 20;
/// Most layers of one image.
const MOST_LAYERS: usize = 256;
/// Biggest blob that is accepted, bytes.
const BIGGEST_BLOB: u64 = 64 << 30;

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// How a layer's tar is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// From the media type of a layer of OCI or Docker.
    #[must_use]
    pub fn of(media_type: &str) -> Option<Self> {
        match media_type {
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar" => Some(Self::None),
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Some(Self::Gzip),
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// One blob of an image, as its manifest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobRef {
    /// `sha256:<hex>` of the blob's bytes.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    pub media_type: String,
}

/// One image for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Digest of the platform's manifest.
    pub manifest: String,
    /// Digest of the configuration.
    pub config: String,
    /// Layers, lowest first.
    pub blobs: Vec<BlobRef>,
    /// `sha256:<hex>` of each layer's uncompressed tar, in the same order.
    pub diff_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
    #[serde(default)]
    variant: Option<String>,
}

#[derive(Deserialize)]
struct Configuration {
    architecture: String,
    os: String,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

impl Registry {
    /// The digest that a tag points at now: of an index where there is one.
    ///
    /// # Errors
    /// When the registry cannot be read or does not have the tag.
    pub async fn resolve(&self, repository: &str, tag: &str) -> Result<String, Error> {
        let doing = format!("resolving {}/{repository}:{tag}", self.host());
        let well_formed = !tag.is_empty()
            && tag.len() <= 128
            && !tag.starts_with(['.', '-'])
            && tag
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if !well_formed {
            return Err(Error::new(
                doing,
                Cause::Settings(format!("{tag:?} is no tag")),
            ));
        }
        let body = self
            .document(&doing, repository, &format!("manifests/{tag}"), None)
            .await?;
        parse_manifest(&body).map_err(|cause| Error::new(&doing, cause))?;
        Ok(digest_of(&body))
    }

    /// The image behind a digest for one architecture (`amd64` or `arm64`): every byte checked
    /// against its digest, the configuration included.
    ///
    /// # Errors
    /// When the registry cannot be read, or index, manifest and configuration do not fit together.
    pub async fn image(&self, repository: &str, digest: &str, arch: &str) -> Result<Image, Error> {
        let doing = format!("reading image {}/{repository}@{digest}", self.host());
        let fail = |cause| Error::new(&doing, cause);
        let mut digest = check_digest(digest).map_err(fail)?.to_string();
        let path = format!("manifests/{digest}");
        let mut manifest = self
            .document(&doing, repository, &path, Some((&digest, None)))
            .await
            .and_then(|body| parse_manifest(&body).map_err(fail))?;
        if let Some(list) = &manifest.manifests {
            let chosen = choose(list, arch).map_err(fail)?;
            digest = check_digest(&chosen.digest).map_err(fail)?.to_string();
            let path = format!("manifests/{digest}");
            manifest = self
                .document(
                    &doing,
                    repository,
                    &path,
                    Some((&digest, Some(chosen.size))),
                )
                .await
                .and_then(|body| parse_manifest(&body).map_err(fail))?;
        }
        let (config, blobs) = layers(manifest).map_err(fail)?;
        let path = format!("blobs/{}", config.digest);
        let body = self
            .document(
                &doing,
                repository,
                &path,
                Some((&config.digest, Some(config.size))),
            )
            .await?;
        let diff_ids = diff_ids(&body, arch, blobs.len()).map_err(fail)?;
        Ok(Image {
            manifest: digest,
            config: config.digest,
            blobs,
            diff_ids,
        })
    }

    /// A small document, with repetition, checked against digest and size where they are known.
    async fn document(
        &self,
        doing: &str,
        repository: &str,
        path: &str,
        expected: Option<(&str, Option<u64>)>,
    ) -> Result<Vec<u8>, Error> {
        let get = Get {
            repository,
            path,
            accept: ACCEPT,
            from: 0,
        };
        let mut failures = 0;
        let body = loop {
            let attempt = async {
                let response = self.get(get).await?;
                self.read_small(response, LONGEST_DOCUMENT).await
            };
            match attempt.await {
                Ok(body) => break body,
                Err(cause) => {
                    failures += 1;
                    let error = Error::new(doing, cause);
                    match self.retry.pause(&error, failures) {
                        Some(pause) => tokio::time::sleep(pause).await,
                        None => return Err(error),
                    }
                }
            }
        };
        if let Some((digest, size)) = expected {
            let found = digest_of(&body);
            if size.is_some_and(|size| size != body.len() as u64) || found != digest {
                let why = format!("{path} has digest {found} and {} bytes", body.len());
                return Err(Error::new(doing, Cause::Content(why)));
            }
        }
        Ok(body)
    }
}

fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// `sha256:` and 64 lower-case hex digits: the one form that is accepted.
pub(crate) fn check_digest(text: &str) -> Result<&str, Cause> {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() == 64
        && hex
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    {
        return Ok(text);
    }
    Err(Cause::Content(format!("{text:?} is no SHA-256 digest")))
}

fn parse_manifest(body: &[u8]) -> Result<Manifest, Cause> {
    let manifest: Manifest = serde_json::from_slice(body)
        .map_err(|e| Cause::Content(format!("the manifest is not readable: {e}")))?;
    if manifest.schema_version != 2 {
        return Err(Cause::Content(format!(
            "the manifest has schema version {}, burin reads 2; push the image anew",
            manifest.schema_version
        )));
    }
    if manifest.manifests.is_some() == manifest.layers.is_some() {
        return Err(Cause::Content(
            "it is neither an index nor a manifest".into(),
        ));
    }
    Ok(manifest)
}

fn choose<'a>(list: &'a [Descriptor], arch: &str) -> Result<&'a Descriptor, Cause> {
    let fits = |d: &&Descriptor| {
        d.platform.as_ref().is_some_and(|p| {
            // arm64 is always v8; amd64 micro-architecture levels could be too new for the box.
            let variant = p.variant.as_deref().unwrap_or_default();
            p.os == "linux"
                && p.architecture == arch
                && (variant.is_empty() || (arch == "arm64" && variant == "v8"))
        })
    };
    list.iter().find(fits).ok_or_else(|| {
        let have: Vec<String> = list
            .iter()
            .filter_map(|d| d.platform.as_ref())
            .take(20)
            .map(|p| format!("{}/{}", p.os, p.architecture))
            .collect();
        Cause::Content(format!(
            "the image is not there for linux/{arch}, only for {}",
            have.join(", ")
        ))
    })
}

fn layers(manifest: Manifest) -> Result<(BlobRef, Vec<BlobRef>), Cause> {
    let blob = |d: Descriptor| -> Result<BlobRef, Cause> {
        check_digest(&d.digest)?;
        if d.size == 0 || d.size > BIGGEST_BLOB {
            return Err(Cause::Content(format!(
                "{} claims {} bytes",
                d.digest, d.size
            )));
        }
        Ok(BlobRef {
            digest: d.digest,
            size: d.size,
            media_type: d.media_type,
        })
    };
    let config = manifest
        .config
        .ok_or_else(|| Cause::Content("the index holds another index or an artifact".into()))
        .and_then(blob)?;
    let layers = manifest.layers.unwrap_or_default();
    if layers.is_empty() || layers.len() > MOST_LAYERS {
        return Err(Cause::Content(format!(
            "the image has {} layers, 1 to {MOST_LAYERS} are possible",
            layers.len()
        )));
    }
    let blobs = layers
        .into_iter()
        .map(|d| {
            if Compression::of(&d.media_type).is_none() {
                return Err(Cause::Content(format!(
                    "a layer has media type {:?}, which is no tar, gzip or zstd layer",
                    d.media_type
                )));
            }
            blob(d)
        })
        .collect::<Result<_, _>>()?;
    Ok((config, blobs))
}

fn diff_ids(config: &[u8], arch: &str, layers: usize) -> Result<Vec<String>, Cause> {
    let config: Configuration = serde_json::from_slice(config)
        .map_err(|e| Cause::Content(format!("the image's configuration is not readable: {e}")))?;
    if config.os != "linux" || config.architecture != arch {
        return Err(Cause::Content(format!(
            "the image is for {}/{}, this needs linux/{arch}",
            config.os, config.architecture
        )));
    }
    let ids = config.rootfs.diff_ids;
    if ids.len() != layers {
        return Err(Cause::Content(format!(
            "the image has {layers} layers and {} diff-ids",
            ids.len()
        )));
    }
    for id in &ids {
        check_digest(id)?;
    }
    Ok(ids)
}
