//! A strict, bounded reader of tar: POSIX ustar and pax (POSIX.1-2017, pax), GNU long names and
//! base-256 numbers (GNU tar manual, "Basic Tar Format"). Sparse files are refused.

mod header;
mod pax;

use std::collections::BTreeMap;
use std::io::{self, Read};

use header::Header;
use pax::Pax;

/// Bytes of a record.
const BLOCK: usize = 512;
/// Longest extended header, bytes. `PATH_MAX` names and 64 KiB of attributes fit many times.
const LONGEST_EXTENSION: u64 = 1 << 20;
/// Biggest file, bytes: more than any disk that burin installs to.
const BIGGEST_FILE: u64 = 1 << 44;

/// Why a tar is not read further.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// Reading the stream failed; the reason is the reader's own.
    #[error("the tar cannot be read")]
    Read(#[source] io::Error),
    /// The stream ended inside an entry or without the end mark.
    #[error("the tar ends too early, at byte {0}")]
    Truncated(u64),
    /// A header is malformed.
    #[error("the tar is damaged at byte {at}: {what}")]
    Damaged { at: u64, what: &'static str },
    /// Well-formed, but burin does not take it.
    #[error("the tar has {what} at byte {at}, which burin does not take")]
    Unsupported { at: u64, what: &'static str },
}

/// What an entry is, with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Its content follows: as many bytes as [`Entry::size`].
    File,
    HardLink(Vec<u8>),
    Symlink(Vec<u8>),
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// One entry, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it stands in the tar.
    pub path: Vec<u8>,
    pub kind: Kind,
    /// Bytes of content; 0 for all that is no file.
    pub size: u64,
    /// Permission bits, without the type.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970; fractions are cut off.
    pub mtime: i64,
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// Reads a tar from front to back.
#[derive(Debug)]
pub struct Tar<R> {
    reader: R,
    position: u64,
    /// Content and padding of the present entry that were not read yet.
    left: u64,
    padding: u64,
    global: Pax,
}

impl<R: Read> Tar<R> {
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            position: 0,
            left: 0,
            padding: 0,
            global: Pax::default(),
        }
    }

    /// The next entry; content of the present one that was not read is passed over.
    ///
    /// # Errors
    /// See [`TarError`]. After an error the reader is of no further use.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let (mut pax, mut long_path, mut long_link) = (Pax::default(), None, None);
        loop {
            self.pass_rest()?;
            let at = self.position;
            let damaged = |what| TarError::Damaged { at, what };
            let Some(block) = self.block()? else {
                return Ok(None);
            };
            let header = Header::parse(&block).map_err(damaged)?;
            if !matches!(header.kind, b'x' | b'g' | b'L' | b'K') {
                self.global.overlay(&mut pax);
                let entry = entry(header, pax, long_path, long_link, at)?;
                if entry.size > BIGGEST_FILE {
                    return Err(damaged("absurd size"));
                }
                self.left = entry.size;
                self.padding = padding(entry.size);
                return Ok(Some(entry));
            }
            let data = self.extension(header.size, at)?;
            match header.kind {
                b'x' => pax.read(&data).map_err(damaged)?,
                b'g' => self.global.read(&data).map_err(damaged)?,
                b'L' => long_path = Some(until_zero(data)),
                _ => long_link = Some(until_zero(data)),
            }
        }
    }

    /// The bytes of an extended header.
    fn extension(&mut self, size: u64, at: u64) -> Result<Vec<u8>, TarError> {
        if size > LONGEST_EXTENSION {
            return Err(TarError::Damaged {
                at,
                what: "absurdly long extended header",
            });
        }
        self.left = size;
        self.padding = padding(size);
        let mut data = vec![0; usize::try_from(size).unwrap_or_default()];
        self.fill(&mut data)?;
        self.left = 0;
        Ok(data)
    }

    /// One block; `None` at the end mark, after which the rest of the stream is read to its end.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        if block != [0; BLOCK] {
            return Ok(Some(block));
        }
        // What follows the end mark is no content, but the reader's checks (digests) lie at its end.
        let mut rest = [0; 8192];
        loop {
            match self.reader.read(&mut rest) {
                Ok(0) => return Ok(None),
                Ok(count) if rest[..count].iter().any(|b| *b != 0) => {
                    return Err(TarError::Damaged {
                        at: self.position,
                        what: "data after the end mark",
                    });
                }
                Ok(count) => self.position += count as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(error)),
            }
        }
    }

    fn pass_rest(&mut self) -> Result<(), TarError> {
        let count = self.left + self.padding;
        let passed = io::copy(&mut self.reader.by_ref().take(count), &mut io::sink())
            .map_err(TarError::Read)?;
        self.position += passed;
        if passed < count {
            return Err(TarError::Truncated(self.position));
        }
        self.left = 0;
        self.padding = 0;
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), TarError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => return Err(TarError::Truncated(self.position)),
                Ok(count) => {
                    filled += count;
                    self.position += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(error)),
            }
        }
        Ok(())
    }

    /// Reads the whole rest of the present entry's content, which the caller found to be small.
    ///
    /// # Errors
    /// See [`TarError`].
    pub fn content(&mut self) -> Result<Vec<u8>, TarError> {
        let mut data = vec![0; usize::try_from(self.left).unwrap_or(usize::MAX)];
        self.fill(&mut data)?;
        self.left = 0;
        Ok(data)
    }

    /// The next piece of the present entry's content; 0 at its end.
    ///
    /// # Errors
    /// See [`TarError`].
    pub fn piece(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let count = usize::try_from(self.left.min(buffer.len() as u64)).unwrap_or_default();
        self.fill(&mut buffer[..count])?;
        self.left -= count as u64;
        Ok(count)
    }

    /// The reader, wherever it stands.
    pub fn into_inner(self) -> R {
        self.reader
    }

    /// Bytes of tar read so far.
    pub fn position(&self) -> u64 {
        self.position
    }
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn until_zero(mut data: Vec<u8>) -> Vec<u8> {
    data.truncate(data.iter().position(|b| *b == 0).unwrap_or(data.len()));
    data
}

fn entry(
    header: Header,
    pax: Pax,
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    at: u64,
) -> Result<Entry, TarError> {
    let unsupported = |what| TarError::Unsupported { at, what };
    if pax.sparse || header.kind == b'S' {
        return Err(unsupported("a sparse file"));
    }
    let path = pax.path.or(long_path).unwrap_or(header.path);
    let link = pax.link.or(long_link).unwrap_or(header.link);
    let kind = match header.kind {
        // A name that ends in a slash was how a directory was written before POSIX.
        0 | b'0' | b'7' if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' => Kind::File,
        b'1' => Kind::HardLink(link),
        b'2' => Kind::Symlink(link),
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        _ => return Err(unsupported("an entry of unknown type")),
    };
    let size = pax.size.unwrap_or(header.size);
    let is_file = kind == Kind::File;
    if !is_file && size != 0 {
        return Err(unsupported("content in an entry that is no file"));
    }
    Ok(Entry {
        path,
        size: if is_file { size } else { 0 },
        kind,
        mode: header.mode & 0o7777,
        uid: pax.uid.unwrap_or(header.uid),
        gid: pax.gid.unwrap_or(header.gid),
        mtime: pax.mtime.unwrap_or(header.mtime),
        xattrs: pax.xattrs,
    })
}

#[cfg(test)]
mod tests;
