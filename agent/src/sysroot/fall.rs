//! What follows when a generation does not come up: the reason on all consoles and on the disk, then
//! another try, or another boot entry where the loader would start this one for ever.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use burin_core::boot::{BootTarget, EntryName, RECOVERY_ENTRY};
use burin_core::efi::wide;
use burin_core::generations::{Generation, last_good};
use burin_core::integrity::damage;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use super::{SYSTEM, switch};
use crate::context::Paths;
use crate::init::{self, early, say};
use crate::installed::generations;
use crate::machine::efi::{LOADER, Variables};
use crate::machine::file::{self, Mode};
use crate::machine::mount::mounted_at;
use crate::machine::power::{self, Leave};

/// Why the last boot did not come up, on the system partition.
pub const LAST_WORDS: &str = "last-words.json";
/// How long a person can read the reason before the machine restarts.
const READING_TIME: Duration = Duration::from_secs(15);
/// How often a proven generation may fall before another entry is started: once is a loose cable.
const FALLS: u32 = 2;
/// The loader's variable with the entry of the next boot only (Boot Loader Interface).
const ONE_SHOT: &str = "LoaderEntryOneShot";
/// Largest file of last words, bytes.
const LIMIT: usize = 1 << 20;
/// The longest record of `/dev/kmsg`, and how many damaged files are told.
const RECORD: usize = 8192;
const TOLD: usize = 8;

/// Why a generation did not come up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastWords {
    pub generation: u64,
    /// `initramfs`.
    pub place: String,
    /// Outermost first.
    pub causes: Vec<String>,
    /// What the kernel said of content that does not match its digest.
    pub damage: Vec<String>,
    /// How often it fell in a row.
    pub falls: u32,
}

impl LastWords {
    /// What an earlier boot left on the mounted system partition.
    ///
    /// # Errors
    /// When it cannot be read or makes no sense.
    pub fn find(system: &Path) -> Result<Option<Self>> {
        let path = system.join(LAST_WORDS);
        let Some(bytes) = file::read_if_there(&path, LIMIT)? else {
            return Ok(None);
        };
        let words = serde_json::from_slice(&bytes);
        words
            .map(Some)
            .with_context(|| format!("reading {}", path.display()))
    }
}

/// Says why, keeps the reason on the disk if it can, and restarts.
pub(super) fn give_up(err: &anyhow::Error) -> ! {
    say::everywhere(&format!("burin: this generation does not come up: {err:#}"));
    let next = fall(err).unwrap_or_else(|err| {
        say::everywhere(&format!("burin: {err:#}"));
        None
    });
    let follows = match next {
        Some(entry) => format!("the boot loader then starts {entry}"),
        None => "the boot loader then starts what has tries left".to_owned(),
    };
    let seconds = READING_TIME.as_secs();
    say::everywhere(&format!("burin: restarting in {seconds} s; {follows}"));
    switch::pause(READING_TIME);
    nix::unistd::sync();
    match power::leave(Leave::Reboot) {
        Ok(never) => match never {},
        Err(err) => init::park(&format!("burin: {err:#}; press the reset button")),
    }
}

/// Keeps the last words; the entry that the loader was told to start next, if it was.
fn fall(err: &anyhow::Error) -> Result<Option<String>> {
    let doing = || "the reason is not kept";
    let mounts = std::fs::read_to_string("/proc/self/mounts").with_context(doing)?;
    mounted_at(&mounts, SYSTEM)
        .context("the system partition is not mounted")
        .with_context(doing)?;
    let line = std::fs::read_to_string("/proc/cmdline").with_context(doing)?;
    let number = BootTarget::parse(&line).with_context(doing)?.generation;
    let system = Path::new(SYSTEM);
    // Words that cannot be read are replaced: what they said was said on the console as well.
    let before = LastWords::find(system).ok().flatten();
    let words = LastWords {
        generation: number,
        place: "initramfs".to_owned(),
        causes: err.chain().map(ToString::to_string).collect(),
        damage: kernel_log().map(damaged).unwrap_or_default(),
        falls: falls(before.as_ref(), number),
    };
    for what in &words.damage {
        say::everywhere(&format!("burin: corruption {what}"));
    }
    let bytes = serde_json::to_vec(&words).with_context(doing)?;
    file::replace(&system.join(LAST_WORDS), &bytes, Mode::Private).with_context(doing)?;
    let all = generations::all(&Paths::default())?;
    let Some(entry) = instead(&all, number, words.falls) else {
        return Ok(None);
    };
    let doing = || format!("the boot loader cannot be told to start {entry}");
    early::firmware_variables().with_context(doing)?;
    Variables::open(Path::new("/"))
        .context("this firmware keeps no variables")
        .and_then(|variables| variables.write(ONE_SHOT, LOADER, &wide(&entry)))
        .with_context(doing)?;
    Ok(Some(entry))
}

