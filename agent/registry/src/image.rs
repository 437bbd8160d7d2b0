use burin_core::oci::{
    ACCEPT, Digest, Document, MAX_CONFIG, MAX_MANIFEST, Manifest, choose, image_blobs,
    parse_config, parse_document,
};
use reqwest::header::CONTENT_TYPE;

use crate::client::{Get, Registry};
use crate::error::{Cause, Error};

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

/// A small document and what the registry calls it.
pub(crate) struct Fetched {
    pub(crate) body: Vec<u8>,
    content_type: Option<String>,
}

/// What a document must turn out to be.
pub(crate) struct Expected {
    pub(crate) digest: Digest,
    pub(crate) size: Option<u64>,
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
        let path = format!("manifests/{tag}");
        let fetched = self
            .document(&doing, repository, &path, None, MAX_MANIFEST)
            .await?;
        fetched.parse().map_err(|cause| Error::new(&doing, cause))?;
        Ok(Digest::of(&fetched.body).to_string())
    }

    /// The image behind a digest for one architecture (`amd64` or `arm64`): every byte checked
    /// against its digest, the configuration included.
    ///
    /// # Errors
    /// When the registry cannot be read, or index, manifest and configuration do not fit together.
    pub async fn image(&self, repository: &str, digest: &str, arch: &str) -> Result<Image, Error> {
        let doing = format!("reading image {}/{repository}@{digest}", self.host());
        let fail = |cause| Error::new(&doing, cause);
        let digest = check_digest(digest).map_err(fail)?;
        let expected = Expected { digest, size: None };
        let (digest, manifest) = match self.manifest(&doing, repository, expected).await? {
            Document::Manifest(manifest) => (digest, manifest),
            Document::Index(list) => {
                let chosen = choose(&list, arch).map_err(|e| fail(content(e)))?;
                let expected = Expected {
                    digest: chosen.digest,
                    size: Some(chosen.size),
                };
                match self.manifest(&doing, repository, expected).await? {
                    Document::Manifest(manifest) => (chosen.digest, manifest),
                    Document::Index(_) => {
                        return Err(fail(Cause::Content("the index names another index".into())));
                    }
                }
            }
        };
        let config = manifest.config.digest;
        if manifest.config.size > MAX_CONFIG as u64 {
            return Err(fail(Cause::Content(
                "the configuration is absurdly long".into(),
            )));
        }
        let expected = Expected {
            digest: config,
            size: Some(manifest.config.size),
        };
        let path = format!("blobs/{config}");
        let fetched = self
            .document(&doing, repository, &path, Some(expected), MAX_CONFIG)
            .await?;
        let (blobs, diff_ids) = layers(&manifest, &fetched.body, arch).map_err(fail)?;
        Ok(Image {
            manifest: digest.to_string(),
            config: config.to_string(),
            blobs,
            diff_ids,
        })
    }

    async fn manifest(
        &self,
        doing: &str,
        repository: &str,
        expected: Expected,
    ) -> Result<Document, Error> {
        let path = format!("manifests/{}", expected.digest);
        let fetched = self
            .document(doing, repository, &path, Some(expected), MAX_MANIFEST)
            .await?;
        fetched.parse().map_err(|cause| Error::new(doing, cause))
    }

    /// A small document of at most `most` bytes, with repetition, checked against digest and size
    /// where they are known.
    pub(crate) async fn document(
        &self,
        doing: &str,
        repository: &str,
        path: &str,
        expected: Option<Expected>,
        most: usize,
    ) -> Result<Fetched, Error> {
        let get = Get {
            repository,
            path,
            accept: ACCEPT,
            from: 0,
        };
        let mut failures = 0;
        let fetched = loop {
            let attempt = async {
                let response = self.get(get).await?;
                let content_type = response.headers().get(CONTENT_TYPE);
                let content_type = content_type.and_then(|value| value.to_str().ok());
                let content_type = content_type.map(str::to_owned);
                let body = self.read_small(response, most).await?;
                Ok(Fetched { body, content_type })
            };
            match attempt.await {
                Ok(fetched) => break fetched,
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
        if let Some(expected) = expected {
            let found = Digest::of(&fetched.body);
            let length = fetched.body.len() as u64;
            if expected.size.is_some_and(|size| size != length) || found != expected.digest {
                let why = format!("{path} has digest {found} and {length} bytes");
                return Err(Error::new(doing, Cause::Content(why)));
            }
        }
        Ok(fetched)
    }
}

impl Fetched {
    fn parse(&self) -> Result<Document, Cause> {
        parse_document(&self.body, self.content_type.as_deref()).map_err(content)
    }
}

fn content(error: impl std::error::Error) -> Cause {
    Cause::Content(error.to_string())
}

pub(crate) fn check_digest(text: &str) -> Result<Digest, Cause> {
    text.parse().map_err(content)
}

/// Blobs and diff-ids, lowest first.
fn layers(
    manifest: &Manifest,
    config: &[u8],
    arch: &str,
) -> Result<(Vec<BlobRef>, Vec<String>), Cause> {
    let config = parse_config(config).map_err(content)?;
    if config.os != "linux" || config.architecture != arch {
        return Err(Cause::Content(format!(
            "the image is for {}/{}, this needs linux/{arch}",
            config.os, config.architecture
        )));
    }
    let layers = image_blobs(manifest, &config).map_err(content)?;
    if layers.is_empty() {
        return Err(Cause::Content("the image has no layers".into()));
    }
    let layers = layers.into_iter().map(|(layer, diff_id)| {
        let blob = BlobRef {
            digest: layer.digest.to_string(),
            size: layer.size,
            media_type: layer.media_type.clone(),
        };
        (blob, diff_id.to_string())
    });
    Ok(layers.unzip())
}
