//! Archives for the kernel's initramfs unpacker: the "newc" cpio of
//! Documentation/driver-api/early-userspace/buffer-format.rst.
use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use burin_core::initramfs::Member;

const MAGIC: &[u8; 6] = b"070701";
const HEADER: usize = 110;
/// Longest name the kernel takes (`N_ALIGN(PATH_MAX)`).
const NAME_LIMIT: usize = 4096;

/// What lies at one path of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A folder.
    Directory,
    /// A regular file with these bytes.
    File(Vec<u8>),
    /// A symbolic link to this target.
    Symlink(String),
    /// A character device with its major and minor number.
    CharDevice(u32, u32),
}

/// One path of an archive: its content and its permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Permission bits only (`0o755`).
    pub permissions: u32,
    /// What lies there.
    pub content: Content,
}

/// A file tree to be packed. Sorted by path, so that a folder comes before what is in it and the
/// packed bytes do not depend on the order of insertion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

impl Archive {
    /// Puts `content` at `path` (absolute or relative to the root), making its folders (0755).
    pub fn put(&mut self, path: &str, permissions: u32, content: Content) {
        let path = path.trim_matches('/');
        for (at, _) in path.match_indices('/') {
            self.entries.entry(path[..at].to_owned()).or_insert(Entry {
                permissions: 0o755,
                content: Content::Directory,
            });
        }
        self.entries.insert(
            path.to_owned(),
            Entry {
                permissions,
                content,
            },
        );
    }

    /// Puts a regular file at `path`.
    pub fn file(&mut self, path: &str, permissions: u32, bytes: impl Into<Vec<u8>>) {
        self.put(path, permissions, Content::File(bytes.into()));
    }

    /// Puts a folder at `path`.
    pub fn directory(&mut self, path: &str, permissions: u32) {
        self.put(path, permissions, Content::Directory);
    }

    /// Puts a symbolic link at `path`.
    pub fn symlink(&mut self, path: &str, target: &str) {
        self.put(path, 0o777, Content::Symlink(target.to_owned()));
    }

    /// What lies at `path`, if anything does.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path.trim_matches('/'))
    }

    /// Every path with its entry, sorted.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(path, entry)| (path.as_str(), entry))
    }

    /// The bytes of the archive: owner root, times zero, inodes numbered in order.
    ///
    /// # Errors
    /// A file or a name is longer than the format can say.
    pub fn pack(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        for (inode, (path, entry)) in (1u32..).zip(&self.entries) {
            write_entry(&mut out, inode, path, entry)
                .with_context(|| format!("packing /{path}"))?;
        }
        Member::TRAILER.write(&mut out)?;
        Ok(out)
    }

    /// Reads an archive back; zeros between members, as the kernel allows them, are skipped.
    ///
    /// # Errors
    /// The bytes are cut short, or are not a newc archive of the kinds that [`Content`] names.
    pub fn unpack(mut bytes: &[u8]) -> Result<Self> {
        let mut archive = Self::default();
        loop {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            bytes = &bytes[zeros..];
            if bytes.is_empty() {
                return Ok(archive);
            }
            let (path, entry, rest) = read_entry(bytes)?;
            bytes = rest;
            if path != Member::TRAILER.path {
                archive.entries.insert(path, entry);
            }
        }
    }
}

fn write_entry(out: &mut Vec<u8>, inode: u32, path: &str, entry: &Entry) -> Result<()> {
    let none: &[u8] = &[];
    let (kind, links, device, body) = match &entry.content {
        Content::Directory => (0o040_000, 2, (0, 0), none),
        Content::File(bytes) => (0o100_000, 1, (0, 0), &bytes[..]),
        Content::Symlink(target) => (0o120_000, 1, (0, 0), target.as_bytes()),
        Content::CharDevice(major, minor) => (0o020_000, 1, (*major, *minor), none),
    };
    let member = Member {
        path,
        inode,
        mode: kind | entry.permissions,
        links,
        device,
        body,
    };
    Ok(member.write(out)?)
}

