//! The marks of imports under way. One that nobody holds was left by a crash or a power cut.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::super::Store;

/// Directory with one file for each import under way.
pub(in super::super) const UNDER_WAY: &str = "burin-importing";

/// One import: its mark, and the right to rely on the objects that are there.
#[derive(Debug)]
pub(super) struct UnderWay {
    path: PathBuf,
    /// Locked as long as the import lives.
    _mark: File,
    /// Held shared by every import, alone by a scrub.
    _objects: File,
}

impl UnderWay {
    /// Marks an import. If an earlier one was interrupted, all objects are read first and bad ones
    /// taken out, because composefs takes an object that exists for good without reading it.
    pub(super) fn begin(store: &Store, hex: &str) -> Result<Self> {
        let dir = store.dir.join(UNDER_WAY);
        let doing = || format!("beginning an import in {}", dir.display());
        let objects = File::open(&dir).with_context(doing)?;
        if !left_behind(&dir).with_context(doing)?.is_empty() {
            objects.lock().with_context(doing)?;
            // Another import may have done it while this one waited.
            let marks = left_behind(&dir).with_context(doing)?;
            if !marks.is_empty() {
                tracing::info!("an import was interrupted: reading all objects");
                let scrubbed = store.scrub(&|_| {})?;
                store.repair(&scrubbed)?;
            }
            for mark in marks {
                fs::remove_file(&mark).with_context(|| format!("removing {}", mark.display()))?;
            }
            objects.unlock().with_context(doing)?;
        }
        objects.lock_shared().with_context(doing)?;
        // Journalled before every object of this import, because ext4 keeps the order of such
        // changes: after a power cut it tells that objects may be torn.
        let path = dir.join(hex);
        let mark = File::create(&path).with_context(doing)?;
        mark.lock().with_context(doing)?;
        Ok(Self {
            path,
            _mark: mark,
            _objects: objects,
        })
    }

    /// Takes the mark away: everything is on the disk.
    pub(super) fn end(self) -> Result<()> {
        fs::remove_file(&self.path).with_context(|| format!("removing {}", self.path.display()))
    }
}

fn left_behind(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut marks = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let mark = match File::open(&path) {
            Ok(mark) => mark,
            // Its import ended just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        match mark.try_lock_shared() {
            Ok(()) => marks.push(path),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(marks)
}
