//! What a host told, as lines of its page.

use burin_api::claim::KeyLabel;
use burin_api::desired::DiskChoice;
use burin_api::event::{Event, EventKind, Finding, Severity};
use burin_api::host::DiskEvidence;
use burin_core::display::counted;

use super::super::{page, status};
use crate::admin::problem::Problem;
use crate::admin::types::HostInfo;
use crate::db::assignments::AssignmentRow;
use crate::db::{self, from_json};
use crate::state::Hub;

/// Events on the page.
const EVENTS: i64 = 100;

#[derive(Debug)]
pub(super) struct FindingRow {
    pub(super) name: String,
    pub(super) class: &'static str,
    pub(super) word: &'static str,
    pub(super) measured: String,
    pub(super) required: String,
    pub(super) advice: String,
}

#[derive(Debug)]
pub(super) struct DiskRow {
    pub(super) name: String,
    pub(super) model: String,
    pub(super) serial: String,
    pub(super) size: String,
    pub(super) kind: &'static str,
    pub(super) content: String,
    /// An operator said that the host shall be installed on it.
    pub(super) chosen: bool,
}

#[derive(Debug)]
pub(super) struct EventRow {
    pub(super) when: String,
    pub(super) at: String,
    pub(super) step: String,
    pub(super) class: &'static str,
    pub(super) kind: &'static str,
    pub(super) text: String,
}

#[derive(Debug)]
pub(super) struct KeyRow {
    pub(super) label: String,
    pub(super) state: String,
    pub(super) class: &'static str,
    pub(super) since: String,
}

/// One line of what the host was to be.
#[derive(Debug)]
pub(super) struct Assigned {
    pub(super) number: i64,
    pub(super) when: String,
    pub(super) at: String,
    pub(super) release: String,
    /// Serial of the disk that was named with it; empty when the host chose.
    pub(super) disk: String,
}

pub(super) fn assigned(row: &AssignmentRow) -> sqlx::Result<Assigned> {
    let disk: Option<DiskChoice> = row.disk.as_deref().map(from_json).transpose()?;
    Ok(Assigned {
        number: row.generation,
        when: page::ago(row.created_at),
        at: page::time(row.created_at),
        release: format!("{}@{}", row.profile, row.version),
        disk: disk.map_or_else(String::new, |disk| disk.serial),
    })
}

pub(super) fn why_rekey(why: &str) -> &'static str {
    match why {
        "" => "",
        "leaked" => "because somebody else may have the present one",
        "age" => "because the present one is old",
        _ => "because an operator asked for it",
    }
}

pub(super) fn key(row: &db::hosts::KeyRow) -> KeyRow {
    KeyRow {
        label: KeyLabel::of(&row.thumbprint)
            .map_or_else(|_| row.thumbprint.clone(), |label| label.to_string()),
        class: if row.state == "active" { "good" } else { "" },
        state: row.state.clone(),
        since: format!("SHA-256 {}", row.thumbprint),
    }
}

pub(super) fn findings(host: &HostInfo) -> Vec<FindingRow> {
    let mut findings: Vec<_> = host.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let row = |finding: &Finding| {
        let (class, word) = match finding.severity {
            Severity::Ok => ("good", "ok"),
            Severity::Warn => ("warn", "warning"),
            Severity::Block => ("bad", "stops here"),
        };
        FindingRow {
            name: finding.name.clone(),
            class,
            word,
            measured: finding.measured.clone(),
            required: finding.required.clone(),
            advice: finding.advice.clone(),
        }
    };
    findings.into_iter().map(row).collect()
}

pub(super) fn disks(host: &HostInfo, chosen: &str) -> Vec<DiskRow> {
    let row = |disk: &DiskEvidence| DiskRow {
        name: disk.name.clone(),
        model: disk.model.clone(),
        serial: disk.serial.clone(),
        size: page::size(disk.size),
        kind: match (disk.removable, disk.rotational) {
            (true, _) => "removable",
            (false, true) => "rotating",
            (false, false) => "solid state",
        },
        content: disk.content.clone(),
        chosen: !chosen.is_empty() && disk.serial == chosen,
    };
    host.evidence.disks.iter().map(row).collect()
}

