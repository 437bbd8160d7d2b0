//! From imported layers to a sealed root.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use burin_api::desired::LayerKind;
use burin_core::kube::k3s::is_manifest;
use burin_core::merge::{Origin, new_layers};
use composefs::fsverity::FsVerityHashValue;

use super::record::{Content, EntryRecord, LayerRecord};
use super::tree::{ExtraFile, Tree};
use super::{ObjectId, Sealed, Store};

/// One image of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackLayer {
    pub kind: LayerKind,
    /// Lowest first; all imported.
    pub diff_ids: Vec<String>,
    /// Target path -> path in the image. When not empty, only these files are taken.
    pub files: BTreeMap<String, String>,
    /// Whether it may replace or remove the init, the kernel or burin's own files.
    pub replaces_system: bool,
    /// When given, and `files` is empty, the image's Kubernetes manifests are laid below this
    /// folder, and nothing else is taken.
    pub folder: Option<String>,
}

impl Store {
    /// Merges the stack, lowest image first, with burin's own files on top, and seals the root.
    /// The same stack gives the same digest on every machine.
    ///
    /// # Errors
    /// A layer that is not imported, whatever the merge rules refuse, a full or failing disk.
    pub fn merge(&self, stack: &[StackLayer], extras: &[ExtraFile]) -> Result<Sealed> {
        let mut tree = Tree::default();
        for (at, image) in stack.iter().enumerate() {
            self.merge_image(&mut tree, &stack[..at], image)
                .with_context(|| {
                    format!(
                        "merging image {} of {} ({:?})",
                        at + 1,
                        stack.len(),
                        image.kind
                    )
                })?;
        }
        for extra in extras {
            tree.add_extra(self, extra)?;
        }
        self.seal(tree).context("sealing the root")
    }

    fn merge_image(&self, tree: &mut Tree, below: &[StackLayer], image: &StackLayer) -> Result<()> {
        let origin = Origin {
            kind: image.kind,
            replaces_system: image.replaces_system,
        };
        tree.start_image();
        if image.files.is_empty() && image.folder.is_none() {
            // An image built FROM one that is in the stack adds only what is new.
            let new = below
                .iter()
                .filter(|lower| lower.files.is_empty() && lower.folder.is_none())
                .map(|lower| new_layers(&lower.diff_ids, &image.diff_ids))
                .min_by_key(|new| new.len())
                .unwrap_or(&image.diff_ids);
            for diff_id in new {
                let record = self.read_record(diff_id)?;
                check_modules(&record, image.kind)?;
                tree.apply(&record, origin)
                    .with_context(|| format!("applying layer {diff_id}"))?;
            }
            return Ok(());
        }
        // Only the picked files meet the rules of the stack; among themselves the image's layers
        // are one image that may hold anything.
        let whole = Origin {
            kind: LayerKind::Os,
            replaces_system: true,
        };
        let mut picked = Tree::default();
        for diff_id in &image.diff_ids {
            picked
                .apply(&self.read_record(diff_id)?, whole)
                .with_context(|| format!("applying layer {diff_id}"))?;
        }
        match &image.folder {
            Some(folder) if image.files.is_empty() => {
                let manifests = manifests(&picked, folder);
                if manifests.is_empty() {
                    bail!("the image holds no manifest, a .yaml, .yml or .json file");
                }
                tree.pick(&picked, &manifests, origin)
            }
            _ => tree.pick(&picked, &image.files, origin),
        }
    }

    /// Seals the agent's own image: one file, `/burin`.
    ///
    /// # Errors
    /// When the program cannot be read or stored.
    pub fn seal_agent(&self, binary: &Path) -> Result<Sealed> {
        let doing = || format!("sealing the agent's image with {}", binary.display());
        let data = std::fs::read(binary).with_context(doing)?;
        let content = self.keep(&data).with_context(doing)?;
        let mut tree = Tree::default();
        let program = EntryRecord {
            path: "burin".to_string(),
            meta: super::record::Meta {
                mode: 0o755,
                uid: 0,
                gid: 0,
                mtime: 0,
                xattrs: BTreeMap::new(),
            },
            content,
        };
        let origin = Origin {
            kind: LayerKind::Os,
            replaces_system: true,
        };
        tree.apply(&LayerRecord::new("agent", vec![program]), origin)?;
        self.seal(tree).with_context(doing)
    }

    /// Writes the EROFS image and puts everything on the disk.
    fn seal(&self, tree: Tree) -> Result<Sealed> {
        let system = tree.into_file_system()?;
        let id = system.commit_image(&self.objects, None)?;
        self.sync()?;
        Ok(Sealed::new(&id))
    }

    /// The objects that the files of a layer lie in.
    pub(super) fn objects_of(&self, diff_id: &str) -> Result<Vec<ObjectId>> {
        let mut objects = Vec::new();
        for entry in self.read_record(diff_id)?.entries {
            if let Content::Object { id, .. } = entry.content {
                objects.push(ObjectId::from_hex(&id).context("reading an object's name")?);
            }
        }
        Ok(objects)
    }
}

/// Where the manifests of an image go: one flat folder, names made of their paths.
fn manifests(image: &Tree, folder: &str) -> BTreeMap<String, String> {
    let files = image.files().filter(|path| is_manifest(path));
    files
        .map(|path| {
            (
                format!("{folder}/{}", path.replace('/', "-")),
                path.to_owned(),
            )
        })
        .collect()
}

/// Refuses kernel modules outside the OS image: the indexes of the merged tree would not have
/// them, and the kernel would never find them.
fn check_modules(record: &LayerRecord, kind: LayerKind) -> Result<()> {
    if kind == LayerKind::Os {
        return Ok(());
    }
    let module = record.entries.iter().find(|entry| {
        let path = entry.path.strip_prefix("usr/").unwrap_or(&entry.path);
        path.starts_with("lib/modules/") && path.contains(".ko")
    });
    if let Some(entry) = module {
        bail!(
            "layer {} brings the kernel module /{}; burin does not make module indexes anew yet, \
             put it into the OS image",
            record.diff_id,
            entry.path
        );
    }
    Ok(())
}
