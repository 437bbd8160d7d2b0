//! Boot entries as the Boot Loader Specification has them (Type #1), the counter in their names,
//! and the kernel's command line. The loader's own settings are rendered here too.

mod cmdline;
mod entry;

pub use cmdline::{
    ArgumentError, BootTarget, CommandLine, MAX_COMMAND_LINE, TargetError, check_argument,
};
pub use entry::{Entry, EntryError, initramfs_path, kernel_path};

use std::fmt;

use serde::{Deserialize, Serialize};

/// Folder of the entries on the ESP.
pub const ENTRIES: &str = "loader/entries";
/// The loader's settings on the ESP.
pub const LOADER_CONF: &str = "loader/loader.conf";
/// Folder on the ESP for kernels and initramfs, each named by its own digest.
pub const BOOT_FILES: &str = "burin";
/// The entry of the installer that lies on the disk.
pub const RECOVERY_ENTRY: &str = "burin-recovery.conf";
/// What that entry says on the kernel's line, so that the installer knows where it was started from.
pub const RECOVERY_OPTION: &str = "burin.mode=recovery";
/// How often a new generation may be started before the loader gives it up.
pub const TRIES: u32 = 3;
/// Entries with the same sort key are ordered by version, newest first. The recovery entry's key
/// comes after this one in the alphabet, so that it is chosen only when no generation is left.
const SORT_KEY: &str = "burin-1-generation";
const RECOVERY_SORT_KEY: &str = "burin-9-recovery";

/// The loader's `loader.conf`.
///
/// No `default`: the order of the entries decides, and the loader itself puts entries without tries
/// last. No waiting: holding a key while the machine starts shows the menu. The editor is off,
/// because who can edit the line can leave the verified root.
#[must_use]
pub fn loader_conf() -> &'static str {
    "timeout 0\neditor no\nauto-entries no\nauto-firmware yes\n"
}

/// The counter in an entry's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tries {
    pub left: u32,
    pub done: u32,
}

/// Name of a generation's entry: `burin-7.conf` is good, `burin-7+3.conf` and `burin-7+2-1.conf` count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryName {
    pub generation: u64,
    /// None when the generation is proven.
    pub tries: Option<Tries>,
}

impl EntryName {
    /// The name of a proven generation.
    #[must_use]
    pub fn good(generation: u64) -> Self {
        Self {
            generation,
            tries: None,
        }
    }

    /// The name of a generation that has yet to prove itself.
    #[must_use]
    pub fn counted(generation: u64) -> Self {
        Self {
            generation,
            tries: Some(Tries {
                left: TRIES,
                done: 0,
            }),
        }
    }

    /// Reads a file name; none when it is not the entry of a generation. Strict: a name that this
    /// type would write differently is not ours.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_prefix("burin-")?.strip_suffix(".conf")?;
        let (number, counter) = match stem.split_once('+') {
            Some((number, counter)) => (number, Some(counter)),
            None => (stem, None),
        };
        let tries = match counter {
            None => None,
            Some(counter) => {
                let (left, done) = counter.split_once('-').unwrap_or((counter, "0"));
                Some(Tries {
                    left: decimal(left)?.try_into().ok()?,
                    done: decimal(done)?.try_into().ok()?,
                })
            }
        };
        let parsed = Self {
            generation: decimal(number)?,
            tries,
        };
        (parsed.to_string() == name).then_some(parsed)
    }

    /// Whether the loader still starts it by itself.
    #[must_use]
    pub fn bootable(&self) -> bool {
        self.tries.is_none_or(|tries| tries.left > 0)
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tries {
            None => write!(f, "burin-{}.conf", self.generation),
            Some(Tries { left, done: 0 }) => write!(f, "burin-{}+{left}.conf", self.generation),
            Some(Tries { left, done }) => {
                write!(f, "burin-{}+{left}-{done}.conf", self.generation)
            }
        }
    }
}

/// Canonical decimal: digits only, no leading zero.
fn decimal(text: &str) -> Option<u64> {
    let canonical = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}

