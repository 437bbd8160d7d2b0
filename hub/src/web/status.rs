//! The one word that says how a host is, and what of it needs a look.

use burin_api::event::Severity;

use crate::admin::types::HostInfo;

/// A state as people see it: colour and word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    /// Of the style sheet.
    pub(super) class: &'static str,
    pub(super) name: &'static str,
}

/// Values of the state filter, with their names.
pub(super) const FILTERS: [(&str, &str); 13] = [
    ("pending", "pending"),
    ("waiting", "waiting for a profile"),
    ("installing", "installing"),
    ("configuring", "configuring"),
    ("running", "running"),
    ("degraded", "degraded"),
    ("blocked", "blocked"),
    ("silent", "silent"),
    ("quarantined", "quarantined"),
    ("rejected", "rejected"),
    ("revoked", "revoked"),
    ("retired", "retired"),
    ("accepted", "all accepted"),
];

/// How a host is. Silence is more than what it said last, and the hub's own state more than both.
pub(super) fn of(host: &HostInfo) -> Status {
    let (class, name) = match host.state.as_str() {
        "accepted" if host.silent => ("bad", "silent"),
        "accepted" => return of_phase(host.phase.as_deref()),
        "pending" => ("warn", "pending"),
        "quarantined" => ("bad", "quarantined"),
        "rejected" => ("", "rejected"),
        "revoked" => ("", "revoked"),
        "retired" => ("", "retired"),
        _ => ("", "unknown"),
    };
    Status { class, name }
}

fn of_phase(phase: Option<&str>) -> Status {
    let (class, name) = match phase {
        None => ("busy", "accepted"),
        Some("starting") => ("busy", "starting"),
        Some("waiting") => ("warn", "waiting for a profile"),
        Some("installing") => ("busy", "installing"),
        Some("configuring") => ("busy", "configuring"),
        Some("running") => ("good", "running"),
        Some("blocked") => ("bad", "blocked"),
        Some("degraded") => ("bad", "degraded"),
        Some(_) => ("", "unknown"),
    };
    Status { class, name }
}

/// What is worth a look, the worst first: a class of the style sheet and a text; both may be empty.
pub(super) fn attention(host: &HostInfo) -> (&'static str, String) {
    if let Some(error) = &host.last_error {
        return ("bad-text", error.clone());
    }
    let blocked = host
        .findings
        .iter()
        .any(|it| it.severity == Severity::Block);
    if host.state == "pending" && !blocked {
        return ("", reason(&host.reason));
    }
    let worst = host
        .findings
        .iter()
        .filter(|finding| finding.severity != Severity::Ok)
        .max_by_key(|finding| finding.severity);
    if let Some(finding) = worst {
        let text = format!(
            "{}: {}, needed {}",
            finding.name, finding.measured, finding.required
        );
        let class = if finding.severity == Severity::Block {
            "bad-text"
        } else {
            ""
        };
        return (class, text);
    }
    ("", reason(&host.reason))
}

/// What let a host in, as people say it.
pub(super) fn matcher(name: &str) -> String {
    match name {
        "host_id" => "an announced host ID",
        "uuid" => "an announced UUID",
        "serial" => "an announced serial",
        "key" => "an announced key",
        "qr" => "its QR code",
        "code" => "its code",
        "approval" => "approval",
        other => other,
    }
    .to_owned()
}

/// A reason of the protocol as a sentence.
pub(super) fn reason(code: &str) -> String {
    match code {
        "no_token" => "waits for somebody to approve or claim it",
        "approval" => "its token asks for approval",
        "blocked" => "the hardware check stopped it",
        "confirm_key" => "it was announced: compare its key and approve it",
        "other_key" => "it was announced with another key",
        "confirm_number" => "somebody claims it and has to tell the number on its screen",
        "rekey" => "a machine of the fleet came back with a new key: compare it and approve it",
        "id_conflict" => "another live machine has the same host ID",
        "quarantined" => "two machines use one key: say below which one is the host",
        "replacement_wait" => "waits until its earlier key was silent for long enough",
        "denied" => "somebody denied it",
        "other_project" => "it belongs to another project",
        "expired" => "nobody approved it within 24 hours",
        other => other,
    }
    .to_owned()
}
