//! The record on disk: replaced as a whole and synced, in RAM until the system partition exists.

use std::sync::Mutex;

use anyhow::{Context as _, Result};
use burin_core::record::{LastError, Record};

use crate::context::Paths;
use crate::machine::file;

/// The record of the operation under way.
#[derive(Debug)]
pub struct Keeper {
    paths: Paths,
    record: Mutex<Record>,
}

/// Largest record that is read, in bytes.
const LIMIT: usize = 1024 * 1024;

impl Keeper {
    /// A record in RAM; [`Keeper::save`] writes it once the system partition is mounted.
    #[must_use]
    pub fn new(paths: &Paths, record: Record) -> Self {
        Self {
            paths: paths.clone(),
            record: Mutex::new(record),
        }
    }

    /// The record of a half-finished operation, if the mounted system partition holds one. A record
    /// that cannot be understood is none: everything in it can be found out again.
    ///
    /// # Errors
    /// When it cannot be read from the disk.
    pub fn find(paths: &Paths) -> Result<Option<Record>> {
        let found = file::read_if_there(&paths.record(), LIMIT)?;
        Ok(found.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Writes the first record of an operation, before the identity that says whose disk it is: a
    /// disk with an identity and without a record is a live host that nobody may touch.
    ///
    /// # Errors
    /// When the system partition cannot be written.
    pub fn begin(paths: &Paths, operation: &str) -> Result<()> {
        write(paths, &Record::new(operation))
    }

    /// What is recorded now.
    #[must_use]
    pub fn now(&self) -> Record {
        self.lock().clone()
    }

    /// Changes the record and writes it, if there is a place to write it to.
    ///
    /// # Errors
    /// When the system partition cannot be written.
    pub fn change(&self, change: impl FnOnce(&mut Record)) -> Result<()> {
        change(&mut self.lock());
        self.save()
    }

    /// Writes the record, if the system partition is ours and mounted: it then holds the identity,
    /// which is the first file on it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self) -> Result<()> {
        if !self.paths.identity_key().exists() {
            return Ok(());
        }
        write(&self.paths, &self.lock())
    }

    /// Notes a failed step.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn fail(&self, error: LastError) -> Result<()> {
        self.change(|record| record.fail(error))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Record> {
        // A panic while the record was held cannot leave it half-changed: each change is one value.
        self.record
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn write(paths: &Paths, record: &Record) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(record).context("writing the record")?;
    file::replace(&paths.record(), &bytes, file::Mode::Public)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_stays_in_ram_until_the_identity_is_on_disk() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        let keeper = Keeper::new(&paths, Record::new("op"));
        keeper.change(|record| record.begin("partition")).unwrap();
        assert_eq!(Keeper::find(&paths).unwrap(), None);
        assert_eq!(keeper.now().attempts("partition"), 1);

        std::fs::create_dir_all(&paths.system).unwrap();
        std::fs::write(paths.identity_key(), "key").unwrap();
        keeper.change(|record| record.begin("pull")).unwrap();
        let found = Keeper::find(&paths).unwrap().unwrap();
        assert_eq!(found, keeper.now());
        assert_eq!(found.under_way.as_deref(), Some("pull"));
    }

    #[test]
    fn a_damaged_record_is_no_record() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        std::fs::create_dir_all(&paths.system).unwrap();
        std::fs::write(paths.record(), "{half").unwrap();
        assert_eq!(Keeper::find(&paths).unwrap(), None);
    }
}