/// What remains to be done in the folder of the entries to make `generation` good.
///
/// A rename on FAT is not atomic, so the good name is written and synced before the counted ones go.
/// Both existing at once is a state that a power cut may leave; it is completed, not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkGood {
    /// To be written and synced first; none when it is there.
    pub write: Option<EntryName>,
    /// To be removed afterwards.
    pub remove: Vec<EntryName>,
    /// Where to take the text from; the newest counted name.
    pub source: EntryName,
}

/// Decides how to mark `generation` good from the names in the folder; none when it has no entry.
#[must_use]
pub fn mark_good(names: &[EntryName], generation: u64) -> Option<MarkGood> {
    let good = EntryName::good(generation);
    let counted: Vec<EntryName> = names
        .iter()
        .copied()
        .filter(|name| name.generation == generation && name.tries.is_some())
        .collect();
    let present = names.contains(&good);
    let source = if present {
        good
    } else {
        *counted
            .iter()
            .max_by_key(|name| name.tries.map(|tries| tries.done))?
    };
    Some(MarkGood {
        write: (!present).then_some(good),
        remove: counted,
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_back_as_they_were_written() {
        for (name, want) in [
            ("burin-7.conf", Some(EntryName::good(7))),
            ("burin-7+3.conf", Some(EntryName::counted(7))),
            (
                "burin-12+2-1.conf",
                Some(EntryName {
                    generation: 12,
                    tries: Some(Tries { left: 2, done: 1 }),
                }),
            ),
            ("burin-recovery.conf", None),
            ("burin-07.conf", None),
            ("burin-7+3-0.conf", None),
            ("burin-7+.conf", None),
            ("burin-+3.conf", None),
            ("burin-7+3-1-1.conf", None),
            ("burin--7.conf", None),
            ("burin-7.conf.tmp", None),
            ("burin-99999999999999999999.conf", None),
        ] {
            assert_eq!(EntryName::parse(name), want, "{name}");
        }
    }

    #[test]
    fn an_entry_without_tries_left_is_not_started_by_the_loader() {
        assert!(!EntryName::parse("burin-1+0-3.conf").unwrap().bootable());
        assert!(EntryName::parse("burin-1+1-2.conf").unwrap().bootable());
        assert!(EntryName::good(1).bootable());
    }

    #[test]
    fn the_good_name_is_written_before_the_counted_one_goes() {
        let counted = EntryName::parse("burin-2+2-1.conf").unwrap();
        let step = mark_good(&[EntryName::good(1), counted], 2).unwrap();
        assert_eq!(step.write, Some(EntryName::good(2)));
        assert_eq!(step.remove, vec![counted]);
        assert_eq!(step.source, counted);
    }

    #[test]
    fn two_names_of_one_generation_are_completed() {
        let counted = EntryName::parse("burin-2+2-1.conf").unwrap();
        let step = mark_good(&[counted, EntryName::good(2)], 2).unwrap();
        assert_eq!(
            (step.write, step.remove),
            (None, vec![counted]),
            "only the counted name remains to be removed"
        );
        let done = mark_good(&[EntryName::good(2)], 2).unwrap();
        assert_eq!((done.write, done.remove), (None, vec![]));
        assert_eq!(mark_good(&[EntryName::good(1)], 2), None);
    }

    #[test]
    fn the_recovery_entry_sorts_after_every_generation() {
        assert!(SORT_KEY < RECOVERY_SORT_KEY);
    }

    proptest! {
        #[test]
        fn any_name_is_read_without_panic(name in ".{0,40}") {
            if let Some(parsed) = EntryName::parse(&name) {
                prop_assert_eq!(parsed.to_string(), name);
            }
        }

        #[test]
        fn every_value_survives_its_name(generation: u64, left: u32, done: u32, counts: bool) {
            let name = EntryName { generation, tries: counts.then_some(Tries { left, done }) };
            prop_assert_eq!(EntryName::parse(&name.to_string()), Some(name));
        }
    }
}
