//! The ledger of numbers: a name that once had a uid or gid on this host keeps it for ever, so that
//! `/var` and `/home` never change their owner with an image.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest ledger that is read, bytes.
const MAX_BYTES: usize = 4 << 20;
/// Numbers of people and of groups that user-data names: login.defs(5) of Debian and Fedora.
const PEOPLE: std::ops::Range<u32> = 1000..60_000;
/// Numbers of services (`SYS_UID_MIN` and `SYS_UID_MAX` there).
const SERVICES: std::ops::Range<u32> = 100..1000;

/// `ledger.json` of the system partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    pub users: BTreeMap<String, u32>,
    pub groups: BTreeMap<String, u32>,
}

/// A ledger that cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LedgerError {
    #[error("it is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("it is not the JSON of a ledger: {0}")]
    Json(String),
}

/// Users or groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    User,
    Group,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Group => "group",
        })
    }
}

/// A new name of the image wants a number that belongs to another name on this host. Such a
/// generation is refused before it is armed; if it starts all the same, the new name gets `given`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the image gives {kind} {name} the number {wanted}, which is {holder}'s on this host; \
     it has {given} now. Give it another number in the image"
)]
pub struct Conflict {
    pub kind: Kind,
    pub name: String,
    pub wanted: u32,
    pub holder: String,
    pub given: u32,
}

impl Ledger {
    /// Reads `ledger.json`.
    ///
    /// # Errors
    /// When it is too long or not what [`Ledger::to_json`] writes.
    pub fn parse(text: &str) -> Result<Self, LedgerError> {
        if text.len() > MAX_BYTES {
            return Err(LedgerError::TooLong);
        }
        serde_json::from_str(text).map_err(|err| LedgerError::Json(err.to_string()))
    }

    /// The text of `ledger.json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("two maps of numbers are always JSON") + "\n"
    }

    /// Settles the numbers of an image's names, in the order of its file. Returns the number of each
    /// name, and what contradicts.
    pub(super) fn settle(
        &mut self,
        kind: Kind,
        image: &[(String, u32)],
    ) -> (BTreeMap<String, u32>, Vec<Conflict>) {
        let in_image: BTreeMap<&str, u32> = image.iter().map(|(n, id)| (n.as_str(), *id)).collect();
        let wanted_by_any: BTreeSet<u32> = in_image.values().copied().collect();
        let book = self.book(kind);
        let mut settled = BTreeMap::new();
        let mut conflicts = Vec::new();
        for (name, wanted) in image {
            let number = match book.get(name) {
                Some(number) => *number,
                None => match holder(book, *wanted, &in_image) {
                    None => *wanted,
                    Some(holder) => {
                        let taken =
                            |id| wanted_by_any.contains(&id) || book.values().any(|n| *n == id);
                        let given = SERVICES.rev().chain(PEOPLE).find(|id| !taken(*id));
                        let given = given.unwrap_or(*wanted);
                        conflicts.push(Conflict {
                            kind,
                            name: name.clone(),
                            wanted: *wanted,
                            holder,
                            given,
                        });
                        given
                    }
                },
            };
            book.insert(name.clone(), number);
            settled.insert(name.clone(), number);
        }
        (settled, conflicts)
    }

    /// The number of a name that user-data brings: its old one, else the lowest that nobody has or
    /// had. `like` is taken when it is free, so that a user and its own group have one number.
    pub(super) fn assign(&mut self, kind: Kind, name: &str, like: Option<u32>) -> Option<u32> {
        if let Some(number) = self.book(kind).get(name) {
            return Some(*number);
        }
        let users: BTreeSet<u32> = self.users.values().copied().collect();
        let groups: BTreeSet<u32> = self.groups.values().copied().collect();
        let own = match kind {
            Kind::User => &users,
            Kind::Group => &groups,
        };
        let number = like.filter(|id| !own.contains(id)).or_else(|| {
            PEOPLE
                .into_iter()
                .find(|id| !users.contains(id) && !groups.contains(id))
        })?;
        self.book(kind).insert(name.to_owned(), number);
        Some(number)
    }

    fn book(&mut self, kind: Kind) -> &mut BTreeMap<String, u32> {
        match kind {
            Kind::User => &mut self.users,
            Kind::Group => &mut self.groups,
        }
    }
}

/// Who else has the number. Two names of one image that share a number do so on purpose.
fn holder(
    book: &BTreeMap<String, u32>,
    number: u32,
    in_image: &BTreeMap<&str, u32>,
) -> Option<String> {
    let others = book.iter().filter(|(_, held)| **held == number);
    let mut names = others.map(|(name, _)| name);
    names
        .find(|name| in_image.get(name.as_str()) != Some(&number))
        .cloned()
}