pub(super) async fn events(hub: &Hub, uid: &str) -> Result<Vec<EventRow>, Problem> {
    let mut rows = Vec::new();
    for stored in db::events::newest(&hub.db, uid, EVENTS).await? {
        let event: Event = from_json(&stored.body)?;
        let (class, kind) = match event.kind {
            EventKind::Started => ("busy", "started"),
            EventKind::Retrying => ("warn", "tried again"),
            EventKind::Done => ("good", "done"),
            EventKind::Failed => ("bad", "failed"),
            EventKind::Corruption => ("bad", "corruption"),
            EventKind::Note | EventKind::Unknown => ("", "note"),
        };
        let mut text = event.message;
        for cause in event.causes {
            text = format!("{text}: {cause}");
        }
        rows.push(EventRow {
            when: page::ago(stored.received_at),
            at: page::time(stored.received_at),
            step: event.step,
            class,
            kind,
            text,
        });
    }
    Ok(rows)
}

/// When the host was heard last.
pub(super) fn heard(host: &HostInfo) -> String {
    match host.seen_at {
        None => format!("first called {}", page::ago(host.created_at)),
        Some(at) => format!("heard {}", page::ago(at)),
    }
}

/// Whether it is in the installer with an error: perhaps it does not know which disk.
pub(super) fn has_stopped(host: &HostInfo) -> bool {
    host.state == "accepted"
        && host.mode.as_deref() == Some("installer")
        && host.last_error.is_some()
}

pub(super) fn facts(host: &HostInfo) -> Vec<(&'static str, String)> {
    let evidence = &host.evidence;
    let cpu = match evidence.cores {
        0 => evidence.cpu.clone(),
        cores => format!("{} ({})", evidence.cpu, counted(cores, "core", "cores")),
    };
    let memory = match evidence.memory >> 30 {
        0 => String::new(),
        whole => format!("{whole} GiB"),
    };
    let accepted = host.accepted_at.map(page::time).unwrap_or_default();
    // Agents before 0.1.0 told the address of loopback, too.
    let mut macs: Vec<&str> = evidence.macs.iter().map(String::as_str).collect();
    macs.retain(|mac| *mac != "00:00:00:00:00:00");
    let admission =
        host.admission
            .as_ref()
            .map_or_else(String::new, |it| match it.matcher.as_str() {
                "token" => it.by.clone(),
                matcher => format!("{}, by {}", status::matcher(matcher), it.by),
            });
    let all = [
        ("Serial", evidence.serial.clone()),
        ("UUID", evidence.uuid.clone()),
        (
            "Board",
            format!("{} {}", evidence.board_vendor, evidence.board_serial),
        ),
        ("MAC addresses", macs.join(", ")),
        ("CPU", cpu),
        ("Memory", memory),
        ("Architecture", host.arch.clone()),
        ("Host ID from", host.host_id_source.clone()),
        ("Token", host.token_id.clone().unwrap_or_default()),
        ("First call", page::time(host.created_at)),
        ("Let in", accepted),
        ("Let in by", admission),
        ("Agent", host.agent.clone().unwrap_or_default()),
        ("Runs as", host.mode.clone().unwrap_or_default()),
        ("Host uid", host.uid.clone()),
    ];
    all.into_iter()
        .filter(|(_, value)| !value.trim().is_empty())
        .collect()
}

pub(super) fn generation(host: &HostInfo) -> Vec<(&'static str, String)> {
    let observed = &host.observed;
    let Some(number) = observed.generation else {
        return Vec::new();
    };
    let all = [
        ("Runs", Some(number.to_string())),
        ("Kernel", observed.kernel.clone()),
        ("Kubernetes", observed.kubernetes.clone()),
        ("Root digest", observed.root_digest.clone()),
        ("Agent digest", observed.agent_digest.clone()),
    ];
    all.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}
