//! Generations: what each of them is, which states follow each other, which may go.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One layer of a generation, for people and for telling two generations apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerIdentity {
    pub name: String,
    /// Digest of the image's manifest, `sha256:<hex>`; empty for inline manifests.
    pub manifest: String,
    /// Diff-ids of its blobs, lowest first.
    pub diff_ids: Vec<String>,
}

/// Why a generation was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Install,
    Upgrade,
    /// Another agent, the same root.
    Agent,
    #[serde(other)]
    Unknown,
}

/// Everything of a generation that never changes once it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Numbers only grow.
    pub number: u64,
    /// Name and version of the profile.
    pub profile: String,
    pub version: String,
    pub layers: Vec<LayerIdentity>,
    /// Identity of the root as composefs writes it, `v1-sha512-12:<hex>`.
    pub root: String,
    /// fs-verity digest of the agent's image, hex.
    pub agent: String,
    /// Release of the root's kernel, for example `6.12.48+deb13-amd64`.
    pub kernel_release: String,
    /// SHA-256 of the kernel and of the initramfs on the ESP, hex.
    pub kernel: String,
    pub initramfs: String,
    /// The kernel's command line as it stands in the boot entry.
    pub cmdline: String,
    /// `distribution version` of Kubernetes, empty without.
    #[serde(default)]
    pub kubernetes: String,
    pub reason: Reason,
    /// Milliseconds since 1970 by the host's clock; may be wrong.
    pub made: u64,
}

/// A generation with its state: `generations/<n>/generation.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    #[serde(flatten)]
    pub content: Content,
    pub state: State,
    /// How often it was armed again after a fall that left no last words.
    #[serde(default)]
    pub rearmed: u32,
}

/// Where a generation stands. Staged becomes armed, armed becomes good or failed, good stays good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// Complete on the disk, without a boot entry.
    Staged,
    /// Has a counted boot entry.
    Armed,
    /// Was healthy for its soak time.
    Good {
        /// Milliseconds since 1970.
        since: u64,
    },
    /// Given up.
    Failed { words: Option<LastWords> },
}

/// What a generation said before it gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    /// Where it fell: `initramfs` or `health`.
    pub place: String,
    /// Outermost cause first.
    pub causes: Vec<String>,
    /// Milliseconds since 1970.
    pub time: u64,
}

/// A change of state that the rules forbid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StateError {
    #[error("generation {0} is proven good; the health gate never gives it up")]
    ProvenGood(u64),
    #[error("generation {0} was given up after {1}; arm it by hand to try it again")]
    GivenUp(u64, String),
    #[error("generation {0} was never armed, so it cannot have been started")]
    NeverArmed(u64),
}

/// How often a generation that fell silently (a power flicker) is armed again.
pub const SILENT_RETRIES: u32 = 2;

impl Generation {
    /// A generation that is complete on the disk and has no boot entry yet.
    #[must_use]
    pub fn staged(content: Content) -> Self {
        Self {
            content,
            state: State::Staged,
            rearmed: 0,
        }
    }

    /// The entry is about to be written. Arming what is armed changes nothing: the step may be repeated.
    ///
    /// # Errors
    /// It is good already (its entry may never get a counter again), or was given up for a reason
    /// that it told, or fell silently too often.
    pub fn arm(&mut self) -> Result<(), StateError> {
        match &self.state {
            State::Staged | State::Armed => {}
            State::Good { .. } => return Err(StateError::ProvenGood(self.content.number)),
            State::Failed { words: None } if self.rearmed < SILENT_RETRIES => self.rearmed += 1,
            State::Failed { words } => {
                let told = words
                    .as_ref()
                    .map_or("falling silently too often".to_owned(), |words| {
                        words.causes.join(": ")
                    });
                return Err(StateError::GivenUp(self.content.number, told));
            }
        }
        self.state = State::Armed;
        Ok(())
    }

    /// It was healthy for its soak time. Marking twice keeps the first time.
    ///
    /// # Errors
    /// It was never armed. One that was given up and is healthy after all (a person started it) is
    /// good: health is evidence.
    pub fn mark_good(&mut self, now: u64) -> Result<(), StateError> {
        match self.state {
            State::Staged => Err(StateError::NeverArmed(self.content.number)),
            State::Good { .. } => Ok(()),
            State::Armed | State::Failed { .. } => {
                self.state = State::Good { since: now };
                Ok(())
            }
        }
    }

    /// It is given up. The first last words are kept: what follows is often only their consequence.
    ///
    /// # Errors
    /// It is good: a good generation is never given up.
    pub fn fail(&mut self, words: Option<LastWords>) -> Result<(), StateError> {
        match &mut self.state {
            State::Good { .. } => Err(StateError::ProvenGood(self.content.number)),
            State::Failed { words: told } => {
                if told.is_none() {
                    *told = words;
                }
                Ok(())
            }
            State::Staged | State::Armed => {
                self.state = State::Failed { words };
                Ok(())
            }
        }
    }

    /// Whether the health gate has to judge it.
    #[must_use]
    pub fn unproven(&self) -> bool {
        !matches!(self.state, State::Good { .. })
    }
}

/// The number for a new generation, above all numbers that were ever seen.
#[must_use]
pub fn next_number(existing: impl IntoIterator<Item = u64>) -> u64 {
    existing
        .into_iter()
        .max()
        .map_or(1, |n| n.saturating_add(1))
}

/// The newest proven generation other than `except`: what the loader falls back to.
#[must_use]
pub fn last_good(all: &[Generation], except: Option<u64>) -> Option<u64> {
    all.iter()
        .filter(|g| !g.unproven() && Some(g.content.number) != except)
        .map(|g| g.content.number)
        .max()
}

