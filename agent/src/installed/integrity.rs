//! Watches the kernel's log for content that does not match its digest.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use anyhow::{Context as _, Result};
use burin_api::event::EventKind;
use burin_core::integrity::damage;
use nix::errno::Errno;

use crate::context::Paths;
use crate::events::Events;

/// The longest record of `/dev/kmsg` (`PRINTK_MESSAGE_MAX` is 2048, with escapes four times that).
const RECORD: usize = 8192;
/// Damaged files that are told one by one; a dying disk has thousands.
const TOLD: usize = 64;

/// Reports every damaged file as an event, from the start of this boot on, for as long as the agent
/// lives. The kernel has refused the read already; nobody executes what is damaged.
///
/// # Errors
/// When the kernel's log cannot be opened or no thread be started.
pub fn watch(paths: &Paths, events: &Events) -> Result<()> {
    let log = open(&paths.root.join("dev/kmsg"))?;
    let events = events.clone();
    // Reading the log blocks until the kernel says something: it has a thread of its own.
    std::thread::Builder::new()
        .name("integrity".to_owned())
        .spawn(move || {
            if let Err(err) = follow(log, &events) {
                let err = err.context("watching for damaged content");
                events.report(EventKind::Note, "", &err);
            }
        })
        .context("starting the thread that watches for damaged content")?;
    Ok(())
}

fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("opening {}", path.display()))
}

/// Reads record by record until the log ends, which `/dev/kmsg` never does.
fn follow(mut log: impl Read, events: &Events) -> Result<()> {
    let mut told = BTreeSet::new();
    let mut buffer = vec![0; RECORD];
    loop {
        let length = match log.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(err) if err.kind() == ErrorKind::Interrupted => continue,
            // Records were overwritten before they were read: the next read goes on after them.
            Err(err) if err.raw_os_error() == Some(Errno::EPIPE as i32) => continue,
            Err(err) => return Err(err).context("reading the kernel's log"),
        };
        let record = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        if let Some(found) = damage(&record)
            && told.len() < TOLD
            && told.insert(found.what.clone())
        {
            events.corruption(format!(
                "content on the disk does not match its digest and is not used ({}): {}",
                found.what, found.message
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// Gives one record a read, as `/dev/kmsg` does, with an overwritten one between.
    struct Records(Vec<Result<&'static str, i32>>);

    impl Read for Records {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let record = self.0.remove(0).map_err(io::Error::from_raw_os_error)?;
            buffer[..record.len()].copy_from_slice(record.as_bytes());
            Ok(record.len())
        }
    }

    #[test]
    fn each_damaged_file_is_one_event() {
        let bad = "3,8,9,-;fs-verity (vda2, inode 1): FILE CORRUPTED! pos=0, level=-1";
        let other = "3,9,9,-;fs-verity (vda2, inode 2): FILE CORRUPTED! pos=0, level=-1";
        let fine = "6,1,1,-;usb 1-1: new device";
        let events = Events::new("boot");
        let log = Records(vec![
            Ok(bad),
            Ok(fine),
            Err(Errno::EPIPE as i32),
            Ok(bad),
            Ok(other),
        ]);
        follow(log, &events).unwrap();
        let found = events.after(0, 10);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|it| it.kind == EventKind::Corruption));
        assert!(found[1].message.contains("inode 2"));
    }

    #[test]
    fn a_log_that_breaks_is_an_error() {
        let log = Records(vec![Err(Errno::EIO as i32)]);
        let err = follow(log, &Events::new("boot")).unwrap_err();
        assert!(format!("{err:#}").contains("reading the kernel's log"));
    }
}
