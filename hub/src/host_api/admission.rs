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

/// Everything a verdict depends on.
#[derive(Debug, Clone)]
pub(super) struct Situation<'a> {
    pub(super) known: Known,
    pub(super) rival: Option<Rival>,
    pub(super) token: Option<Proven>,
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
    /// Take one use of the token and accept.
    Admit,
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
    match &situation.token {
        None => pending(
            "no_token",
            "the host brought no token; approve it in the hub".to_owned(),
        ),
        Some(token) if token.requires_approval => pending(
            "approval",
            format!(
                "token {} asks for approval; approve the host in the hub",
                token.id
            ),
        ),
        Some(_) => Verdict::Admit,
    }
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
    let conflict = |why: &str| {
        pending(
            "id_conflict",
            format!("a live host has the same host ID, and {why}; look at both in the hub"),
        )
    };
    if rival.settled {
        return conflict("its key is stored on its disk");
    }
    let Some(token) = &situation.token else {
        return conflict("the newcomer brought no token");
    };
    if rival.token_id.as_deref() != Some(token.id.as_str()) {
        return conflict("the newcomer brought another token");
    }
    if token.revoked {
        return conflict("its token was revoked");
    }
    if !same_machine(&rival.evidence, situation.evidence) {
        return conflict("its hardware is another");
    }
    if rival.replaced_in_this_boot {
        return conflict("this boot already replaced its key once");
    }
    if rival.silent < situation.replace_after {
        let left = (situation.replace_after - rival.silent).as_secs() + 1;
        return Verdict::Pending {
            reason: "replacement_wait",
            message: format!(
                "an earlier key of this host was heard {} s ago; it must be silent for {} s \
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

/// Whether two pieces of evidence can be of one machine: everything that both name agrees, and
/// they share at least one of UUID, serial, board serial or the set of MAC addresses.
pub(super) fn same_machine(old: &Evidence, new: &Evidence) -> bool {
    let sorted = |macs: &[String]| {
        let mut macs: Vec<String> = macs.iter().map(|mac| mac.to_ascii_lowercase()).collect();
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
