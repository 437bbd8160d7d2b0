//! Who is let in. Pure: the same situation gives the same verdict.

use std::time::Duration;

use burin_api::event::{Finding, Severity};
use burin_api::host::Evidence;

/// What the hub knows of the key that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// Never seen.
    No,
    /// The key of a host in this state, with the reason of the state.
    Key {
        uid: String,
        state: String,
        reason: String,
    },
    /// It was a host's key until another took its place.
    Replaced,
}

/// The live host that has the same host ID under another key.
#[derive(Debug, Clone)]
pub(super) struct Rival {
    pub(super) uid: String,
    /// It has synced with a key that outlives a power cut.
    pub(super) settled: bool,
    pub(super) token_id: Option<String>,
    pub(super) evidence: Evidence,
    /// Since its key was last heard.
    pub(super) silent: Duration,
    /// This boot already replaced a key of it.
    pub(super) replaced_in_this_boot: bool,
}

/// A token whose signature was found good.
#[derive(Debug, Clone)]
pub(super) struct Proven {
    pub(super) id: String,
    pub(super) revoked: bool,
    pub(super) requires_approval: bool,
}

/// What a person said of this host, without a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Matched {
    /// An operator announced this very key, or read it off the host's screen.
    Announced { id: String },
    /// An operator announced the host; somebody has to confirm the key.
    Named,
    /// An operator announced the host with another key.
    OtherKey,
    /// Somebody claimed the key; the number on the screen is to be told.
    Claimed,
    /// Somebody claimed the key, and this hub asks for no number.
    ClaimedWithoutNumber,
}

/// What lets a host in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    /// A use of the token; it is taken first.
    Token,
    /// The preauth with this id.
    Preauth(String),
    /// A claim that asks for no number.
    Claim,
}

/// Everything a verdict depends on.
#[derive(Debug, Clone)]
pub(super) struct Situation<'a> {
    pub(super) known: Known,
    pub(super) rival: Option<Rival>,
    pub(super) token: Option<Proven>,
    pub(super) matched: Option<Matched>,
    pub(super) evidence: &'a Evidence,
    pub(super) findings: &'a [Finding],
    /// How long the old key must have been silent.
    pub(super) replace_after: Duration,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Accepted earlier; nothing is used up.
    Already {
        uid: String,
    },
    /// Accept.
    Admit(By),
    /// Put the new key in the place of the old one of this host.
    Replace {
        uid: String,
    },
    Pending {
        reason: &'static str,
        message: String,
        /// Seconds; none for the usual ones.
        wait: Option<u32>,
    },
    Rejected {
        reason: String,
        message: String,
    },
}

/// Decides about one enroll.
pub(super) fn decide(situation: &Situation<'_>) -> Verdict {
    if let Some(verdict) = by_key(&situation.known) {
        return verdict;
    }
    if let Some(rival) = &situation.rival {
        return by_rival(situation, rival);
    }
    let blocked: Vec<&str> = situation
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Block)
        .map(|finding| finding.name.as_str())
        .collect();
    if !blocked.is_empty() {
        // No use of a token is spent on a box that cannot be installed.
        let message = format!(
            "the hardware check stopped this host: {}",
            blocked.join(", ")
        );
        return pending("blocked", message);
    }
    by_matcher(situation)
}

/// A full match first, so that no use of a token is spent beside it; then what only lacks a person.
fn by_matcher(situation: &Situation<'_>) -> Verdict {
    match (&situation.matched, &situation.token) {
        (Some(Matched::Announced { id }), _) => Verdict::Admit(By::Preauth(id.clone())),
        (Some(Matched::ClaimedWithoutNumber), _) => Verdict::Admit(By::Claim),
        (_, Some(token)) if !token.requires_approval => Verdict::Admit(By::Token),
        (Some(matched), _) => unfinished(matched),
        (None, Some(token)) => pending(
            "approval",
            format!(
                "token {} asks for approval; approve the host in the hub",
                token.id
            ),
        ),
        (None, None) => pending(
            "no_token",
            "the host brought no token; claim it by its code, or approve it in the hub".to_owned(),
        ),
    }
}

