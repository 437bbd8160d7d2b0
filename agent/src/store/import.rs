//! Import of a layer as a stream: one thread reads the tar, others hash and write the files.

mod under_way;
mod writers;

use std::collections::HashMap;
use std::io::{self, Read};

use anyhow::{Context, Result, bail, ensure};
use burin_core::merge::{EntryKind, MAX_ENTRIES, Refusal, hard_link, keeps_xattr, normalize};
use composefs::INLINE_CONTENT_MAX_V0;
use sha2::{Digest, Sha256};

use super::record::{Content, EntryRecord, LayerRecord, Meta};
use super::tar::{Entry, Kind, Tar};
use super::{Store, diff_id_hex};
pub(super) use under_way::UNDER_WAY;
use under_way::UnderWay;
use writers::Writers;

/// Files up to this size are handed to the writers in memory, bytes.
const IN_MEMORY: u64 = 256 << 10;
/// Longest target of a symbolic link that EROFS images of composefs take, bytes.
const LONGEST_TARGET: usize = composefs::SYMLINK_MAX;
/// Most bytes of extended attributes of one entry (kernel: `XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const MOST_XATTRS: usize = 64 << 10;

/// What a layer must turn out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerExpect {
    /// `sha256:<hex>` of the tar.
    pub diff_id: String,
    /// Most bytes of tar.
    pub unpacked: u64,
    /// Most entries.
    pub entries: u64,
}

impl Store {
    /// Imports one layer. It becomes reachable only when the whole tar was read and its digest is
    /// `expect.diff_id`, and everything is on the disk. Objects of a failed import stay behind,
    /// unreachable, and are used by the next attempt.
    ///
    /// `tar` must end in an error when what it reads is not verified. `progress` is told the bytes
    /// of tar read so far.
    ///
    /// # Errors
    /// Damage, refused entries, a wrong digest, a full or failing disk.
    pub fn import_layer(
        &self,
        expect: &LayerExpect,
        tar: impl Read,
        progress: &dyn Fn(u64),
    ) -> Result<()> {
        let hex = diff_id_hex(&expect.diff_id)?;
        if self.has_layer(&expect.diff_id) {
            return Ok(());
        }
        let import = UnderWay::begin(self, hex)?;
        let imported = self.import_entries(expect, tar, progress);
        let entries = imported.with_context(|| format!("importing layer {}", expect.diff_id));
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                // This process wrote whole objects or none: once synced, nothing is torn.
                self.sync()?;
                import.end()?;
                return Err(error);
            }
        };
        let written = self.write_record(&LayerRecord::new(&expect.diff_id, entries))?;
        self.sync()?;
        self.publish_record(&written)?;
        import.end()
    }

    fn import_entries(
        &self,
        expect: &LayerExpect,
        tar: impl Read,
        progress: &dyn Fn(u64),
    ) -> Result<Vec<EntryRecord>> {
        let reader = Hashing {
            inner: tar,
            hash: Sha256::new(),
            count: 0,
            most: expect.unpacked,
            progress,
        };
        let mut tar = Tar::new(io::BufReader::with_capacity(128 << 10, reader));
        let mut layer = Layer::default();
        let most = expect.entries.min(MAX_ENTRIES);
        let (contents, hashing) = std::thread::scope(|scope| -> Result<_> {
            let mut writers = Writers::start(self, scope);
            while let Some(entry) = tar.next_entry()? {
                ensure!(
                    (layer.entries.len() as u64) < most,
                    "it has more than the {most} entries that were announced"
                );
                let size = entry.size;
                let is_file = layer.add(entry)?;
                if is_file {
                    writers.take(layer.entries.len() - 1, size, &mut tar)?;
                }
            }
            let contents = writers.finish()?;
            Ok((contents, tar.into_inner().into_inner()))
        })?;
        hashing.check(&expect.diff_id)?;
        for (at, content) in contents {
            layer.entries[at].content = content;
        }
        Ok(layer.entries)
    }
}

/// The entries of a layer as they come.
#[derive(Default)]
struct Layer {
    entries: Vec<EntryRecord>,
    kinds: HashMap<String, EntryKind>,
}

impl Layer {
    /// Checks and keeps an entry; whether it is a file whose content is to be stored.
    fn add(&mut self, entry: Entry) -> Result<bool> {
        let path = normalize(&entry.path)?;
        let (kind, content) = self.content(&path, &entry.kind)?;
        let earlier = self.kinds.insert(path.clone(), kind);
        if earlier
            .is_some_and(|earlier| (earlier, kind) != (EntryKind::Directory, EntryKind::Directory))
        {
            bail!(Refusal::Duplicate(path));
        }
        let meta = Meta {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            xattrs: xattrs(&path, entry.xattrs)?,
        };
        self.entries.push(EntryRecord {
            path,
            meta,
            content,
        });
        Ok(kind == EntryKind::File)
    }

    fn content(&self, path: &str, kind: &Kind) -> Result<(EntryKind, Content)> {
        Ok(match kind {
            Kind::Directory => (EntryKind::Directory, Content::Directory),
            // Filled in when the writers are done.
            Kind::File => (EntryKind::File, Content::Inline(String::new())),
            Kind::Symlink(target) => {
                let text = std::str::from_utf8(target).ok();
                let text = text
                    .filter(|t| !t.is_empty() && t.len() <= LONGEST_TARGET && !t.contains('\0'));
                let target = text.with_context(|| {
                    format!(
                        "`{path}` is a symbolic link whose target is empty, too long or no UTF-8"
                    )
                })?;
                (EntryKind::Symlink, Content::Symlink(target.to_string()))
            }
            Kind::HardLink(target) => {
                let target = hard_link(path, target, &|at| self.kinds.get(at).copied())?;
                (EntryKind::HardLink, Content::HardLink(target))
            }
            Kind::CharDevice => (EntryKind::CharDevice, Content::Device),
            Kind::BlockDevice => (EntryKind::BlockDevice, Content::Device),
            Kind::Fifo => (EntryKind::Fifo, Content::Fifo),
        })
    }
}

fn xattrs(
    path: &str,
    found: std::collections::BTreeMap<String, Vec<u8>>,
) -> Result<std::collections::BTreeMap<String, String>> {
    let bytes: usize = found
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let names = found
        .keys()
        .all(|n| !n.is_empty() && n.len() <= 255 && !n.contains('\0'));
    ensure!(
        bytes <= MOST_XATTRS && names,
        "`{path}` has absurd extended attributes"
    );
    Ok(found
        .into_iter()
        .filter(|(name, _)| keeps_xattr(name))
        .map(|(name, value)| (name, hex::encode(value)))
        .collect())
}

/// Hashes and counts what is read.
struct Hashing<'a, R> {
    inner: R,
    hash: Sha256,
    count: u64,
    most: u64,
    progress: &'a dyn Fn(u64),
}

impl<R> Hashing<'_, R> {
    fn check(self, diff_id: &str) -> Result<()> {
        let found = format!("sha256:{}", hex::encode(self.hash.finalize()));
        ensure!(found == diff_id, "its diff-id is {found}");
        Ok(())
    }
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        if self.count > self.most {
            return Err(io::Error::other(format!(
                "the tar is longer than the {} bytes that were announced",
                self.most
            )));
        }
        self.hash.update(&buffer[..count]);
        (self.progress)(self.count);
        Ok(count)
    }
}
