//! What must hold for every release, whoever sent or signed it: names that are no paths, digests that
//! are digests, sizes that somebody could mean.

use std::collections::BTreeSet;

use burin_api::desired::{Layer, LayerKind, Release};

use crate::merge::normalize;
use crate::oci::{Digest, MAX_BLOB, MAX_LAYERS, Reference};
use crate::profile::{check_argument, is_name};

/// Most layers of a release.
const MOST_LAYERS: usize = 64;
/// Most keys that a layer names.
const MOST_KEYS: usize = 16;
/// Longest uncompressed layer, bytes: more than any system partition.
const MOST_UNPACKED: u64 = 1 << 40;

/// What is wrong with a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    #[error("{0:?} is not the name of a profile")]
    Name(String),
    #[error("{0:?} is not a version")]
    Version(String),
    #[error("it has {0} layers")]
    Layers(usize),
    #[error("its first layer, and no other, must be the operating system")]
    System,
    #[error("{0:?} is not the name of a layer, or of two")]
    Layer(String),
    #[error("layer {layer}: {what}")]
    Content { layer: String, what: String },
    #[error("kernel argument {0:?} {1}")]
    Argument(String, &'static str),
}

/// Checks the shape of a release.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(release: &Release) -> Result<(), ShapeError> {
    if !is_name(&release.name) {
        return Err(ShapeError::Name(short(&release.name)));
    }
    if release.version.len() > 128 || semver::Version::parse(&release.version).is_err() {
        return Err(ShapeError::Version(short(&release.version)));
    }
    if !(1..=MOST_LAYERS).contains(&release.layers.len()) {
        return Err(ShapeError::Layers(release.layers.len()));
    }
    let mut names = BTreeSet::new();
    for (at, one) in release.layers.iter().enumerate() {
        if (one.kind == LayerKind::Os) != (at == 0) {
            return Err(ShapeError::System);
        }
        if !is_name(&one.name) || !names.insert(one.name.as_str()) {
            return Err(ShapeError::Layer(short(&one.name)));
        }
        layer(one).map_err(|what| ShapeError::Content {
            layer: one.name.clone(),
            what,
        })?;
    }
    for argument in &release.cmdline {
        check_argument(argument).map_err(|why| ShapeError::Argument(short(argument), why))?;
    }
    Ok(())
}

fn layer(layer: &Layer) -> Result<(), String> {
    for name in layer.inline.keys() {
        let stem = name.strip_suffix(".yaml").or(name.strip_suffix(".yml"));
        if !stem.is_some_and(is_name) {
            return Err(format!("{:?} is not a file of manifests", short(name)));
        }
    }
    for path in layer
        .files
        .iter()
        .flat_map(|(target, source)| [target, source])
    {
        let clean = |path: &str| normalize(path.as_bytes()).is_ok_and(|n| format!("/{n}") == path);
        if path == "/" || !clean(path) {
            return Err(format!("{:?} is not an absolute path", short(path)));
        }
    }
    if layer.verify.len() > MOST_KEYS || !layer.verify.iter().all(|name| is_name(name)) {
        return Err("it asks for signatures by what are no names of keys".to_owned());
    }
    if !layer.resolved.is_empty() {
        let resolved = layer.resolved.parse::<Digest>();
        resolved.map_err(|err| err.to_string())?;
    }
    if layer.registry.is_empty() {
        return match layer.blobs.is_empty() && layer.kind == LayerKind::Manifests {
            true => Ok(()),
            false => Err("it names no registry".to_owned()),
        };
    }
    let image = format!("{}/{}@{}", layer.registry, layer.repository, layer.manifest);
    let image = image.parse::<Reference>().map_err(|err| err.to_string())?;
    // A slash or a tag in one of the parts would make another image of them.
    if image.registry != layer.registry || image.repository != layer.repository {
        return Err("its registry and repository are not what they say".to_owned());
    }
    if !(1..=MAX_LAYERS).contains(&layer.blobs.len()) {
        return Err(format!("it has {} blobs", layer.blobs.len()));
    }
    for blob in &layer.blobs {
        for digest in [&blob.digest, &blob.diff_id] {
            digest.parse::<Digest>().map_err(|err| err.to_string())?;
        }
        if blob.size == 0 || blob.size > MAX_BLOB || blob.unpacked > MOST_UNPACKED {
            return Err(format!("blob {} has an absurd size", blob.digest));
        }
    }
    Ok(())
}

/// The beginning of a text that may be long.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}