/// What a person began and has to finish.
fn unfinished(matched: &Matched) -> Verdict {
    let (reason, message) = match matched {
        Matched::Claimed | Matched::ClaimedWithoutNumber => (
            "confirm_number",
            "somebody claims this host; tell the hub the number on this screen",
        ),
        Matched::OtherKey => (
            "other_key",
            "the host was announced with another key; compare the keys and approve it in the hub",
        ),
        Matched::Named | Matched::Announced { .. } => (
            "confirm_key",
            "the host was announced; compare its key and approve it in the hub",
        ),
    };
    pending(reason, message.to_owned())
}

fn by_key(known: &Known) -> Option<Verdict> {
    let rejected = |reason: &str, message: &str| {
        Some(Verdict::Rejected {
            reason: reason.to_owned(),
            message: message.to_owned(),
        })
    };
    match known {
        Known::No => None,
        Known::Replaced => rejected(
            "replaced",
            "another key of the same host took the place of this one; start the host anew",
        ),
        Known::Key { uid, state, reason } => match state.as_str() {
            "pending" => None,
            "accepted" => Some(Verdict::Already { uid: uid.clone() }),
            "quarantined" => Some(pending("quarantined", reason.clone())),
            "revoked" => rejected("revoked", "an admin revoked this host"),
            "retired" => rejected("retired", "an admin retired this host"),
            _ if reason == "expired" => rejected(
                "expired",
                "nobody approved this host within 24 hours; start it anew to ask again",
            ),
            _ => rejected("denied", "an admin denied this host"),
        },
    }
}

/// The rule for keys in RAM: until the host has synced once with a key that is stored, a power cut
/// loses the key, and the same machine may come back with another one.
fn by_rival(situation: &Situation<'_>, rival: &Rival) -> Verdict {
    if !same_machine(&rival.evidence, situation.evidence) {
        return pending(
            "id_conflict",
            "another machine with the same host ID is live; look at both in the hub".to_owned(),
        );
    }
    if let Some(why) = why_a_person_decides(situation, rival) {
        return pending(
            "rekey",
            format!(
                "this machine is known by another key, and {why}; claim it again, or approve its \
                 new key in the hub"
            ),
        );
    }
    if let Some(left) = situation.replace_after.checked_sub(rival.silent)
        && !left.is_zero()
    {
        let left = left.as_secs().max(1);
        return Verdict::Pending {
            reason: "replacement_wait",
            message: format!(
                "the key that this host had before was heard {} s ago; it must be silent for {} s \
                 before this one takes its place",
                rival.silent.as_secs(),
                situation.replace_after.as_secs()
            ),
            wait: Some(u32::try_from(left).unwrap_or(u32::MAX)),
        };
    }
    Verdict::Replace {
        uid: rival.uid.clone(),
    }
}

/// Why the token alone does not let a new key take the place of the old one; none when it does.
fn why_a_person_decides(situation: &Situation<'_>, rival: &Rival) -> Option<&'static str> {
    if rival.settled {
        return Some("that key is stored on its disk");
    }
    let Some(token) = &situation.token else {
        return Some("it brought no token");
    };
    if rival.token_id.as_deref() != Some(token.id.as_str()) {
        return Some("it brought another token");
    }
    if token.revoked {
        return Some("its token was revoked");
    }
    rival
        .replaced_in_this_boot
        .then_some("this boot has replaced a key already")
}

/// Address of a link that has none.
const NO_MAC: &str = "00:00:00:00:00:00";

/// Whether two pieces of evidence can be of one machine: everything that both name agrees, and
/// they share at least one of UUID, serial, board serial or the set of MAC addresses.
pub(crate) fn same_machine(old: &Evidence, new: &Evidence) -> bool {
    let sorted = |macs: &[String]| {
        let mut macs: Vec<String> = macs.iter().map(|mac| mac.to_ascii_lowercase()).collect();
        // Agents before 0.1.0 told the one of loopback, too.
        macs.retain(|mac| mac != NO_MAC);
        macs.sort();
        macs.join(" ")
    };
    let pairs = [
        (old.uuid.to_ascii_lowercase(), new.uuid.to_ascii_lowercase()),
        (old.serial.clone(), new.serial.clone()),
        (old.board_serial.clone(), new.board_serial.clone()),
        (sorted(&old.macs), sorted(&new.macs)),
    ];
    let mut shared = pairs
        .iter()
        .filter(|(old, new)| !old.is_empty() && !new.is_empty())
        .peekable();
    shared.peek().is_some() && shared.all(|(old, new)| old == new)
}

fn pending(reason: &'static str, message: String) -> Verdict {
    Verdict::Pending {
        reason,
        message,
        wait: None,
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
