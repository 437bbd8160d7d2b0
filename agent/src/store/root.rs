//! Reading a sealed image without mounting it.

use std::fs::File;
use std::io::{Cursor, Read};

use anyhow::{Context, Result, anyhow, bail};
use burin_core::merge::EntryKind;
use composefs::erofs::reader::erofs_to_filesystem;
use composefs::fsverity::{FsVerityHashValue, FsVerityHasher};
use composefs::generic_tree::{Inode, LeafContent, LeafId};
use composefs::tree::{Directory, FileSystem, RegularFile};

use super::{ObjectId, Store, Verity, image_id};

/// Most symbolic links on the way to one file, as in the kernel (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

/// One path of a sealed image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Without a slash at the start.
    pub path: String,
    pub kind: EntryKind,
    /// Bytes of a file.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Target of a symbolic link.
    pub target: Option<String>,
}

/// A sealed image, opened for reading.
#[derive(Debug)]
pub struct Root<'a> {
    store: &'a Store,
    system: FileSystem<ObjectId>,
}

impl Store {
    /// Opens a sealed image for reading; its digest is checked.
    ///
    /// # Errors
    /// When there is no such image or it is damaged.
    pub fn root(&self, digest: &str) -> Result<Root<'_>> {
        let id = image_id(digest)?;
        let doing = || format!("reading the sealed image {digest}");
        let data = self.read_object(&id).with_context(doing)?;
        let system = erofs_to_filesystem(&data).with_context(doing)?;
        Ok(Root {
            store: self,
            system,
        })
    }

    /// Reads one file of a sealed image; symbolic links are followed inside the image.
    ///
    /// # Errors
    /// When it is not there, is no file, or is damaged.
    pub fn read_file(&self, digest: &str, path: &str) -> Result<Vec<u8>> {
        self.root(digest)?.read_file(path)
    }

    /// Everything below `prefix` in a sealed image, parents first, names in order.
    ///
    /// # Errors
    /// When the image cannot be read or has no such directory.
    pub fn walk(&self, digest: &str, prefix: &str) -> Result<Vec<Found>> {
        self.root(digest)?.walk(prefix)
    }

    /// A whole object, checked: by the kernel where it can, else here.
    pub(super) fn read_object(&self, id: &ObjectId) -> Result<Vec<u8>> {
        let data = self.objects.read_object(id)?;
        if self.verity == Verity::Off {
            let found = FsVerityHasher::<ObjectId>::hash(&data);
            if found != *id {
                bail!("object {} is damaged", id.to_hex());
            }
        }
        Ok(data)
    }
}

