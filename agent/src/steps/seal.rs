//! Merges and seals root and agent.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use burin_api::desired::{Layer, LayerKind, Release};
use burin_core::kube::IMAGE_MANIFESTS;
use burin_core::merge::Refusal;
use burin_core::persistent::mount_points;
use burin_core::userdata;

use crate::context::Context;
use crate::steps::sealed::{SealedRelease, fingerprint};
use crate::steps::{Failure, Outcome};
use crate::store::{ExtraContent, ExtraFile, StackLayer, Store};

/// The running agent, whatever became of its file.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// The places that are file systems of their own, or written, at run time: they need no mount point
/// of a profile's in the sealed root.
const MADE_AT_BOOT: [&str; 7] = ["dev", "etc", "home", "root", "run", "tmp", "var"];

const UNIT: &str = include_str!("../../../overlays/host/usr/lib/systemd/system/burin.service");
const WANTED: &str =
    include_str!("../../../overlays/host/usr/lib/systemd/system/multi-user.target.d/10-burin.conf");

/// Merges the release's layers into one root and seals it; seals the agent's own image. Both lie
/// in the store, synced, when it returns.
///
/// # Errors
/// When the layers do not fit together (nothing but another release helps), or the disk fails.
pub async fn perform(ctx: &Context, generation: u64) -> Result<Outcome> {
    let release = ctx.release()?;
    let store = Store::of(&ctx.paths)?;
    let stack = stack(release);
    for layer in &stack {
        for diff_id in &layer.diff_ids {
            if !store.has_layer(diff_id) {
                // A damaged layer was taken out: the plan pulls it again.
                let message = format!("layer {diff_id} is not in the store");
                return Err(Failure::after(Duration::from_secs(1), message).into());
            }
        }
    }
    let extras = extras(release, &bind_mounts(ctx)?);
    let fingerprint = fingerprint(release)?;
    let seal = move || -> Result<_> {
        let root = store.merge(&stack, &extras)?;
        let agent = store.seal_agent(Path::new(OWN_PROGRAM))?;
        Ok((root, agent))
    };
    let sealed = tokio::task::spawn_blocking(seal).await;
    let (root, agent) = sealed
        .context("the merging thread died")?
        .map_err(classify)?;
    let sealed = SealedRelease {
        generation,
        release: fingerprint,
        root: root.digest,
        agent: agent.digest,
    };
    sealed.keep(&ctx.paths)?;
    Ok(Outcome::Done)
}

fn classify(error: anyhow::Error) -> anyhow::Error {
    let refused = error.chain().any(|cause| cause.is::<Refusal>());
    if refused {
        return Failure::never(
            "the layers of the release do not fit together",
            "Correct the profile and publish a new version.",
        )
        .because(error)
        .into();
    }
    error
}

/// The images of the release in merge order. Inline manifests have none.
fn stack(release: &Release) -> Vec<StackLayer> {
    let images = release
        .layers
        .iter()
        .filter(|layer| !layer.blobs.is_empty());
    images
        .map(|layer| StackLayer {
            kind: layer.kind,
            diff_ids: layer
                .blobs
                .iter()
                .map(|blob| blob.diff_id.clone())
                .collect(),
            files: layer.files.clone(),
            replaces_system: layer.replaces_system,
            folder: (layer.kind == LayerKind::Manifests).then(|| manifests_folder(layer)),
        })
        .collect()
}

fn manifests_folder(layer: &Layer) -> String {
    format!("{IMAGE_MANIFESTS}/{}", layer.name)
}

fn bind_mounts(ctx: &Context) -> Result<Vec<String>> {
    let parsed = userdata::parse(&ctx.user_data_text.0);
    let user_data = parsed.map_err(|problems| {
        let first = problems
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        Failure::never(
            format!("the user-data has a problem: {first}"),
            "Correct the user-data.",
        )
    })?;
    Ok(user_data.install.bind_mounts)
}

/// What burin adds to every root: mount points, its unit, manifests written in the profile.
fn extras(release: &Release, bind_mounts: &[String]) -> Vec<ExtraFile> {
    let file = |path: String, text: &str| ExtraFile {
        path,
        mode: 0o644,
        content: ExtraContent::File(text.as_bytes().to_vec()),
    };
    let needed = |path: &&str| {
        let first = path.split('/').next().unwrap_or_default();
        !first.is_empty() && !MADE_AT_BOOT.contains(&first)
    };
    let bound = bind_mounts.iter().map(|path| path.trim_start_matches('/'));
    let mut extras: Vec<ExtraFile> = mount_points().chain(["etc"]).map(directory).collect();
    extras.extend(bound.filter(needed).map(directory));
    let units = "usr/lib/systemd/system";
    extras.push(file(format!("{units}/burin.service"), UNIT));
    extras.push(file(
        format!("{units}/multi-user.target.d/10-burin.conf"),
        WANTED,
    ));
    for layer in &release.layers {
        for (name, text) in &layer.inline {
            let name = name.replace('/', "-");
            extras.push(file(format!("{}/{name}", manifests_folder(layer)), text));
        }
    }
    extras
}

fn directory(path: &str) -> ExtraFile {
    ExtraFile {
        path: path.to_owned(),
        mode: if path == "root" { 0o700 } else { 0o755 },
        content: ExtraContent::Directory,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(kind: LayerKind, name: &str) -> Layer {
        let text = format!(r#"{{"kind":"os","name":"{name}","facts":{{}}}}"#);
        Layer {
            kind,
            ..serde_json::from_str(&text).unwrap()
        }
    }

    fn release(layers: Vec<Layer>) -> Release {
        let text = r#"{"name":"r","version":"1","layers":[],"registries":[]}"#;
        Release {
            layers,
            ..serde_json::from_str(text).unwrap()
        }
    }

    #[test]
    fn inline_manifests_lie_where_kubernetes_setup_looks_for_them() {
        let mut inline = layer(LayerKind::Manifests, "cni");
        inline.inline.insert("../a.yaml".into(), "kind: X".into());
        let extras = extras(&release(vec![inline]), &[]);
        let last = extras.last().unwrap();
        assert_eq!(last.path, "usr/share/burin/manifests/cni/..-a.yaml");
        assert_eq!(last.content, ExtraContent::File(b"kind: X".to_vec()));
    }

    #[test]
    fn only_bind_mounts_on_the_sealed_root_need_a_place_in_it() {
        let bound = ["/srv/data", "/etc/thing", "/var/x", "/opt/app"].map(String::from);
        let paths: Vec<String> = extras(&release(Vec::new()), &bound)
            .into_iter()
            .map(|extra| extra.path)
            .collect();
        assert!(paths.contains(&"srv/data".to_owned()) && paths.contains(&"opt/app".to_owned()));
        assert!(
            !paths
                .iter()
                .any(|path| path.contains("thing") || path == "var/x")
        );
    }

    #[test]
    fn images_without_blobs_are_no_part_of_the_stack() {
        let stack = stack(&release(vec![layer(LayerKind::Manifests, "inline")]));
        assert_eq!(stack, []);
    }
}
