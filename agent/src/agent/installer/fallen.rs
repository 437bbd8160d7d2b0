//! Started by the disk's own recovery entry though a host lies there: says, as that host, why it does
//! not come up, and waits. It is never installed over unasked.

use std::path::{Path, PathBuf};

use anyhow::{Error, Result};
use burin_api::event::EventKind;
use burin_core::boot::{EntryName, RECOVERY_OPTION};
use burin_core::generations::{Generation, State};
use burin_core::layout::Content;
use burin_core::view::Fact;

use crate::agent::disks::{self, Found};
use crate::agent::talk::Talk;
use crate::context::Paths;
use crate::events::Events;
use crate::hub::Identity;
use crate::installed::generations;
use crate::machine::file;
use crate::machine::mount::{Mounted, QUIET, Source};
use crate::steps::{Failure, Outcome, entry};
use crate::sysroot::LastWords;

const ADVICE: &str = "Its disk is left as it is. To try it again, choose its entry in the boot menu (hold \
    the space key while the machine starts); to start anew, assign a profile to it with --reinstall and \
    the disk's serial.";

/// A host that did not come up.
pub(super) struct Fallen {
    pub(super) identity: Identity,
    pub(super) why: Why,
}

/// Why it did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why {
    what: String,
    /// Outermost first; empty when nothing was recorded.
    causes: Vec<String>,
    damage: Vec<String>,
}

/// The partitions of a host, by device.
struct Host {
    system: PathBuf,
    esp: PathBuf,
}

/// Whether this boot is the recovery entry's. A person, an empty list of other entries or the host's
/// own initramfs chose it: sending the machine back to its disk would be a circle.
pub(super) fn is_this_boot(paths: &Paths) -> bool {
    let line = file::read_text(&paths.root.join("proc/cmdline"), 64 * 1024);
    line.is_ok_and(|line| line.split_whitespace().any(|word| word == RECOVERY_OPTION))
}

/// The host on these disks with the reason why it fell; none when there is not exactly one.
///
/// # Errors
/// When its system partition cannot be read.
pub(super) fn find(paths: &Paths, found: &[Found], user_data: &str) -> Result<Option<Fallen>> {
    let Some(host) = host(paths, found) else {
        return Ok(None);
    };
    let entries = entries(paths, &host).unwrap_or_default();
    disks::with_mounted(paths, &host.system, "ext4", &paths.system, |at| {
        let there = Paths {
            system: at.to_owned(),
            ..paths.clone()
        };
        let Some(kept) = Identity::find(&there)? else {
            return Ok(None);
        };
        // It stays in RAM: whatever the hub says now, nothing is written to the host's disk.
        let identity = kept.in_ram(user_data);
        let words = LastWords::find(at).ok().flatten();
        let why = why(words, &generations::all(&there)?, &entries);
        Ok(Some(Fallen { identity, why }))
    })
}

/// Gives a new generation that fell without a word (its power flickered) its tries back, twice at
/// most. Some when the machine is to be restarted for it.
pub(super) fn arm_again(paths: &Paths, events: &Events, found: &[Found]) -> Option<Outcome> {
    match try_arm_again(paths, found) {
        Ok(None) => None,
        Ok(Some(number)) => {
            events.note(format!(
                "generation {number} fell without a word and gets its tries back"
            ));
            events.tell(&Fact::Rebooting);
            Some(Outcome::Reboot)
        }
        Err(err) => {
            let err = err.context("arming the generation again");
            events.report(EventKind::Note, "", &err);
            None
        }
    }
}

fn try_arm_again(paths: &Paths, found: &[Found]) -> Result<Option<u64>> {
    let Some(host) = host(paths, found) else {
        return Ok(None);
    };
    let entries = entries(paths, &host)?;
    let silent = disks::with_mounted(paths, &host.system, "ext4", &paths.system, |at| {
        let there = Paths {
            system: at.to_owned(),
            ..paths.clone()
        };
        let words = LastWords::find(at)?;
        Ok(silent(words.as_ref(), &generations::all(&there)?, &entries))
    })?;
    let Some(number) = silent else {
        return Ok(None);
    };
    let mounted = |device: &Path, kind, name: &str| {
        let source = Source {
            device,
            kind,
            flags: QUIET,
            options: "",
        };
        Mounted::new(source, &paths.root.join("run/burin").join(name))
    };
    let system = mounted(&host.system, "ext4", "look")?;
    let esp = mounted(&host.esp, "vfat", "look-esp")?;
    let there = Paths {
        system: system.path().to_owned(),
        esp: esp.path().to_owned(),
        ..paths.clone()
    };
    let armed = entry::arm_again(&there, number)?;
    esp.end()?;
    system.end()?;
    Ok(armed.then_some(number))
}

/// The only installed host on these disks.
fn host(paths: &Paths, found: &[Found]) -> Option<Host> {
    let installed = |it: &&Found| {
        matches!(&it.candidate.content, Content::Burin(content)
            if content.readable && content.identity && (content.ever_good || content.installed))
    };
    let mut all = found.iter().filter(installed);
    let (one, None) = (all.next()?, all.next()) else {
        return None;
    };
    let layout = one.layout.as_ref()?;
    let device = |number| disks::partition_node(paths, &one.candidate.disk, number);
    Some(Host {
        system: device(layout.system.number)?,
        esp: device(layout.esp.number)?,
    })
}

