//! One image, streamed once: size and entries of each layer, facts, conflicts with the images
//! below it.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use burin_api::desired::{Blob, LayerFacts, LayerKind};
use burin_core::facts::FactsBuilder;
use burin_core::merge::{EntryKind, Origin, Outline, OutlineEntry, new_layers, normalize};
use burin_core::profile::LayerDocument;
use burin_registry::{Image, LayerSpec, LayerStream, Registry};
use tokio::runtime::Handle;

use super::progress::Teller;

/// Most bytes of tar of one layer: as large as a system partition.
const MOST_UNPACKED: u64 = 24 << 30;

/// Why an image cannot be published.
#[derive(Debug)]
pub(super) enum Fault {
    Registry(burin_registry::Error),
    /// The merge rules refuse it, or the tar is damaged.
    Rules(String),
    Hub(anyhow::Error),
}

/// What was measured of a blob.
#[derive(Debug, Clone, Copy)]
struct Measure {
    unpacked: u64,
    entries: u64,
}

/// The images below: what their merge looks like so far.
#[derive(Debug, Default)]
pub(super) struct Stack {
    outline: Outline,
    /// Diff-ids of the images that were merged whole.
    images: Vec<Vec<String>>,
    measured: HashMap<String, Measure>,
}

impl Stack {
    /// The layers of an image that are not below already.
    fn new_of<'a>(&self, diff_ids: &'a [String]) -> &'a [String] {
        self.images
            .iter()
            .map(|below| new_layers(below, diff_ids))
            .min_by_key(|new| new.len())
            .unwrap_or(diff_ids)
    }
}

/// An image and where it lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) registry: &'a Registry,
    pub(super) repository: &'a str,
    pub(super) image: &'a Image,
}

/// Streams what is new of an image and adds it to the stack.
pub(super) async fn image(
    subject: Subject<'_>,
    layer: &LayerDocument,
    stack: &mut Stack,
    teller: &Teller,
) -> Result<(Vec<Blob>, LayerFacts), Fault> {
    let mut work = Work::new(layer, std::mem::take(stack));
    let image = subject.image.clone();
    let skipped = if work.is_picked() {
        0
    } else {
        image.diff_ids.len() - work.stack.new_of(&image.diff_ids).len()
    };
    let runtime = Handle::current();
    let (registry, repository) = (subject.registry.clone(), subject.repository.to_owned());
    teller.total(image.blobs[skipped..].iter().map(|blob| blob.size).sum());
    let teller = teller.clone();
    let done = tokio::task::spawn_blocking(move || {
        let guard = runtime.enter();
        work.stack.outline.start_image();
        let mut before = 0;
        for at in skipped..image.blobs.len() {
            let spec = LayerSpec {
                blob: image.blobs[at].clone(),
                diff_id: image.diff_ids.get(at).cloned(),
                most_unpacked: MOST_UNPACKED,
            };
            let teller = teller.clone();
            let stream = registry
                .layer(&repository, &spec, move |here| teller.done(before + here))
                .map_err(Fault::Registry)?;
            work.layer(stream, &spec.blob.digest)?;
            before += spec.blob.size;
        }
        drop(guard);
        work.finish(&image)
    })
    .await;
    let (blobs, facts, back) = done.map_err(|err| Fault::Hub(err.into()))??;
    *stack = back;
    Ok((blobs, facts))
}

struct Work {
    facts: FactsBuilder,
    /// The rules that the entries meet in the stack.
    origin: Origin,
    kind: LayerKind,
    files: BTreeMap<String, String>,
    /// The image by itself, when only parts of it go into the stack.
    whole: Outline,
    links: bool,
    stack: Stack,
}

impl Work {
    fn new(layer: &LayerDocument, stack: Stack) -> Self {
        let origin = Origin {
            kind: layer.kind,
            replaces_system: layer.replaces_system,
        };
        let anything = Origin {
            kind: LayerKind::Os,
            replaces_system: true,
        };
        let picked = !layer.files.is_empty() || layer.kind == LayerKind::Manifests;
        Self {
            facts: FactsBuilder::new(if picked { anything } else { origin }),
            origin,
            kind: layer.kind,
            files: layer.files.clone(),
            whole: Outline::default(),
            links: false,
            stack,
        }
    }

    /// Only parts of the image go into the root.
    fn is_picked(&self) -> bool {
        !self.files.is_empty() || self.kind == LayerKind::Manifests
    }

