//! The threads that hash file contents and write objects.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{Scope, ScopedJoinHandle};

use anyhow::{Context, Result, anyhow};
use composefs::fsverity::FsVerityHashValue;
use sha2::{Digest, Sha256};

use super::super::record::Content;
use super::super::tar::Tar;
use super::super::{Objects, Store, Verity};
use super::{IN_MEMORY, INLINE_CONTENT_MAX_V0};

/// Writers beside the reader. The reader's decompression takes about one core; more than two
/// writers only queue for the same journal.
const WRITERS: usize = 2;
/// Contents between reader and writers; with [`IN_MEMORY`] it bounds their memory to 8 MiB.
const QUEUE: usize = 32;

/// One file content on its way.
enum Job {
    Memory(usize, Vec<u8>),
    /// Too big for memory: an unnamed file of the object directory, already written.
    Written(usize, File, u64),
}

/// A stored content and the number of its entry.
type Stored = (usize, Content);

/// The pool, fed by the thread that reads the tar.
pub(super) struct Writers<'scope> {
    objects: Arc<Objects>,
    jobs: SyncSender<Job>,
    stored: Receiver<Stored>,
    threads: Vec<ScopedJoinHandle<'scope, Result<()>>>,
    small: Vec<Stored>,
    buffer: Vec<u8>,
}

impl<'scope> Writers<'scope> {
    pub(super) fn start(store: &Store, scope: &'scope Scope<'scope, '_>) -> Self {
        let (jobs, queue) = sync_channel(QUEUE);
        let (done, stored) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let threads = (0..WRITERS)
            .map(|_| {
                let writer = Writer {
                    objects: Arc::clone(&store.objects),
                    verity: store.verity,
                    queue: Arc::clone(&queue),
                    done: done.clone(),
                };
                scope.spawn(move || writer.run())
            })
            .collect();
        Self {
            objects: Arc::clone(&store.objects),
            jobs,
            stored,
            threads,
            small: Vec::new(),
            buffer: vec![0; 256 << 10],
        }
    }

    /// Reads the content of the present entry, which is number `at` of the layer.
    pub(super) fn take(&mut self, at: usize, size: u64, tar: &mut Tar<impl Read>) -> Result<()> {
        if size <= INLINE_CONTENT_MAX_V0 as u64 {
            let content = Content::Inline(hex::encode(tar.content()?));
            self.small.push((at, content));
            return Ok(());
        }
        let job = if size <= IN_MEMORY {
            Job::Memory(at, tar.content()?)
        } else {
            let mut file = File::from(self.objects.create_object_tmpfile()?);
            loop {
                let count = tar.piece(&mut self.buffer)?;
                if count == 0 {
                    break;
                }
                file.write_all(&self.buffer[..count])
                    .context("writing an object")?;
            }
            Job::Written(at, file, size)
        };
        if self.jobs.send(job).is_err() {
            // The writers ended early: one of them has the reason.
            return Err(self.reason());
        }
        Ok(())
    }

    /// Waits for all contents: pairs of entry number and content.
    pub(super) fn finish(mut self) -> Result<Vec<Stored>> {
        // The closed queue ends the writers.
        let (jobs, _) = sync_channel(0);
        drop(std::mem::replace(&mut self.jobs, jobs));
        for thread in std::mem::take(&mut self.threads) {
            joined(thread)?;
        }
        let mut stored = std::mem::take(&mut self.small);
        stored.extend(self.stored.try_iter());
        Ok(stored)
    }

    fn reason(&mut self) -> anyhow::Error {
        let failed = std::mem::take(&mut self.threads).into_iter().map(joined);
        failed
            .filter_map(Result::err)
            .next()
            .unwrap_or_else(|| anyhow!("the writers of objects ended early"))
    }
}

fn joined(thread: ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread
        .join()
        .unwrap_or_else(|_| Err(anyhow!("a writer of objects died")))
}

struct Writer {
    objects: Arc<Objects>,
    verity: Verity,
    queue: Arc<Mutex<Receiver<Job>>>,
    done: Sender<Stored>,
}

impl Writer {
    fn run(self) -> Result<()> {
        loop {
            let job = {
                let queue = self
                    .queue
                    .lock()
                    .map_err(|_| anyhow!("another writer died"))?;
                queue.recv()
            };
            let Ok(job) = job else {
                return Ok(());
            };
            let stored = match job {
                Job::Memory(at, data) => (at, self.store(&data)?),
                Job::Written(at, file, size) => (at, self.finish(file, size)?),
            };
            if self.done.send(stored).is_err() {
                return Ok(());
            }
        }
    }

    fn store(&self, data: &[u8]) -> Result<Content> {
        let sha256 = hex::encode(Sha256::digest(data));
        let size = data.len() as u64;
        let id = match self.verity {
            // The kernel computes the digest when it takes the file: not twice, it is the most
            // expensive part under an emulated processor.
            Verity::Required => {
                let mut file = File::from(self.objects.create_object_tmpfile()?);
                file.write_all(data).context("writing an object")?;
                self.objects.finalize_object_tmpfile(file, size)?.0
            }
            Verity::Off => self.objects.ensure_object(data)?,
        };
        Ok(Content::Object {
            id: id.to_hex(),
            size,
            sha256,
        })
    }

    fn finish(&self, mut file: File, size: u64) -> Result<Content> {
        let mut hash = Sha256::new();
        file.rewind().context("reading an object back")?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = file.read(&mut buffer).context("reading an object back")?;
            if count == 0 {
                break;
            }
            hash.update(&buffer[..count]);
        }
        let (id, _) = self.objects.finalize_object_tmpfile(file, size)?;
        Ok(Content::Object {
            id: id.to_hex(),
            size,
            sha256: hex::encode(hash.finalize()),
        })
    }
}
