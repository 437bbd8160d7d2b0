//! Signatures that a profile asks for: looked for here, too, so that its author hears of a missing one
//! before hosts do. Hosts do not rely on it.

use burin_core::cosign::Key;
use burin_core::oci::Digest;
use burin_core::profile::{LayerDocument, LayerSource};
use burin_registry::{Cause, Registry};

use crate::state::Hub;

/// Why a layer cannot be published.
#[derive(Debug)]
pub(super) enum Fault {
    Registry(burin_registry::Error),
    /// It is not signed as it has to be.
    Refused(String),
}

/// The keys of which one has to have signed a layer's image; none when it needs no signature.
///
/// # Errors
/// A name that the root document does not list.
pub(super) fn keys(hub: &Hub, layer: &LayerDocument) -> Result<Vec<Key>, String> {
    let listed = &hub.keys.root.images;
    let key = |name: &String| {
        let listed = listed.iter().find(|it| it.name == *name);
        let listed = listed.ok_or_else(|| {
            format!(
                "no image key is called `{name}`; list one with `burin-hub root rotate \
                 --add-image-key {name}=FILE`"
            )
        })?;
        Key::parse(&listed.key).map_err(|err| format!("image key `{name}`: {err}"))
    };
    layer.verify.iter().map(key).collect()
}

/// Looks for the signature of an image: of what its tag led to, or of the machine's manifest in it.
///
/// # Errors
/// A signature that is missing or wrong, or a registry that cannot be read.
pub(super) async fn check(
    hub: &Hub,
    layer: &LayerDocument,
    registry: &Registry,
    manifests: [&str; 2],
) -> Result<(), Fault> {
    let keys = keys(hub, layer).map_err(Fault::Refused)?;
    let LayerSource::Image(reference) = &layer.source else {
        return Ok(());
    };
    if keys.is_empty() {
        return Ok(());
    }
    let mut images = Vec::new();
    for text in manifests {
        let digest: Digest = text
            .parse()
            .map_err(|err| Fault::Refused(format!("{err}")))?;
        if !images.contains(&digest) {
            images.push(digest);
        }
    }
    let found = registry.signed(&reference.repository, &images, &keys).await;
    found.map_err(|err| match err.cause {
        Cause::Signature(refusal) => Fault::Refused(format!(
            "{}: {refusal}; it has to be signed by `{}`",
            refusal.code(),
            layer.verify.join("` or `")
        )),
        _ => Fault::Registry(err),
    })
}
