//! The outline of a merged tree: which paths there are and what they are.

use std::collections::BTreeMap;

use super::{Below, Decision, DropReason, EntryKind, MAX_ENTRIES, Origin, Refusal, Settled};
use super::{classify, hard_link, normalize, settle};

/// One entry of a tar, as far as the rules look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineEntry {
    /// As the tar has it.
    pub path: Vec<u8>,
    pub kind: EntryKind,
    /// Bytes of a file.
    pub size: u64,
    /// Target of a hard link, as the tar has it.
    pub link: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    kind: EntryKind,
    size: u64,
    /// Number of the image and of the layer that it came from.
    image: usize,
    layer: usize,
}

/// Paths, kinds and sizes of everything that was merged so far.
#[derive(Debug, Clone, Default)]
pub struct Outline {
    nodes: BTreeMap<String, Node>,
    image: usize,
    layer: usize,
    entries: u64,
    /// What was left out, by reason, for the log.
    dropped: Vec<(String, DropReason)>,
}

impl Outline {
    /// From here on entries belong to another image.
    pub fn start_image(&mut self) {
        self.image += 1;
        self.start_layer();
    }

    /// From here on entries belong to another layer of the same image.
    pub fn start_layer(&mut self) {
        self.layer += 1;
        self.entries = 0;
    }

    /// Takes the next entry of the layer.
    ///
    /// # Errors
    /// Whatever the rules refuse; the outline is then of no further use.
    pub fn add(&mut self, entry: &OutlineEntry, origin: Origin) -> Result<Decision, Refusal> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(Refusal::TooMany);
        }
        let path = normalize(&entry.path)?;
        if path.is_empty() {
            return Ok(Decision::Keep);
        }
        let decision = classify(&path, entry.kind, origin)?;
        match &decision {
            Decision::Keep => self.keep(&path, entry)?,
            Decision::Remove(target) => self.remove(target, true),
            Decision::Empty(target) => self.remove(target, false),
            Decision::Drop(reason) => {
                if self.dropped.len() < 1000 {
                    self.dropped.push((path, *reason));
                }
            }
        }
        Ok(decision)
    }

    fn keep(&mut self, path: &str, entry: &OutlineEntry) -> Result<(), Refusal> {
        self.check_parents(path)?;
        if entry.kind == EntryKind::HardLink {
            let layer = self.layer;
            hard_link(path, &entry.link, &|target| {
                let node = self.nodes.get(target)?;
                (node.layer == layer).then_some(node.kind)
            })?;
        }
        if let Some(below) = self.nodes.get(path).copied() {
            if below.layer == self.layer && entry.kind != EntryKind::Directory {
                return Err(Refusal::Duplicate(path.to_owned()));
            }
            let from = if below.image == self.image {
                Below::SameImage
            } else {
                Below::OtherImage
            };
            if settle(path, entry.kind, below.kind, from)? == Settled::Replace {
                self.remove_below(path);
            }
        }
        let node = Node {
            kind: entry.kind,
            size: if entry.kind == EntryKind::File {
                entry.size
            } else {
                0
            },
            image: self.image,
            layer: self.layer,
        };
        self.nodes.insert(path.to_owned(), node);
        Ok(())
    }

    /// Every parent must be a directory; those that the tar leaves out are made.
    fn check_parents(&mut self, path: &str) -> Result<(), Refusal> {
        for (at, _) in path.match_indices('/') {
            let parent = &path[..at];
            match self.nodes.get(parent).map(|n| n.kind) {
                Some(EntryKind::Directory) => {}
                Some(found) => {
                    return Err(Refusal::Parent {
                        path: path.to_owned(),
                        parent: parent.to_owned(),
                        found,
                    });
                }
                None => {
                    let node = Node {
                        kind: EntryKind::Directory,
                        size: 0,
                        image: self.image,
                        layer: self.layer,
                    };
                    self.nodes.insert(parent.to_owned(), node);
                }
            }
        }
        Ok(())
    }

    /// Whiteouts reach only layers below: what this layer put there itself stays, wherever the
    /// whiteout stands in its tar.
    fn remove(&mut self, target: &str, itself: bool) {
        let layer = self.layer;
        let mut gone: Vec<String> = self.below(target);
        if itself {
            gone.push(target.to_owned());
        }
        gone.retain(|path| self.nodes.get(path).is_some_and(|n| n.layer != layer));
        // A directory whose own content stays, stays as well.
        gone.retain(|path| {
            !self
                .below(path)
                .iter()
                .any(|p| self.nodes.get(p).is_some_and(|n| n.layer == layer))
        });
        for path in gone {
            self.nodes.remove(&path);
        }
    }

    fn remove_below(&mut self, path: &str) {
        for path in self.below(path) {
            self.nodes.remove(&path);
        }
    }

    fn below(&self, path: &str) -> Vec<String> {
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        self.nodes
            .range(prefix.clone()..)
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(&prefix))
            .cloned()
            .collect()
    }

    /// What lies at a normalized path.
    pub fn kind(&self, path: &str) -> Option<EntryKind> {
        self.nodes.get(path).map(|n| n.kind)
    }

    /// Bytes of the file at a normalized path.
    pub fn size(&self, path: &str) -> Option<u64> {
        self.nodes.get(path).map(|n| n.size)
    }

    /// All paths with kind and size, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, EntryKind, u64)> {
        self.nodes.iter().map(|(p, n)| (p.as_str(), n.kind, n.size))
    }

    /// Sum of the files, bytes, and their number.
    pub fn content(&self) -> (u64, u64) {
        self.nodes
            .values()
            .filter(|n| n.kind == EntryKind::File)
            .fold((0, 0), |(bytes, files), n| (bytes + n.size, files + 1))
    }

    /// What was left out, by reason; at most the first thousand.
    pub fn dropped(&self) -> &[(String, DropReason)] {
        &self.dropped
    }
}
