//! The tree that layers are merged into, and its way into a composefs file system.

mod system;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use anyhow::{Context, Result, anyhow, bail};
use burin_core::merge::{
    Below, Decision, EntryKind, Origin, Refusal, Settled, classify, normalize, settle,
};
use composefs::INLINE_CONTENT_MAX_V0;
use composefs::fsverity::FsVerityHashValue;

use super::Store;
use super::record::{Content, EntryRecord, LayerRecord, Meta};

/// What burin itself puts into a root: mount points, unit files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraFile {
    /// With or without a slash at the start.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    pub content: ExtraContent,
}

/// Content of an [`ExtraFile`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtraContent {
    /// Stays as it is where the layers have it.
    Directory,
    Symlink(String),
    File(Vec<u8>),
}

/// One path.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) kind: EntryKind,
    pub(super) place: Place,
    image: usize,
    layer: usize,
}

/// Where the rest of a node is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Directory(Meta),
    /// Number in [`Tree::leaves`]; hard links share one.
    Leaf(usize),
}

/// Paths in order, so that a parent comes before its children and a subtree is one range.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
    leaves: Vec<(Meta, Content)>,
    root: Option<Meta>,
    image: usize,
    layer: usize,
}

impl Tree {
    pub(super) fn start_image(&mut self) {
        self.image += 1;
    }

    /// Applies one layer of the present image.
    pub(super) fn apply(&mut self, record: &LayerRecord, origin: Origin) -> Result<()> {
        self.layer += 1;
        let by_path: HashMap<&str, usize> = record
            .entries
            .iter()
            .enumerate()
            .map(|(at, entry)| (entry.path.as_str(), at))
            .collect();
        let mut leaves: HashMap<usize, usize> = HashMap::new();
        for (at, entry) in record.entries.iter().enumerate() {
            if entry.path.is_empty() {
                self.root = Some(entry.meta.clone());
                continue;
            }
            let kind = kind(&entry.content);
            match classify(&entry.path, kind, origin)? {
                Decision::Keep => {}
                Decision::Remove(target) => {
                    self.remove(&target, true);
                    continue;
                }
                Decision::Empty(target) => {
                    self.remove(&target, false);
                    continue;
                }
                Decision::Drop(reason) => {
                    tracing::debug!(path = entry.path, ?reason, "left out");
                    continue;
                }
            }
            if kind == EntryKind::Directory {
                self.put(&entry.path, kind, Place::Directory(entry.meta.clone()))?;
                continue;
            }
            let source = link_source(record, &by_path, at)?;
            let leaf = *leaves.entry(source).or_insert_with(|| {
                let EntryRecord { meta, content, .. } = &record.entries[source];
                self.leaves.push((meta.clone(), content.clone()));
                self.leaves.len() - 1
            });
            let kind = self::kind(&record.entries[source].content);
            self.put(&entry.path, kind, Place::Leaf(leaf))?;
        }
        Ok(())
    }

    /// Puts one entry where the rules let it.
    fn put(&mut self, path: &str, kind: EntryKind, place: Place) -> Result<()> {
        self.make_parents(path)?;
        if let Some(below) = self.nodes.get(path) {
            if below.layer == self.layer && kind != EntryKind::Directory {
                bail!(Refusal::Duplicate(path.to_string()));
            }
            let from = if below.image == self.image {
                Below::SameImage
            } else {
                Below::OtherImage
            };
            if settle(path, kind, below.kind, from)? == Settled::Replace {
                self.remove_content(path);
            }
        }
        let node = Node {
            kind,
            place,
            image: self.image,
            layer: self.layer,
        };
        self.nodes.insert(path.to_string(), node);
        Ok(())
    }

    /// Every parent must be a directory; those that no layer has are made.
    fn make_parents(&mut self, path: &str) -> Result<()> {
        for (at, _) in path.match_indices('/') {
            let parent = &path[..at];
            match self.nodes.get(parent).map(|node| node.kind) {
                Some(EntryKind::Directory) => {}
                Some(found) => bail!(Refusal::Parent {
                    path: path.to_string(),
                    parent: parent.to_string(),
                    found,
                }),
                None => {
                    let node = Node {
                        kind: EntryKind::Directory,
                        place: Place::Directory(plain_directory(0o755)),
                        image: self.image,
                        layer: self.layer,
                    };
                    self.nodes.insert(parent.to_string(), node);
                }
            }
        }
        Ok(())
    }

    /// A whiteout: what layers below have at `target` goes, what this layer has stays, wherever in
    /// its tar the whiteout stands (OCI image specification, "Whiteouts").
    fn remove(&mut self, target: &str, itself: bool) {
        let layer = self.layer;
        let mut kept: Option<String> = None;
        // From the last path to the first: a directory whose content stays, stays as well.
        let mut paths = self.content(target);
        if itself && self.nodes.contains_key(target) {
            paths.insert(0, target.to_string());
        }
        for path in paths.into_iter().rev() {
            let holds_kept = kept.as_ref().is_some_and(|k| {
                k.strip_prefix(path.as_str())
                    .is_some_and(|r| r.starts_with('/'))
            });
            if holds_kept
                || self
                    .nodes
                    .get(&path)
                    .is_some_and(|node| node.layer == layer)
            {
                kept = Some(path);
            } else {
                self.nodes.remove(&path);
            }
        }
    }

    fn remove_content(&mut self, path: &str) {
        for path in self.content(path) {
            self.nodes.remove(&path);
        }
    }

