use std::sync::Arc;

use reqwest::{Response, StatusCode, header};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::client::{Get, Registry};
use crate::error::{Cause, Error};
use crate::image::{BlobRef, check_digest};

/// Chunks between network and reader. A chunk is what the socket gave, at most some hundred KiB,
/// so this bounds the memory of one blob to a few MiB.
const CHUNKS: usize = 8;

/// What the network hands to the reader. An empty chunk is the good end: size and digest matched.
pub(crate) type Chunk = Result<bytes::Bytes, Error>;

/// Called with the compressed bytes received so far.
pub(crate) type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// A blob under way: its hash goes on over every cut.
struct Download {
    registry: Registry,
    repository: String,
    blob: BlobRef,
    received: u64,
    hash: Sha256,
    chunks: mpsc::Sender<Chunk>,
    progress: Progress,
}

/// Why a connection was left before the end.
enum Left {
    Failed(Cause),
    /// Nobody reads any more.
    ReaderGone,
}

impl From<Cause> for Left {
    fn from(cause: Cause) -> Self {
        Self::Failed(cause)
    }
}

impl Registry {
    /// Starts to read a blob; the last chunk is followed by an empty one only when size and digest
    /// are those of `blob`, otherwise by an error.
    pub(crate) fn download(
        &self,
        repository: &str,
        blob: &BlobRef,
        progress: Progress,
    ) -> Result<(mpsc::Receiver<Chunk>, tokio::task::JoinHandle<()>), Error> {
        check_digest(&blob.digest).map_err(|cause| Error::new("reading a blob", cause))?;
        let (chunks, receiver) = mpsc::channel(CHUNKS);
        let download = Download {
            registry: self.clone(),
            repository: repository.to_string(),
            blob: blob.clone(),
            received: 0,
            hash: Sha256::new(),
            chunks,
            progress,
        };
        Ok((receiver, tokio::spawn(download.run())))
    }
}

impl Download {
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            let before = self.received;
            let cause = match self.attempt().await {
                Ok(()) => {
                    // The reader may have gone meanwhile; then nobody needs the end.
                    drop(self.chunks.send(Ok(bytes::Bytes::new())).await);
                    return;
                }
                Err(Left::ReaderGone) => return,
                Err(Left::Failed(cause)) => cause,
            };
            failures = if self.received > before {
                1
            } else {
                failures + 1
            };
            let doing = format!(
                "pulling {}/{}@{} ({} of {} bytes received)",
                self.registry.host(),
                self.repository,
                self.blob.digest,
                self.received,
                self.blob.size
            );
            let error = Error::new(doing, cause);
            match self.registry.retry.pause(&error, failures) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => {
                    drop(self.chunks.send(Err(error)).await);
                    return;
                }
            }
        }
    }

    /// One connection, from the first byte that is missing.
    async fn attempt(&mut self) -> Result<(), Left> {
        let path = format!("blobs/{}", self.blob.digest);
        let mut response = self
            .registry
            .get(Get {
                repository: &self.repository,
                path: &path,
                accept: "*/*",
                from: self.received,
            })
            .await?;
        let mut skip = self.check_start(&response)?;
        while let Some(mut chunk) = self.registry.patiently(response.chunk()).await? {
            // A server that ignores `Range` starts anew: what was already hashed is passed over.
            let passed = skip.min(chunk.len() as u64);
            skip -= passed;
            let chunk = chunk.split_off(usize::try_from(passed).unwrap_or(chunk.len()));
            if !chunk.is_empty() {
                self.take(chunk).await?;
            }
        }
        if self.received < self.blob.size {
            return Err(Cause::Connection("it ended early".into()).into());
        }
        let found = format!("sha256:{}", hex::encode(self.hash.clone().finalize()));
        if found != self.blob.digest {
            return Err(Cause::Content(format!("the blob's digest is {found}")).into());
        }
        Ok(())
    }

    /// Checks the announced place and length; the bytes to pass over.
    fn check_start(&self, response: &Response) -> Result<u64, Cause> {
        let wrong = |found: String| {
            Cause::Content(format!(
                "{found}, the manifest says {} bytes",
                self.blob.size
            ))
        };
        if response.status() == StatusCode::OK {
            return match response.content_length() {
                Some(length) if length != self.blob.size => {
                    Err(wrong(format!("it offers {length} bytes")))
                }
                _ => Ok(self.received),
            };
        }
        let range = response
            .headers()
            .get(header::CONTENT_RANGE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let want = format!(
            "bytes {}-{}/{}",
            self.received,
            self.blob.size - 1,
            self.blob.size
        );
        let open = format!("bytes {}-{}/*", self.received, self.blob.size - 1);
        if range != want && range != open {
            return Err(wrong(format!(
                "asked for the rest from byte {}, it offers {range:?}",
                self.received
            )));
        }
        Ok(0)
    }

    async fn take(&mut self, chunk: bytes::Bytes) -> Result<(), Left> {
        let received = self.received + chunk.len() as u64;
        if received > self.blob.size {
            let why = format!(
                "the blob is longer than the {} bytes of its manifest",
                self.blob.size
            );
            return Err(Cause::Content(why).into());
        }
        self.hash.update(&chunk);
        self.received = received;
        if self.chunks.send(Ok(chunk)).await.is_err() {
            return Err(Left::ReaderGone);
        }
        (self.progress)(received);
        Ok(())
    }
}