fn entries(paths: &Paths, host: &Host) -> Result<Vec<EntryName>> {
    disks::with_mounted(paths, &host.esp, "vfat", &paths.esp, disks::entries)
}

/// The number of a new generation whose tries are over though nobody said why.
fn silent(words: Option<&LastWords>, all: &[Generation], entries: &[EntryName]) -> Option<u64> {
    let newest = all.last()?;
    let number = newest.content.number;
    let said = words.is_some_and(|it| it.generation == number);
    let fell = matches!(newest.state, State::Armed | State::Failed { words: None });
    let left = entries.iter().any(EntryName::bootable);
    (fell && !said && !left).then_some(number)
}

/// The reason of the newest generation, from wherever it left it.
fn why(words: Option<LastWords>, all: &[Generation], entries: &[EntryName]) -> Why {
    let fell = |number: u64, place: &str| format!("generation {number} did not come up ({place})");
    if let Some(words) = words {
        return Why {
            what: fell(words.generation, &words.place),
            causes: words.causes,
            damage: words.damage,
        };
    }
    let newest = all.last();
    let (what, causes) = match newest.map(|it| (it.content.number, &it.state)) {
        Some((number, State::Failed { words: Some(words) })) => {
            (fell(number, &words.place), words.causes.clone())
        }
        Some((number, State::Armed | State::Failed { words: None }))
            if !entries.iter().any(EntryName::bootable) =>
        {
            (fell(number, "without a word, too often"), Vec::new())
        }
        _ => {
            let what = "the recovery entry was started, and no reason is recorded";
            (what.to_owned(), Vec::new())
        }
    };
    Why {
        what,
        causes,
        damage: Vec::new(),
    }
}

impl Why {
    /// Says it on the consoles and to the hub.
    pub(super) fn tell(&self, events: &Events, talk: &Talk) {
        for damage in &self.damage {
            events.corruption(damage.clone());
        }
        let mut failure = Failure::never(self.what.clone(), ADVICE);
        if !self.causes.is_empty() {
            failure = failure.because(Error::msg(self.causes.join(": ")));
        }
        let last = [std::slice::from_ref(&self.what), &self.causes]
            .concat()
            .join(": ");
        talk.observe(|observed| observed.last_error = Some(last));
        events.failed("boot", &Error::new(failure));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installed::generations::sample::generation;
    use burin_core::generations as core;

    fn names(all: &[&str]) -> Vec<EntryName> {
        all.iter().filter_map(|it| EntryName::parse(it)).collect()
    }

    fn words(generation: u64) -> LastWords {
        LastWords {
            generation,
            place: "initramfs".to_owned(),
            causes: vec!["mounting the root".to_owned(), "I/O error".to_owned()],
            ..LastWords::default()
        }
    }

    fn judged() -> State {
        State::Failed {
            words: Some(core::LastWords {
                place: "health".to_owned(),
                causes: vec!["no network".to_owned()],
                time: 1,
            }),
        }
    }

    #[test]
    fn only_a_new_generation_without_words_and_tries_gets_tries_again() {
        let over = names(&["burin-1+0-3.conf"]);
        let armed = [generation(1, State::Armed)];
        for (said, all, entries, want) in [
            (None, &armed[..], &over, Some(1)),
            (
                None,
                &[generation(1, State::Failed { words: None })],
                &over,
                Some(1),
            ),
            (None, &armed, &names(&["burin-1+1-2.conf"]), None),
            (Some(words(1)), &armed, &over, None),
            (Some(words(7)), &armed, &over, Some(1)),
            (None, &[generation(1, judged())], &over, None),
            (
                None,
                &[generation(1, State::Good { since: 1 })],
                &over,
                None,
            ),
            (None, &[], &over, None),
        ] {
            assert_eq!(silent(said.as_ref(), all, entries), want, "{all:?}");
        }
    }

    #[test]
    fn the_reason_is_the_last_that_was_recorded() {
        let over = names(&["burin-1+0-3.conf"]);
        let found = why(Some(words(1)), &[generation(1, judged())], &over);
        assert_eq!(found.what, "generation 1 did not come up (initramfs)");
        assert_eq!(found.causes, ["mounting the root", "I/O error"]);
        let found = why(None, &[generation(1, judged())], &over);
        assert_eq!(found.what, "generation 1 did not come up (health)");
        assert_eq!(found.causes, ["no network"]);
        let found = why(None, &[generation(1, State::Armed)], &over);
        assert!(found.what.contains("without a word"), "{found:?}");
        let good = names(&["burin-1.conf"]);
        let found = why(None, &[generation(1, State::Good { since: 1 })], &good);
        assert!(found.what.contains("no reason is recorded"), "{found:?}");
    }

    #[test]
    fn the_recovery_entry_says_who_it_is_on_the_kernels_line() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        std::fs::create_dir_all(root.path().join("proc")).unwrap();
        for (line, want) in [
            ("burin.mode=recovery quiet\n", true),
            ("burin.mode=install quiet\n", false),
            ("burin.mode=recovery2\n", false),
        ] {
            std::fs::write(root.path().join("proc/cmdline"), line).unwrap();
            assert_eq!(is_this_boot(&paths), want, "{line}");
        }
    }
}