    /// Everything below a directory, the empty path being the root, in order.
    fn content(&self, path: &str) -> Vec<String> {
        self.below(path).map(|(path, _)| path.clone()).collect()
    }

    fn below(&self, path: &str) -> impl Iterator<Item = (&String, &Node)> {
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        self.nodes
            .range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded))
            .take_while(move |(path, _)| path.starts_with(&prefix))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Takes what `files:` names out of an image and puts it where the profile wants it.
    pub(super) fn pick(
        &mut self,
        image: &Self,
        files: &BTreeMap<String, String>,
        origin: Origin,
    ) -> Result<()> {
        self.layer += 1;
        for (target, source) in files {
            let doing = || format!("taking {source:?} out of the image as {target:?}");
            let target = normalize(target.as_bytes()).with_context(doing)?;
            let source = normalize(source.as_bytes()).with_context(doing)?;
            let found = image.resolve(&source).with_context(doing)?;
            let mut taken = vec![(target.clone(), image.nodes[&found].clone())];
            taken.extend(
                image.below(&found).map(|(path, node)| {
                    (format!("{target}{}", &path[found.len()..]), node.clone())
                }),
            );
            for (path, node) in taken {
                if classify(&path, node.kind, origin).with_context(doing)? != Decision::Keep {
                    bail!("{}: burin leaves such a path out of every image", doing());
                }
                let place = match node.place {
                    Place::Leaf(leaf) => {
                        self.leaves.push(image.leaves[leaf].clone());
                        Place::Leaf(self.leaves.len() - 1)
                    }
                    directory @ Place::Directory(_) => directory,
                };
                self.put(&path, node.kind, place).with_context(doing)?;
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn kinds(&self) -> Vec<(String, EntryKind)> {
        let kinds = self.nodes.iter();
        kinds
            .map(|(path, node)| (path.clone(), node.kind))
            .collect()
    }

    /// Paths of all regular files.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        let files = self
            .nodes
            .iter()
            .filter(|(_, node)| node.kind == EntryKind::File);
        files.map(|(path, _)| path.as_str())
    }

    /// The path behind all symbolic links, inside the image.
    fn resolve(&self, path: &str) -> Result<String> {
        let symlink = |path: &str| match self.nodes.get(path).map(|node| &node.place) {
            Some(Place::Leaf(leaf)) => match &self.leaves[*leaf].1 {
                Content::Symlink(target) => Ok(Some(target.clone())),
                _ => Ok(None),
            },
            Some(Place::Directory(_)) => Ok(None),
            None => Err(anyhow!("the image has no /{path}")),
        };
        super::root::resolve(path, &symlink)
    }

    /// Puts burin's own files in, over whatever the layers have.
    pub(super) fn add_extra(&mut self, store: &Store, extra: &ExtraFile) -> Result<()> {
        let doing = || format!("adding burin's own /{}", extra.path.trim_start_matches('/'));
        let path = normalize(extra.path.as_bytes()).with_context(doing)?;
        let (kind, content) = match &extra.content {
            ExtraContent::Directory => (EntryKind::Directory, Content::Directory),
            ExtraContent::Symlink(target) => (EntryKind::Symlink, Content::Symlink(target.clone())),
            ExtraContent::File(data) => (EntryKind::File, store.keep(data).with_context(doing)?),
        };
        let there = self.nodes.get(&path).map(|node| node.kind);
        if kind == EntryKind::Directory && there == Some(EntryKind::Directory) {
            return Ok(());
        }
        self.layer += 1;
        let meta = plain_directory(extra.mode & 0o7777);
        let place = if kind == EntryKind::Directory {
            Place::Directory(meta)
        } else {
            self.leaves.push((meta, content));
            Place::Leaf(self.leaves.len() - 1)
        };
        self.start_image();
        self.put(&path, kind, place).with_context(doing)
    }
}

impl Store {
    /// Content as a layer's record has it: inline when small, else an object.
    pub(super) fn keep(&self, data: &[u8]) -> Result<Content> {
        use sha2::Digest;
        if data.len() <= INLINE_CONTENT_MAX_V0 {
            return Ok(Content::Inline(hex::encode(data)));
        }
        Ok(Content::Object {
            id: self.objects.ensure_object(data)?.to_hex(),
            size: data.len() as u64,
            sha256: hex::encode(sha2::Sha256::digest(data)),
        })
    }
}

/// The entry that holds what entry `at` is: itself, or the file behind a hard link.
fn link_source(record: &LayerRecord, by_path: &HashMap<&str, usize>, at: usize) -> Result<usize> {
    let mut source = at;
    while let Content::HardLink(target) = &record.entries[source].content {
        // The import let links point only to earlier entries, so this comes to an end.
        let earlier = by_path
            .get(target.as_str())
            .filter(|found| **found < source);
        source = *earlier.with_context(|| {
            format!(
                "the record of layer {} has a broken hard link to {target}",
                record.diff_id
            )
        })?;
    }
    Ok(source)
}

fn kind(content: &Content) -> EntryKind {
    match content {
        Content::Directory => EntryKind::Directory,
        Content::Inline(_) | Content::Object { .. } => EntryKind::File,
        Content::Symlink(_) => EntryKind::Symlink,
        Content::HardLink(_) => EntryKind::HardLink,
        Content::Fifo => EntryKind::Fifo,
        Content::Device => EntryKind::CharDevice,
    }
}

fn plain_directory(mode: u32) -> Meta {
    Meta {
        mode,
        uid: 0,
        gid: 0,
        mtime: 0,
        xattrs: BTreeMap::new(),
    }
}
