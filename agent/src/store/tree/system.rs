//! From the merged tree to composefs' own.

use std::collections::HashMap;
use std::ffi::OsStr;

use anyhow::{Context, Result, bail};
use composefs::fsverity::FsVerityHashValue;
use composefs::generic_tree::{Inode, LeafContent, LeafId, Stat};
use composefs::tree::{Directory, FileSystem, RegularFile};

use super::super::ObjectId;
use super::super::record::{Content, Meta};
use super::{Place, Tree, plain_directory};

impl Tree {
    /// The file system that is sealed. The root takes owner, mode and time of `/usr`, because
    /// builders disagree on whether a tar has an entry for the root.
    pub(in super::super) fn into_file_system(self) -> Result<FileSystem<ObjectId>> {
        let usr = match self.nodes.get("usr").map(|node| &node.place) {
            Some(Place::Directory(meta)) => Some(meta.clone()),
            _ => None,
        };
        let root = usr.or(self.root).unwrap_or_else(|| plain_directory(0o755));
        let mut system = FileSystem::new(stat(&root)?);
        let mut numbers: HashMap<usize, LeafId> = HashMap::new();
        for (path, node) in &self.nodes {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            let inode = match &node.place {
                Place::Directory(meta) => Inode::Directory(Box::new(Directory::new(stat(meta)?))),
                Place::Leaf(leaf) => {
                    let number = match numbers.get(leaf) {
                        Some(number) => *number,
                        None => {
                            let (meta, content) = &self.leaves[*leaf];
                            let content = leaf_content(content)
                                .with_context(|| format!("sealing /{path}"))?;
                            let number = system.push_leaf(stat(meta)?, content);
                            numbers.insert(*leaf, number);
                            number
                        }
                    };
                    Inode::leaf(number)
                }
            };
            let parent = if parent.is_empty() {
                &mut system.root
            } else {
                system.root.get_directory_mut(OsStr::new(parent))?
            };
            parent.insert(OsStr::new(name), inode);
        }
        Ok(system)
    }
}

fn stat(meta: &Meta) -> Result<Stat> {
    let xattrs = meta
        .xattrs
        .iter()
        .map(|(name, value)| Ok((OsStr::new(name).into(), hex::decode(value)?.into())))
        .collect::<Result<_>>()?;
    Ok(Stat {
        st_mode: meta.mode,
        st_uid: meta.uid,
        st_gid: meta.gid,
        st_mtim_sec: meta.mtime,
        st_mtim_nsec: 0,
        xattrs,
    })
}

fn leaf_content(content: &Content) -> Result<LeafContent<RegularFile<ObjectId>>> {
    Ok(match content {
        Content::Inline(data) => {
            LeafContent::Regular(RegularFile::Inline(hex::decode(data)?.into()))
        }
        Content::Object { id, size, .. } => {
            LeafContent::Regular(RegularFile::External(ObjectId::from_hex(id)?, *size))
        }
        Content::Symlink(target) => LeafContent::Symlink(OsStr::new(target).into()),
        Content::Fifo => LeafContent::Fifo,
        Content::Directory | Content::HardLink(_) | Content::Device => {
            bail!("the record holds no content for it")
        }
    })
}