fn read_entry(bytes: &[u8]) -> Result<(String, Entry, &[u8])> {
    let header = bytes.get(..HEADER).context("a cpio header is cut short")?;
    ensure!(header.starts_with(MAGIC), "not a newc cpio archive");
    let field = |index: usize| -> Result<u32> {
        let text = std::str::from_utf8(&header[6 + index * 8..14 + index * 8])?;
        u32::from_str_radix(text, 16).with_context(|| format!("cpio header field {text:?}"))
    };
    let (mode, size, name_size) = (field(1)?, field(6)? as usize, field(11)? as usize);
    ensure!(
        (1..=NAME_LIMIT).contains(&name_size),
        "a cpio name of {name_size} bytes"
    );
    let name = bytes
        .get(HEADER..HEADER + name_size - 1)
        .context("a cpio name is cut short")?;
    let path = std::str::from_utf8(name)
        .context("a cpio name is not UTF-8")?
        .to_owned();
    let start = (HEADER + name_size).next_multiple_of(4);
    let body = bytes.get(start..).and_then(|rest| rest.get(..size));
    let body = body.with_context(|| format!("/{path} is cut short"))?;
    let content = match mode & 0o170_000 {
        0o040_000 => Content::Directory,
        0o120_000 => Content::Symlink(std::str::from_utf8(body)?.to_owned()),
        0o020_000 => Content::CharDevice(field(9)?, field(10)?),
        0o100_000 | 0 => Content::File(body.to_vec()),
        kind => bail!("/{path} is of a kind that burin never packs ({kind:o})"),
    };
    let entry = Entry {
        permissions: mode & 0o7777,
        content,
    };
    let end = (start + size).next_multiple_of(4).min(bytes.len());
    Ok((path, entry, &bytes[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn small() -> Archive {
        let mut archive = Archive::default();
        archive.file("/etc/hello", 0o644, *b"hi\n");
        archive.symlink("lib", "usr/lib");
        archive.put("dev/console", 0o600, Content::CharDevice(5, 1));
        archive
    }

    #[test]
    fn the_bytes_are_those_that_gnu_cpio_writes_for_the_same_tree() {
        let packed = small().pack().unwrap();
        let text = String::from_utf8(packed).unwrap().replace('\0', "~");
        let head = |ino: u32, mode: &str, links: u32, size: u32, rdev: (u32, u32), name: u32| {
            format!(
                "070701{ino:08x}{mode}0000000000000000{links:08x}00000000{size:08x}\
                 0000000000000000{:08x}{:08x}{name:08x}00000000",
                rdev.0, rdev.1
            )
        };
        let want = [
            head(1, "000041ed", 2, 0, (0, 0), 4) + "dev~~~",
            head(2, "00002180", 1, 0, (5, 1), 12) + "dev/console~~~",
            head(3, "000041ed", 2, 0, (0, 0), 4) + "etc~~~",
            head(4, "000081a4", 1, 3, (0, 0), 10) + "etc/hello~hi\n~",
            head(5, "0000a1ff", 1, 7, (0, 0), 4) + "lib~~~usr/lib~",
            head(0, "00000000", 1, 0, (0, 0), 11) + "TRAILER!!!~~~~",
        ];
        assert_eq!(text, want.concat());
    }

    #[test]
    fn what_was_packed_reads_back_also_behind_padding() {
        let mut bytes = small().pack().unwrap();
        bytes.resize(bytes.len() + 4096, 0);
        assert_eq!(Archive::unpack(&bytes).unwrap(), small());
    }

    #[test]
    fn a_cut_archive_is_refused() {
        let bytes = small().pack().unwrap();
        let error = Archive::unpack(&bytes[..bytes.len() - 60]).unwrap_err();
        assert!(format!("{error:#}").contains("cut short"), "{error:#}");
    }

    proptest! {
        #[test]
        fn no_input_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400),
                                           at in 0usize..300, value in any::<u8>()) {
            let outcome = Archive::unpack(&bytes);
            prop_assert!(outcome.is_err() || bytes.iter().all(|byte| *byte == 0));
            let mut real = small().pack().unwrap();
            real[at] = value;
            if let Ok(archive) = Archive::unpack(&real) {
                prop_assert!(archive.pack().is_ok());
            }
        }
    }
}