    fn layer(&mut self, stream: LayerStream, digest: &str) -> Result<(), Fault> {
        self.facts.start_layer();
        self.whole.start_layer();
        self.stack.outline.start_layer();
        let mut archive = tar::Archive::new(stream);
        let mut count = 0;
        let damaged = |err: std::io::Error| fault(err, digest);
        for entry in archive.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            if entry.header().entry_type().is_pax_global_extensions() {
                continue;
            }
            count += 1;
            let outline = outline(&entry, digest)?;
            if let Some(path) = self.entry(&outline, digest)? {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(damaged)?;
                self.facts.content(path, bytes);
            }
        }
        let mut stream = archive.into_inner();
        // The end of the tar is not the end of the blob; only there the digests are checked.
        stream.finish().map_err(damaged)?;
        let measure = Measure {
            unpacked: stream.unpacked(),
            entries: count,
        };
        self.stack.measured.insert(digest.to_owned(), measure);
        Ok(())
    }

    /// The path whose content the facts need, if they do.
    fn entry(&mut self, entry: &OutlineEntry, digest: &str) -> Result<Option<String>, Fault> {
        let rules = |refusal: burin_core::merge::Refusal| {
            Fault::Rules(format!("layer {digest}: {refusal}"))
        };
        self.links |= entry.kind == EntryKind::Symlink;
        let wanted = self.facts.entry(entry).map_err(rules)?;
        if self.is_picked() {
            let anything = Origin {
                kind: LayerKind::Os,
                replaces_system: true,
            };
            self.whole.add(entry, anything).map_err(rules)?;
        } else {
            self.no_module(entry, digest)?;
            self.stack.outline.add(entry, self.origin).map_err(rules)?;
        }
        Ok(wanted)
    }

    /// The agent refuses these as well: the module indexes of the OS image would not have them.
    fn no_module(&self, entry: &OutlineEntry, digest: &str) -> Result<(), Fault> {
        let path = String::from_utf8_lossy(&entry.path);
        let path = path.trim_start_matches("./").trim_start_matches('/');
        let path = path.strip_prefix("usr/").unwrap_or(path);
        if self.kind != LayerKind::Os && path.starts_with("lib/modules/") && path.contains(".ko") {
            return Err(Fault::Rules(format!(
                "layer {digest} brings the kernel module {path}; put it into the OS image"
            )));
        }
        Ok(())
    }

    fn finish(mut self, image: &Image) -> Result<(Vec<Blob>, LayerFacts, Stack), Fault> {
        if self.is_picked() {
            self.pick()?;
        } else {
            self.stack.images.push(image.diff_ids.clone());
        }
        let mut blobs = Vec::new();
        for (blob, diff_id) in image.blobs.iter().zip(&image.diff_ids) {
            let measure = self.stack.measured.get(&blob.digest).ok_or_else(|| {
                Fault::Rules(format!(
                    "layer {} is another blob than the same layer of the image below",
                    blob.digest
                ))
            })?;
            blobs.push(Blob {
                digest: blob.digest.clone(),
                diff_id: diff_id.clone(),
                size: blob.size,
                media_type: blob.media_type.clone(),
                unpacked: measure.unpacked,
                entries: measure.entries,
            });
        }
        Ok((blobs, self.facts.finish(), self.stack))
    }

    /// Adds what `files:` takes out of the image to the stack.
    fn pick(&mut self) -> Result<(), Fault> {
        if self.files.is_empty() {
            let manifest = |path: &str| {
                [".yaml", ".yml", ".json"]
                    .iter()
                    .any(|end| path.ends_with(end))
            };
            if !self
                .whole
                .entries()
                .any(|(path, kind, _)| kind == EntryKind::File && manifest(path))
            {
                let why = "the image holds no manifest, a .yaml, .yml or .json file";
                return Err(Fault::Rules(why.to_owned()));
            }
            return Ok(());
        }
        self.stack.outline.start_layer();
        for (target, source) in std::mem::take(&mut self.files) {
            let rules = |refusal: burin_core::merge::Refusal| {
                Fault::Rules(format!(
                    "taking {source} out of the image as {target}: {refusal}"
                ))
            };
            let path = normalize(source.as_bytes()).map_err(rules)?;
            let Some(kind) = self.whole.kind(&path) else {
                if self.links {
                    // It may lie behind a symbolic link; the host, which keeps them, will tell.
                    continue;
                }
                return Err(Fault::Rules(format!("the image has no {source}")));
            };
            let below = format!("{path}/");
            let target = target.trim_end_matches('/');
            let mut taken = vec![(target.to_owned(), kind, self.whole.size(&path).unwrap_or(0))];
            taken.extend(self.whole.entries().filter_map(|(path, kind, size)| {
                let rest = path.strip_prefix(&below)?;
                Some((format!("{target}/{rest}"), kind, size))
            }));
            for (path, kind, size) in taken {
                let kind = match kind {
                    EntryKind::HardLink => EntryKind::File,
                    other => other,
                };
                let entry = OutlineEntry {
                    path: path.into_bytes(),
                    kind,
                    size,
                    link: Vec::new(),
                };
                self.stack.outline.add(&entry, self.origin).map_err(rules)?;
            }
        }
        Ok(())
    }
}

/// An error of reading: the registry's own, or a damaged tar.
fn fault(err: std::io::Error, digest: &str) -> Fault {
    match err.downcast::<burin_registry::Error>() {
        Ok(err) => Fault::Registry(err),
        Err(err) => Fault::Rules(format!("layer {digest}: reading the tar: {err}")),
    }
}

fn outline<R: Read>(entry: &tar::Entry<'_, R>, digest: &str) -> Result<OutlineEntry, Fault> {
    use tar::EntryType;
    let kind = match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => EntryKind::File,
        EntryType::Directory => EntryKind::Directory,
        EntryType::Link => EntryKind::HardLink,
        EntryType::Symlink => EntryKind::Symlink,
        EntryType::Char => EntryKind::CharDevice,
        EntryType::Block => EntryKind::BlockDevice,
        EntryType::Fifo => EntryKind::Fifo,
        other => {
            let why = format!("layer {digest}: a tar entry has the unknown type {other:?}");
            return Err(Fault::Rules(why));
        }
    };
    let link = entry.link_name_bytes().unwrap_or_default().into_owned();
    Ok(OutlineEntry {
        path: entry.path_bytes().into_owned(),
        kind,
        size: entry.size(),
        link: if kind == EntryKind::HardLink {
            link
        } else {
            Vec::new()
        },
    })
}