impl Root<'_> {
    /// Reads one file; symbolic links are followed inside the image.
    ///
    /// # Errors
    /// When it is not there, is no file, or is damaged.
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        match self.file(path)? {
            RegularFile::External(id, _) | RegularFile::ExternalNoVerity(id, _) => self
                .store
                .read_object(id)
                .with_context(|| format!("reading /{path}")),
            RegularFile::Inline(data) => Ok(data.to_vec()),
            RegularFile::Sparse(_) => bail!("/{path} has no content in the image"),
        }
    }

    /// Opens one file for reading piece by piece; symbolic links are followed inside the image.
    /// With fs-verity every read is checked by the kernel; without, the file is read at once.
    ///
    /// # Errors
    /// When it is not there, is no file, or is damaged.
    pub fn open_file(&self, path: &str) -> Result<Box<dyn Read + Send>> {
        match (self.file(path)?, self.store.verity) {
            (RegularFile::External(id, _), Verity::Required) => {
                let file = self.store.objects.open_object(id);
                Ok(Box::new(File::from(
                    file.with_context(|| format!("opening /{path}"))?,
                )))
            }
            _ => Ok(Box::new(Cursor::new(self.read_file(path)?))),
        }
    }

    /// Whether a path is there, and what; symbolic links are followed inside the image.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<Found> {
        let resolved = self.resolve(path).ok()?;
        let inode = self.inode(&resolved)?;
        Some(self.found(resolved, inode))
    }

    /// Everything below `prefix`, parents first, names in order.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn walk(&self, prefix: &str) -> Result<Vec<Found>> {
        let start = self.resolve(prefix)?;
        let mut all = Vec::new();
        if start.is_empty() {
            self.collect("", &self.system.root, &mut all);
            return Ok(all);
        }
        match self.inode(&start) {
            Some(Inode::Directory(directory)) => self.collect(&start, directory, &mut all),
            _ => bail!("the image has no directory /{prefix}"),
        }
        Ok(all)
    }

    fn collect(&self, path: &str, directory: &Directory<ObjectId>, all: &mut Vec<Found>) {
        for (name, inode) in directory.sorted_entries() {
            let name = name.to_string_lossy();
            let path = if path.is_empty() {
                name.into_owned()
            } else {
                format!("{path}/{name}")
            };
            if is_stub(inode, &self.system) {
                continue;
            }
            all.push(self.found(path.clone(), inode));
            if let Inode::Directory(directory) = inode {
                self.collect(&path, directory, all);
            }
        }
    }

    fn file(&self, path: &str) -> Result<&RegularFile<ObjectId>> {
        let resolved = self.resolve(path)?;
        if let Some(Inode::Leaf(id, _)) = self.inode(&resolved)
            && let LeafContent::Regular(file) = &self.leaf(*id).content
        {
            return Ok(file);
        }
        bail!("/{path} is no file")
    }

    fn found(&self, path: String, inode: &Inode<RegularFile<ObjectId>>) -> Found {
        let stat = inode.stat(&self.system.leaves);
        let (kind, size, target) = match inode {
            Inode::Directory(_) => (EntryKind::Directory, 0, None),
            Inode::Leaf(id, _) => match &self.leaf(*id).content {
                LeafContent::Regular(file) => (EntryKind::File, file.file_size(), None),
                LeafContent::Symlink(target) => (
                    EntryKind::Symlink,
                    0,
                    Some(target.to_string_lossy().into_owned()),
                ),
                LeafContent::Fifo => (EntryKind::Fifo, 0, None),
                LeafContent::Socket => (EntryKind::Socket, 0, None),
                LeafContent::BlockDevice(_) => (EntryKind::BlockDevice, 0, None),
                LeafContent::CharacterDevice(_) => (EntryKind::CharDevice, 0, None),
            },
        };
        Found {
            path,
            kind,
            size,
            mode: stat.st_mode & 0o7777,
            target,
        }
    }

    fn leaf(&self, id: LeafId) -> &composefs::tree::Leaf<ObjectId> {
        self.system.leaf(id)
    }

    fn inode(&self, path: &str) -> Option<&Inode<RegularFile<ObjectId>>> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let directory = if parent.is_empty() {
            &self.system.root
        } else {
            self.system.root.get_directory(parent.as_ref()).ok()?
        };
        directory.lookup(name.as_ref())
    }

    fn resolve(&self, path: &str) -> Result<String> {
        resolve(path.trim_matches('/'), &|path| match self.inode(path) {
            Some(Inode::Leaf(id, _)) => match &self.leaf(*id).content {
                LeafContent::Symlink(target) => Ok(Some(target.to_string_lossy().into_owned())),
                _ => Ok(None),
            },
            Some(Inode::Directory(_)) => Ok(None),
            None => Err(anyhow!("the image has no /{path}")),
        })
    }
}

/// The 256 whiteout stubs that format V1 puts into the root (`00` to `ff`): no content of anybody.
fn is_stub(inode: &Inode<RegularFile<ObjectId>>, system: &FileSystem<ObjectId>) -> bool {
    matches!(inode, Inode::Leaf(id, _) if matches!(system.leaf(*id).content, LeafContent::CharacterDevice(0)))
}

/// The path behind all symbolic links. `symlink` gives a link's target, `None` for anything else,
/// an error for what is not there. `..` and absolute targets stay inside.
pub(super) fn resolve(
    path: &str,
    symlink: &dyn Fn(&str) -> Result<Option<String>>,
) -> Result<String> {
    let mut todo: Vec<String> = path.rsplit('/').map(str::to_string).collect();
    let mut done: Vec<String> = Vec::new();
    let mut links = 0;
    while let Some(part) = todo.pop() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                done.pop();
                continue;
            }
            _ => done.push(part),
        }
        let Some(target) = symlink(&done.join("/"))? else {
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            bail!("/{path} is a loop of symbolic links");
        }
        done.pop();
        if target.starts_with('/') {
            done.clear();
        }
        todo.extend(target.rsplit('/').map(str::to_string));
    }
    Ok(done.join("/"))
}