/// This fall's number in its row.
fn falls(before: Option<&LastWords>, generation: u64) -> u32 {
    let same = before.filter(|words| words.generation == generation);
    same.map_or(1, |words| words.falls.saturating_add(1))
}

/// The entry to start once instead of a proven generation that fell too often: its entry has no
/// counter, so the loader would never stop. The one before it, or the installer on the disk.
fn instead(all: &[Generation], number: u64, falls: u32) -> Option<String> {
    let proven = all
        .iter()
        .any(|one| one.content.number == number && !one.unproven());
    (proven && falls >= FALLS).then(|| {
        let good = last_good(all, Some(number));
        good.map_or(RECOVERY_ENTRY.to_owned(), |good| {
            EntryName::good(good).to_string()
        })
    })
}

fn kernel_log() -> Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
    options
        .open("/dev/kmsg")
        .context("opening the kernel's log")
}

/// What the kernel's log tells of damaged content, each file once, up to its present end.
fn damaged(mut log: impl Read) -> Vec<String> {
    let mut found = Vec::new();
    let mut subjects = Vec::new();
    let mut buffer = vec![0; RECORD];
    while found.len() < TOLD {
        let length = match log.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(err) if err.kind() == ErrorKind::Interrupted => continue,
            // Records were overwritten before they were read: the next read goes on after them.
            Err(err) if err.raw_os_error() == Some(Errno::EPIPE as i32) => continue,
            // The end so far, or a log that cannot be read: the words are kept without it.
            Err(_) => break,
        };
        let record = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        if let Some(one) = damage(&record)
            && !subjects.contains(&one.what)
        {
            subjects.push(one.what);
            found.push(one.message);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installed::generations::sample::generation;
    use burin_core::generations::State;

    #[test]
    fn falls_are_counted_in_a_row_of_one_generation() {
        let words = LastWords {
            generation: 2,
            falls: 1,
            ..LastWords::default()
        };
        assert_eq!(falls(None, 2), 1);
        assert_eq!(falls(Some(&words), 2), 2);
        assert_eq!(falls(Some(&words), 3), 1);
    }

    #[test]
    fn only_a_proven_generation_that_falls_again_is_replaced() {
        let good = State::Good { since: 1 };
        let one = [generation(1, good.clone())];
        let two = [generation(1, good.clone()), generation(2, good)];
        let new = [one[0].clone(), generation(2, State::Armed)];
        for (all, number, falls, want) in [
            (&one[..], 1, 1, None),
            (&one[..], 1, 2, Some("burin-recovery.conf")),
            (&two[..], 2, 2, Some("burin-1.conf")),
            // The loader counts this one.
            (&new[..], 2, 9, None),
            (&[], 1, 9, None),
        ] {
            assert_eq!(instead(all, number, falls).as_deref(), want, "{number}");
        }
    }

    #[test]
    fn damage_is_told_once_for_each_file() {
        struct Records(Vec<&'static str>);
        impl Read for Records {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let Some(record) = self.0.pop() else {
                    return Err(ErrorKind::WouldBlock.into());
                };
                buffer[..record.len()].copy_from_slice(record.as_bytes());
                Ok(record.len())
            }
        }
        let bad = "3,8,9,-;fs-verity (vda2, inode 1): FILE CORRUPTED! pos=0, level=-1";
        let fine = "6,1,1,-;usb 1-1: new device";
        let found = damaged(Records(vec![fine, bad, fine, bad]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("FILE CORRUPTED"));
    }
}
