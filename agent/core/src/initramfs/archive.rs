//! The "newc" cpio that the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst).
//! Written as a stream, so that no copy of the whole archive is held.

use std::collections::BTreeSet;
use std::io::{self, Write};

use thiserror::Error;

/// Longest name that the kernel takes, bytes with the final zero.
const NAME_LIMIT: usize = 4096;
/// Bytes of a member's header.
const HEADER: usize = 110;

/// Why an archive could not be written.
#[derive(Debug, Error)]
pub enum ArchiveError {
    #[error("writing the archive")]
    Write(#[from] io::Error),
    #[error("`{0}` cannot be packed: its name or content is larger than the format can say")]
    TooLarge(String),
    #[error("`{0}` cannot be packed: it must be a relative path without `..`, and there only once")]
    Path(String),
}

/// A writer of one archive. Owner root, time zero, inodes in order: the same entries in the same
/// order give the same bytes on any machine.
#[derive(Debug)]
pub struct Archive<W> {
    out: W,
    inode: u32,
    seen: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    /// Starts an archive.
    pub fn new(out: W) -> Self {
        Self {
            out,
            inode: 0,
            seen: BTreeSet::new(),
        }
    }

    /// A folder (0755) and the folders above it; those that are there already are skipped.
    ///
    /// # Errors
    /// The writer fails, or the path is not plain.
    pub fn directory(&mut self, path: &str) -> Result<(), ArchiveError> {
        let ends = path.match_indices('/').map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            let folder = &path[..end];
            if !self.seen.contains(folder) {
                self.entry(folder, 0o040_755, 2, &[])?;
            }
        }
        Ok(())
    }

    /// A regular file, with the folders above it.
    ///
    /// # Errors
    /// The writer fails, the path is not plain or was written before, or the content has 4 GiB.
    pub fn file(&mut self, path: &str, executable: bool, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.parents(path)?;
        let mode = if executable { 0o100_755 } else { 0o100_644 };
        self.entry(path, mode, 1, bytes)
    }

    /// A symbolic link, with the folders above it.
    ///
    /// # Errors
    /// As [`Archive::file`].
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<(), ArchiveError> {
        self.parents(path)?;
        self.entry(path, 0o120_777, 1, target.as_bytes())
    }

    /// Ends the archive and gives the writer back.
    ///
    /// # Errors
    /// The writer fails.
    pub fn finish(mut self) -> Result<W, ArchiveError> {
        Member::TRAILER.write(&mut self.out)?;
        Ok(self.out)
    }

    fn parents(&mut self, path: &str) -> Result<(), ArchiveError> {
        match path.rsplit_once('/') {
            Some((folder, _)) => self.directory(folder),
            None => Ok(()),
        }
    }

    fn entry(
        &mut self,
        path: &str,
        mode: u32,
        links: u32,
        body: &[u8],
    ) -> Result<(), ArchiveError> {
        let plain = !path.is_empty()
            && !path.contains('\0')
            && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !plain || !self.seen.insert(path.to_owned()) {
            return Err(ArchiveError::Path(path.to_owned()));
        }
        self.inode += 1;
        let member = Member {
            path,
            inode: self.inode,
            mode,
            links,
            device: (0, 0),
            body,
        };
        member.write(&mut self.out)
    }
}

/// One member of an archive, as the format has it. Owner root, time zero.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    pub path: &'a str,
    pub inode: u32,
    /// Kind and permissions; 0 for the trailer.
    pub mode: u32,
    pub links: u32,
    /// Major and minor number of a device, else zeros.
    pub device: (u32, u32),
    pub body: &'a [u8],
}

impl Member<'_> {
    /// Ends an archive.
    pub const TRAILER: Member<'static> = Member {
        path: "TRAILER!!!",
        inode: 0,
        mode: 0,
        links: 1,
        device: (0, 0),
        body: &[],
    };

    /// Writes header, name and body, each padded: the next member starts aligned where this one did.
    ///
    /// # Errors
    /// The writer fails, or name or body is larger than the format can say.
    pub fn write(&self, out: &mut impl Write) -> Result<(), ArchiveError> {
        let too_large = || ArchiveError::TooLarge(self.path.to_owned());
        let size = u32::try_from(self.body.len()).map_err(|_| too_large())?;
        if self.path.len() >= NAME_LIMIT {
            return Err(too_large());
        }
        let name = u32::try_from(self.path.len() + 1).map_err(|_| too_large())?;
        let (major, minor) = self.device;
        let mut head = String::with_capacity(HEADER + self.path.len() + 4);
        head.push_str("070701");
        for field in [
            self.inode, self.mode, 0, 0, self.links, 0, size, 0, 0, major, minor, name, 0,
        ] {
            head.push_str(&format!("{field:08x}"));
        }
        head.push_str(self.path);
        head.push('\0');
        out.write_all(head.as_bytes())?;
        out.write_all(padding(head.len()))?;
        out.write_all(self.body)?;
        out.write_all(padding(self.body.len()))?;
        Ok(())
    }
}

/// Zeros up to the next multiple of four.
fn padding(length: usize) -> &'static [u8] {
    &[0; 3][..length.next_multiple_of(4) - length]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Vec<u8> {
        let mut archive = Archive::new(Vec::new());
        archive.file("init", true, b"#!\n").unwrap();
        archive.file("etc/burin/role", false, b"sysroot").unwrap();
        archive.symlink("lib", "usr/lib").unwrap();
        archive.directory("etc/burin").unwrap();
        archive.finish().unwrap()
    }

    #[test]
    fn the_bytes_are_golden() {
        let head = |ino: u32, mode: u32, links: u32, size: u32, name: u32| {
            format!(
                "070701{ino:08x}{mode:08x}{0:08x}{0:08x}{links:08x}{0:08x}{size:08x}{0:08x}{0:08x}{0:08x}{0:08x}{name:08x}{0:08x}",
                0
            )
        };
        let want = [
            head(1, 0o100_755, 1, 3, 5) + "init~~#!\n~",
            head(2, 0o040_755, 2, 0, 4) + "etc~~~",
            head(3, 0o040_755, 2, 0, 10) + "etc/burin~",
            head(4, 0o100_644, 1, 7, 15) + "etc/burin/role~~~~sysroot~",
            head(5, 0o120_777, 1, 7, 4) + "lib~~~usr/lib~",
            head(0, 0, 1, 0, 11) + "TRAILER!!!~~~~",
        ];
        let text = String::from_utf8(small()).unwrap().replace('\0', "~");
        let want: String = want.concat();
        assert_eq!(text.replace("~", ""), want.replace("~", ""));
        assert_eq!(small().len() % 4, 0);
        assert_eq!(small(), small());
    }

    #[test]
    fn a_path_is_packed_once_and_never_points_outside() {
        let mut archive = Archive::new(Vec::new());
        archive.file("a", false, b"1").unwrap();
        for path in ["a", "/a", "", "../a", "x/./y", "x//y"] {
            assert!(
                matches!(archive.file(path, false, b""), Err(ArchiveError::Path(_))),
                "{path}"
            );
        }
    }

    #[test]
    fn a_writer_that_fails_is_an_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::other("full"))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert!(matches!(
            Archive::new(Full).file("a", false, b"1"),
            Err(ArchiveError::Write(_))
        ));
    }
}
