use std::fmt;
use std::io::{self, BufRead, Read};

use burin_core::oci::Packing;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::blob::{Chunk, Progress};
use crate::client::Registry;
use crate::error::{Cause, Error};
use crate::image::BlobRef;

/// Biggest zstd window, as a power of two: 32 MiB. `zstd -20` and below need no more; a bigger
/// window would cost the memory of the smallest hosts.
const ZSTD_WINDOW: u32 = 25;

/// One layer to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSpec {
    pub blob: BlobRef,
    /// `sha256:<hex>` of the tar. `None` only if the reader checks it itself.
    pub diff_id: Option<String>,
    /// Most bytes of tar that are accepted.
    pub most_unpacked: u64,
}

/// The tar of a layer, decompressed while it arrives. Reading ends well only after the blob's size
/// and digest, and the diff-id where it was given, have matched.
///
/// Blocking: read it outside the async runtime.
pub struct LayerStream {
    tar: Box<dyn Read + Send>,
    network: tokio::task::JoinHandle<()>,
    digest: String,
    diff_id: Option<(String, Sha256)>,
    unpacked: u64,
    most_unpacked: u64,
}

impl fmt::Debug for LayerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerStream")
            .field("digest", &self.digest)
            .field("unpacked", &self.unpacked)
            .finish_non_exhaustive()
    }
}

impl Drop for LayerStream {
    fn drop(&mut self) {
        self.network.abort();
    }
}

impl Registry {
    /// Starts to pull one layer; must be called inside the async runtime.
    ///
    /// `progress` is told the compressed bytes received so far.
    ///
    /// # Errors
    /// When the specification itself is unusable. All later errors come from reading, as an
    /// [`io::Error`] that wraps an [`Error`].
    pub fn layer(
        &self,
        repository: &str,
        spec: &LayerSpec,
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<LayerStream, Error> {
        let doing = format!("pulling {}/{repository}@{}", self.host(), spec.blob.digest);
        let packing = Packing::of_media_type(&spec.blob.media_type).ok_or_else(|| {
            let why = format!("{:?} is no tar, gzip or zstd layer", spec.blob.media_type);
            Error::new(&doing, Cause::Content(why))
        })?;
        let progress: Progress = std::sync::Arc::new(progress);
        let (chunks, network) = self.download(repository, &spec.blob, progress)?;
        let packed = Packed {
            chunks,
            chunk: bytes::Bytes::new(),
            ended: false,
        };
        let tar: Box<dyn Read + Send> =
            match packing {
                Packing::Tar => Box::new(packed),
                Packing::Gzip => Box::new(Gzip::Waiting(packed)),
                Packing::Zstd => Box::new(zstd(packed).map_err(|e| {
                    Error::new(&doing, Cause::Content(format!("preparing zstd: {e}")))
                })?),
            };
        Ok(LayerStream {
            tar,
            network,
            digest: spec.blob.digest.clone(),
            diff_id: spec.diff_id.clone().map(|id| (id, Sha256::new())),
            unpacked: 0,
            most_unpacked: spec.most_unpacked,
        })
    }
}

fn zstd(packed: Packed) -> io::Result<impl Read + Send> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
    decoder.window_log_max(ZSTD_WINDOW)?;
    Ok(decoder)
}

impl LayerStream {
    /// Bytes of tar read so far.
    #[must_use]
    pub fn unpacked(&self) -> u64 {
        self.unpacked
    }

    /// Reads what is left, so that every check is made.
    ///
    /// # Errors
    /// As reading.
    pub fn finish(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(drop)
    }

    fn fail(&self, why: String) -> io::Error {
        let doing = format!("unpacking layer {}", self.digest);
        io::Error::new(
            io::ErrorKind::InvalidData,
            Error::new(doing, Cause::Content(why)),
        )
    }
}

impl Read for LayerStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = match self.tar.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            // What the network said stays as it is; the rest is the decompressor's complaint.
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<Error>()) => {
                return Err(error);
            }
            Err(error) => return Err(self.fail(format!("the packed data is damaged: {error}"))),
        };
        self.unpacked += count as u64;
        if self.unpacked > self.most_unpacked {
            return Err(self.fail(format!(
                "it unpacks to more than the {} bytes that were announced",
                self.most_unpacked
            )));
        }
        if let Some((_, hash)) = &mut self.diff_id {
            hash.update(&buffer[..count]);
        }
        if count == 0
            && let Some((want, hash)) = &self.diff_id
        {
            let found = format!("sha256:{}", hex::encode(hash.clone().finalize()));
            if found != *want {
                return Err(self.fail(format!("its diff-id is {found}, the image says {want}")));
            }
        }
        Ok(count)
    }
}

/// A gzip decoder that is made at the first read: making it already waits for the header, which
/// would block the runtime.
enum Gzip {
    Waiting(Packed),
    Reading(Box<flate2::bufread::MultiGzDecoder<Packed>>),
    Gone,
}

impl Read for Gzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        *self = match std::mem::replace(self, Self::Gone) {
            Self::Waiting(packed) => {
                Self::Reading(Box::new(flate2::bufread::MultiGzDecoder::new(packed)))
            }
            other => other,
        };
        match self {
            Self::Reading(decoder) => decoder.read(buffer),
            Self::Waiting(_) | Self::Gone => Err(io::Error::other("the decoder is gone")),
        }
    }
}

/// The compressed bytes as the network task hands them over.
struct Packed {
    chunks: mpsc::Receiver<Chunk>,
    chunk: bytes::Bytes,
    /// The good end was seen.
    ended: bool,
}

impl BufRead for Packed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.chunk.is_empty() && !self.ended {
            match self.chunks.blocking_recv() {
                Some(Ok(chunk)) if chunk.is_empty() => self.ended = true,
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => {
                    let cause = Cause::Connection("the pull was ended from outside".into());
                    return Err(io::Error::other(Error::new("pulling a layer", cause)));
                }
            }
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, count: usize) {
        bytes::Buf::advance(&mut self.chunk, count);
    }
}

impl Read for Packed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        self.consume(count);
        Ok(count)
    }
}