/// Which generations the collection keeps: the running one, the last proven good one, and what is
/// staged or armed above the running one. Nothing may go while the running one is unproven, because
/// only then it is known which older one still matters.
#[must_use]
pub fn keep(all: &[Generation], running: u64) -> BTreeSet<u64> {
    let numbers = all.iter().map(|g| g.content.number);
    let proven = all
        .iter()
        .any(|g| g.content.number == running && !g.unproven());
    if !proven {
        return numbers.collect();
    }
    let mut kept: BTreeSet<u64> = all
        .iter()
        .filter(|g| g.content.number > running && matches!(g.state, State::Staged | State::Armed))
        .map(|g| g.content.number)
        .collect();
    kept.insert(running);
    kept.extend(last_good(all, Some(running)));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn generation(number: u64, state: State) -> Generation {
        Generation {
            content: Content {
                number,
                profile: "retail".into(),
                version: "1.4.0".into(),
                layers: vec![LayerIdentity {
                    name: "os".into(),
                    manifest: "sha256:aa".into(),
                    diff_ids: vec!["sha256:bb".into()],
                }],
                root: "v1-sha512-12:cc".into(),
                agent: "dd".into(),
                kernel_release: "6.12.48+deb13-amd64".into(),
                kernel: "ee".into(),
                initramfs: "ff".into(),
                cmdline: "quiet".into(),
                kubernetes: "k3s v1.33.4+k3s1".into(),
                reason: Reason::Install,
                made: 1,
            },
            state,
            rearmed: 0,
        }
    }

    fn words(cause: &str) -> LastWords {
        LastWords {
            place: "health".into(),
            causes: vec![cause.into()],
            time: 9,
        }
    }

    const GOOD: State = State::Good { since: 5 };

    #[test]
    fn the_way_of_a_healthy_generation_is_staged_armed_good() {
        let mut g = generation(1, State::Staged);
        assert_eq!(g.mark_good(5), Err(StateError::NeverArmed(1)));
        g.arm().unwrap();
        g.arm().unwrap();
        assert_eq!(g.state, State::Armed);
        g.mark_good(5).unwrap();
        g.mark_good(6).unwrap();
        assert_eq!(g.state, GOOD, "the first time is kept");
    }

    #[test]
    fn a_good_generation_is_never_given_up_nor_counted_again() {
        let mut g = generation(2, GOOD);
        assert_eq!(g.fail(Some(words("x"))), Err(StateError::ProvenGood(2)));
        assert_eq!(g.arm(), Err(StateError::ProvenGood(2)));
        assert_eq!(g.state, GOOD);
    }

    #[test]
    fn a_generation_that_told_why_is_not_tried_again() {
        let mut g = generation(3, State::Armed);
        g.fail(Some(words("the API never answered"))).unwrap();
        g.fail(Some(words("later"))).unwrap();
        assert_eq!(
            g.arm(),
            Err(StateError::GivenUp(3, "the API never answered".into()))
        );
    }

    #[test]
    fn a_generation_that_fell_silently_is_tried_twice_more() {
        let mut g = generation(3, State::Armed);
        for _ in 0..SILENT_RETRIES {
            g.fail(None).unwrap();
            g.arm().unwrap();
        }
        g.fail(None).unwrap();
        assert!(matches!(g.arm(), Err(StateError::GivenUp(3, _))));
    }

    #[test]
    fn numbers_only_grow() {
        assert_eq!(next_number([]), 1);
        assert_eq!(next_number([3, 1]), 4);
        assert_eq!(next_number([u64::MAX]), u64::MAX);
    }

    #[test]
    fn collection_keeps_running_last_good_and_what_is_to_come() {
        let all = [
            generation(1, GOOD),
            generation(2, GOOD),
            generation(3, State::Failed { words: None }),
            generation(4, GOOD),
            generation(5, State::Staged),
        ];
        assert_eq!(keep(&all, 4), BTreeSet::from([2, 4, 5]));
        assert_eq!(last_good(&all, Some(4)), Some(2));
    }

    #[test]
    fn nothing_goes_before_the_running_one_is_proven() {
        let all = [generation(1, GOOD), generation(2, State::Armed)];
        assert_eq!(keep(&all, 2), BTreeSet::from([1, 2]));
    }

    #[test]
    fn the_file_is_flat_and_read_back() {
        let g = generation(
            1,
            State::Failed {
                words: Some(words("x")),
            },
        );
        let text = serde_json::to_string(&g).unwrap();
        assert!(
            text.starts_with(r#"{"number":1,"profile":"retail""#),
            "{text}"
        );
        assert!(text.contains(r#""state":{"is":"failed","words":{"place":"health""#));
        assert_eq!(serde_json::from_str::<Generation>(&text).unwrap(), g);
    }

    proptest! {
        /// Whatever happens in whatever order, good is final, and the running one is kept.
        #[test]
        fn good_is_final(moves in proptest::collection::vec(0u8..4, 0..20)) {
            let mut g = generation(1, State::Staged);
            let mut was_good = false;
            for step in moves {
                let refused = match step {
                    0 => g.arm(),
                    1 => g.mark_good(7),
                    2 => g.fail(None),
                    _ => g.fail(Some(words("x"))),
                }
                .is_err();
                prop_assert!(!(refused && step == 1 && g.state == State::Armed));
                was_good |= !g.unproven();
                prop_assert_eq!(was_good, !g.unproven());
                prop_assert!(keep(std::slice::from_ref(&g), 1).contains(&1));
            }
        }
    }
}
