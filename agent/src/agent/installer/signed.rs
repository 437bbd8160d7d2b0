//! Whether the images that have to be signed are, before anything is written.

use anyhow::Result;
use burin_api::desired::{Layer, Release};
use burin_api::event::{Finding, Severity};
use burin_api::message::ImageKey;
use burin_core::cosign::{Demand, Key, PolicyError, Refusal, demands};
use burin_core::oci::{Digest, go_architecture};
use burin_registry::{Cause, Image, Registry};

use super::Installer;
use crate::context::Context;
use crate::steps::pull;

/// What was found good: the same release under the same keys is not looked up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checked {
    release: Release,
    listed: Vec<ImageKey>,
}

impl Installer {
    /// The findings about the signatures of a release's images; none when all is well.
    ///
    /// # Errors
    /// When a registry cannot be read: nothing is known then.
    pub(super) async fn signed(&mut self, ctx: &Context) -> Result<Vec<Finding>> {
        let release = ctx.release()?.clone();
        let root = self.identity.registration().root;
        let listed = root.map(|root| root.images).unwrap_or_default();
        let now = Checked { release, listed };
        if self.checked.as_ref() == Some(&now) {
            return Ok(Vec::new());
        }
        let mut findings = Vec::new();
        for layer in &now.release.layers {
            findings.extend(check(ctx, layer, &now.listed).await?);
        }
        if findings.is_empty() {
            self.checked = Some(now);
        }
        Ok(findings)
    }
}

/// Holds one layer against what profile and site ask for.
async fn check(ctx: &Context, layer: &Layer, listed: &[ImageKey]) -> Result<Option<Finding>> {
    let demands = match demands(layer, listed, &ctx.user_data.image_keys) {
        Ok(demands) => demands,
        Err(err) => return Ok(Some(unknown(layer, &err))),
    };
    if demands.is_empty() {
        return Ok(None);
    }
    let (access, repository) = pull::access(ctx, &layer.registry, &layer.repository)
        .map_err(|why| anyhow::anyhow!("{why}"))?;
    let registry = Registry::new(access)?;
    let arch = go_architecture(&ctx.facts.arch);
    for Demand { names, keys } in &demands {
        match prove(&registry, &repository, layer, arch, keys).await {
            Ok(()) => {}
            Err(err) => match err.cause {
                Cause::Signature(refusal) => return Ok(Some(refused(layer, names, &refusal))),
                Cause::Content(why) => return Ok(Some(other(layer, &why))),
                _ => return Err(err.into()),
            },
        }
    }
    Ok(None)
}

/// Proves that a good signature covers the content that the release names.
async fn prove(
    registry: &Registry,
    repository: &str,
    layer: &Layer,
    arch: &str,
    keys: &[Key],
) -> Result<(), burin_registry::Error> {
    let wrong = |why: String| burin_registry::Error {
        doing: format!("looking at the signed image of layer {}", layer.name),
        cause: Cause::Content(why),
    };
    let top = match layer.resolved.as_str() {
        "" => &layer.manifest,
        resolved => resolved,
    };
    let top: Digest = top.parse().map_err(|err| wrong(format!("{err}")))?;
    let image = registry.signed_image(repository, &top, arch, keys).await?;
    if is_same(&image, layer) {
        return Ok(());
    }
    let why = "the release names other content than the image that is signed";
    Err(wrong(why.to_owned()))
}

/// Whether a layer is an image and nothing but the image. Its blobs come from the hub, and the store
/// finds them by diff-id: a signature says nothing of what is not in the signed manifest.
fn is_same(image: &Image, layer: &Layer) -> bool {
    let of_image = image.blobs.iter().zip(&image.diff_ids);
    let of_image = of_image.map(|(blob, id)| (&blob.digest, blob.size, &blob.media_type, id));
    let own = layer.blobs.iter();
    let own = own.map(|it| (&it.digest, it.size, &it.media_type, &it.diff_id));
    image.manifest == layer.manifest && of_image.eq(own)
}

fn finding(name: &str, layer: &Layer, measured: &str, required: String, advice: &str) -> Finding {
    Finding {
        name: name.to_owned(),
        measured: format!("layer {}: {measured}", layer.name),
        required,
        severity: Severity::Block,
        advice: advice.to_owned(),
    }
}

fn refused(layer: &Layer, names: &[String], refusal: &Refusal) -> Finding {
    let required = format!("an image signed by {}", names.join(" or "));
    let advice = "Sign it with `cosign sign --key`, and push the signature to every mirror.";
    finding(
        refusal.code(),
        layer,
        &refusal.to_string(),
        required,
        advice,
    )
}

fn unknown(layer: &Layer, err: &PolicyError) -> Finding {
    let advice = "List the key with `burin-hub root rotate --add-image-key`.";
    let required = "a key that is listed".to_owned();
    finding(
        "image.unknown_key",
        layer,
        &err.to_string(),
        required,
        advice,
    )
}

fn other(layer: &Layer, why: &str) -> Finding {
    let advice = "Publish the profile again, and find out who changed the image or the release.";
    let required = "the content of the signed image".to_owned();
    finding("image.content", layer, why, required, advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burin_api::desired::Blob;
    use burin_registry::BlobRef;

    #[test]
    fn a_layer_is_its_signed_image_and_nothing_else() {
        let image = Image {
            manifest: "m".to_owned(),
            config: "c".to_owned(),
            blobs: ["1", "2"]
                .map(|name| BlobRef {
                    digest: format!("blob {name}"),
                    size: 9,
                    media_type: "tar".to_owned(),
                })
                .to_vec(),
            diff_ids: ["id 1", "id 2"].map(String::from).to_vec(),
        };
        let blob = |name: &str| Blob {
            digest: format!("blob {name}"),
            diff_id: format!("id {name}"),
            size: 9,
            media_type: "tar".to_owned(),
            unpacked: 1,
            entries: 1,
        };
        let text = r#"{"kind":"image","name":"gpu","manifest":"m","facts":{}}"#;
        let good = Layer {
            blobs: vec![blob("1"), blob("2")],
            ..serde_json::from_str(text).unwrap()
        };
        assert!(is_same(&image, &good));
        type Change<'a> = &'a dyn Fn(&mut Layer);
        let cases: [Change<'_>; 8] = [
            &|it| it.manifest = "other".to_owned(),
            &|it| drop(it.blobs.pop()),
            &|it| it.blobs.push(blob("3")),
            &|it| it.blobs.swap(0, 1),
            &|it| it.blobs[1].digest = "blob 3".to_owned(),
            // The store would take the content of another layer, which nobody signed.
            &|it| it.blobs[1].diff_id = "id 3".to_owned(),
            &|it| it.blobs[1].media_type = "tar+zstd".to_owned(),
            &|it| it.blobs[1].size = 8,
        ];
        for (at, change) in cases.iter().enumerate() {
            let mut layer = good.clone();
            change(&mut layer);
            assert!(!is_same(&image, &layer), "case {at}");
        }
    }
}
