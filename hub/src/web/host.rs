//! The page of one host.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Response;
use burin_api::claim::KeyLabel;
use burin_api::desired::DiskChoice;
use burin_api::event::{Event, EventKind, Severity};
use serde::Deserialize;

use super::hosts::{labels, machine, percent};
use super::machines::{self, MachineRow};
use super::page::{self, Asked, Frame, Named};
use super::profiles::{self, Signature};
use super::status::{self, Status};
use crate::admin::auth::Actor;
use crate::admin::problem::Problem;
use crate::admin::types::{AssignmentInfo, HostInfo};
use crate::admin::view;
use crate::db::{self, from_json};
use crate::state::Hub;

/// Events on the page.
const EVENTS: i64 = 100;

/// Something that can be done with a host.
#[derive(Debug, Clone, Copy)]
struct Action {
    path: &'static str,
    name: &'static str,
    class: &'static str,
    /// What to know before doing it; empty for what can be undone.
    sure: &'static str,
}

#[derive(Debug)]
struct FindingRow {
    name: String,
    class: &'static str,
    word: &'static str,
    measured: String,
    required: String,
    advice: String,
}

#[derive(Debug)]
struct DiskRow {
    name: String,
    model: String,
    serial: String,
    size: String,
    kind: &'static str,
    content: String,
}

#[derive(Debug)]
struct EventRow {
    when: String,
    step: String,
    class: &'static str,
    kind: &'static str,
    text: String,
}

#[derive(Debug)]
struct KeyRow {
    label: String,
    state: String,
    class: &'static str,
    since: String,
}

#[derive(Debug, Template)]
#[template(path = "host.html")]
struct HostPage {
    frame: Frame,
    uid: String,
    host_id: String,
    machine: String,
    state: String,
    status: Status,
    reason: String,
    seen: String,
    address: String,
    step: String,
    percent: Option<u64>,
    left: String,
    last_error: String,
    key_label: String,
    actions: Vec<Action>,
    machines: Vec<MachineRow>,
    findings: Vec<FindingRow>,
    disks: Vec<DiskRow>,
    events: Vec<EventRow>,
    assigned: Option<AssignmentInfo>,
    /// Of the assigned version.
    signature: Signature,
    profiles: Vec<String>,
    chosen_disk: String,
    labels: Vec<String>,
    labels_text: String,
    facts: Vec<(&'static str, String)>,
    generation: Vec<(&'static str, String)>,
    keys: Vec<KeyRow>,
    history: Vec<(String, String)>,
    /// How long ago the kubeconfig came; none while there is none.
    kubeconfig: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Done {
    #[serde(default)]
    done: String,
}

pub(super) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Named(uid): Named<String>,
    Asked(Done { done }): Asked<Done>,
) -> Result<Response, Problem> {
    let host = view::one(&hub, &uid)
        .await?
        .ok_or_else(|| Problem::not_found(format!("no host has the uid `{uid}`")))?;
    let Stored {
        keys,
        history,
        chosen_disk,
        profiles,
        kubeconfig,
    } = stored(&hub, &host.uid).await?;
    let signature = match &host.assignment {
        Some(it) => profiles::signature(&hub, &it.profile, &it.version).await?,
        None => Signature::default(),
    };
    let progress = host.progress.as_ref();
    let labels = labels(&host);
    page::draw(&HostPage {
        frame: Frame::new(&hub, &actor, "/hosts").done(sentence(&done)),
        key_label: keys
            .first()
            .map_or_else(String::new, |key| key.label.clone()),
        keys,
        history,
        chosen_disk,
        profiles,
        kubeconfig,
        signature,
        events: events(&hub, &host.uid).await?,
        machine: machine(&host),
        status: status::of(&host),
        reason: status::reason(&host.reason),
        seen: host.seen_at.map_or_else(
            || "no heartbeat yet, called".to_owned(),
            |at| format!("heard {}", page::ago(at)),
        ),
        address: host.address.clone(),
        step: progress.map_or_else(String::new, |p| {
            format!("{} ({} of {})", p.step, p.position, p.steps)
        }),
        percent: percent(&host),
        left: progress
            .and_then(|p| p.left)
            .map_or_else(String::new, |left| format!("{left} s left")),
        last_error: host.last_error.clone().unwrap_or_default(),
        actions: actions(&host.state),
        machines: machines::rows(&host),
        findings: findings(&host),
        disks: disks(&host),
        labels_text: labels.join("\n"),
        labels,
        facts: facts(&host),
        generation: generation(&host),
        uid: host.uid,
        host_id: host.host_id,
        state: host.state,
        assigned: host.assignment,
    })
}

/// What the tables hold of a host beside what [`HostInfo`] says.
struct Stored {
    keys: Vec<KeyRow>,
    /// When, and which release; the newest first.
    history: Vec<(String, String)>,
    chosen_disk: String,
    /// Everything that can be assigned, the newest first.
    profiles: Vec<String>,
    kubeconfig: Option<String>,
}

async fn stored(hub: &Hub, uid: &str) -> Result<Stored, Problem> {
    let mut conn = hub.db.reader().acquire().await?;
    let keys = db::hosts::keys(&mut conn, uid).await?;
    let assignments = db::assignments::history(&mut conn, uid).await?;
    let kubeconfig = db::kubeconfigs::get(&mut conn, uid).await?;
    drop(conn);
    let disk = assignments.first().and_then(|row| row.disk.as_deref());
    let disk: Option<DiskChoice> = disk.map(from_json).transpose()?;
    let history = assignments.iter().map(|row| {
        let what = format!("{}@{}", row.profile, row.version);
        (page::ago(row.created_at), what)
    });
    let profiles = db::profiles::list(&hub.db).await?.into_iter().rev();
    Ok(Stored {
        keys: keys.iter().map(key).collect(),
        history: history.collect(),
        chosen_disk: disk.map_or_else(String::new, |disk| disk.serial),
        profiles: profiles
            .map(|row| format!("{}@{}", row.name, row.version))
            .collect(),
        kubeconfig: kubeconfig.map(|row| page::ago(row.received_at)),
    })
}

fn sentence(done: &str) -> &'static str {
    match done {
        "approve" => "The host was let in.",
        "deny" => "The host was denied.",
        "retire" => "The host was retired; its host ID is free for another key.",
        "revoke" => "The host was revoked; its key is never accepted again.",
        "release" => "The host is this machine now; others with its key are turned away.",
        "rekey" => "The host makes another key at its next sync.",
        "labels" => "The labels were kept.",
        "assignment" => "The profile was assigned.",
        "claimed" => "The host is yours.",
        _ => "",
    }
}

fn actions(state: &str) -> Vec<Action> {
    let action = |path, name, class, sure| Action {
        path,
        name,
        class,
        sure,
    };
    let retire = action(
        "retire",
        "Retire",
        "",
        "Takes the host out of service. It stops talking to this hub, and its host ID becomes \
         free for another key.",
    );
    let revoke = action(
        "revoke",
        "Revoke",
        "danger",
        "Ends the host's rights at once, as for a stolen box. Its key is never accepted again.",
    );
    match state {
        "pending" => vec![
            action("approve", "Approve", "primary", ""),
            action("deny", "Deny", "danger", ""),
        ],
        "accepted" => vec![
            action(
                "rekey",
                "Change key",
                "",
                "The host makes another identity key at its next sync. It keeps its name, its \
                 assignment and its history.",
            ),
            retire,
            revoke,
        ],
        "quarantined" => vec![retire, revoke],
        _ => Vec::new(),
    }
}

fn key(row: &db::hosts::KeyRow) -> KeyRow {
    KeyRow {
        label: KeyLabel::of(&row.thumbprint)
            .map_or_else(|_| row.thumbprint.clone(), |label| label.to_string()),
        class: if row.state == "active" { "good" } else { "" },
        state: row.state.clone(),
        since: format!("SHA-256 {}", row.thumbprint),
    }
}

fn findings(host: &HostInfo) -> Vec<FindingRow> {
    let mut findings: Vec<_> = host.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let row = |finding: &burin_api::event::Finding| {
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

fn disks(host: &HostInfo) -> Vec<DiskRow> {
    let row = |disk: &burin_api::host::DiskEvidence| DiskRow {
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
    };
    host.evidence.disks.iter().map(row).collect()
}

async fn events(hub: &Hub, uid: &str) -> Result<Vec<EventRow>, Problem> {
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
            step: event.step,
            class,
            kind,
            text,
        });
    }
    Ok(rows)
}

fn facts(host: &HostInfo) -> Vec<(&'static str, String)> {
    let evidence = &host.evidence;
    let cpu = format!("{} ({} cores)", evidence.cpu, evidence.cores);
    let accepted = host.accepted_at.map(page::time).unwrap_or_default();
    let all = [
        ("Serial", evidence.serial.clone()),
        ("UUID", evidence.uuid.clone()),
        (
            "Board",
            format!("{} {}", evidence.board_vendor, evidence.board_serial),
        ),
        ("MAC addresses", evidence.macs.join(", ")),
        ("CPU", cpu),
        ("Memory", format!("{} GiB", evidence.memory >> 30)),
        ("Architecture", host.arch.clone()),
        ("ID comes from", host.host_id_source.clone()),
        ("Token", host.token_id.clone().unwrap_or_default()),
        ("First call", page::time(host.created_at)),
        ("Accepted", accepted),
        ("Agent", host.agent.clone().unwrap_or_default()),
        ("Runs as", host.mode.clone().unwrap_or_default()),
        ("uid", host.uid.clone()),
    ];
    all.into_iter()
        .filter(|(_, value)| !value.trim().is_empty())
        .collect()
}

fn generation(host: &HostInfo) -> Vec<(&'static str, String)> {
    let observed = &host.observed;
    let Some(number) = observed.generation else {
        return Vec::new();
    };
    let all = [
        ("Number", Some(number.to_string())),
        ("Kernel", observed.kernel.clone()),
        ("Kubernetes", observed.kubernetes.clone()),
        ("Root digest", observed.root_digest.clone()),
        ("Agent digest", observed.agent_digest.clone()),
    ];
    all.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}
