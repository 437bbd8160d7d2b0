//! The page of one host.

mod parts;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Response;
use burin_api::desired::DiskChoice;
use serde::Deserialize;

use super::hosts::{LabelLink, labels, machine, percent};
use super::machines::{self, MachineRow};
use super::page::{self, Asked, Frame, Named};
use super::profiles::{self, Signature};
use super::status::{self, Status};
use crate::admin::auth::Actor;
use crate::admin::problem::Problem;
use crate::admin::refusals::{self, RefusalInfo};
use crate::admin::types::{AssignmentInfo, HostInfo};
use crate::admin::view;
use crate::db::{self, from_json};
use crate::people::scope::Projects;
use crate::state::Hub;
use parts::{
    Assigned, DiskRow, EventRow, FindingRow, KeyRow, assigned, disks, events, facts, findings,
    generation, has_stopped, heard, key, why_rekey,
};

/// Refusals on the page.
const REFUSALS: i64 = 10;

/// Something that can be done with a host.
#[derive(Debug, Clone, Copy)]
struct Action {
    path: &'static str,
    name: &'static str,
    class: &'static str,
    /// What to know before doing it; empty for what can be undone.
    sure: &'static str,
}

#[derive(Debug, Template)]
#[template(path = "host.html")]
struct HostPage {
    frame: Frame,
    uid: String,
    host_id: String,
    project: String,
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
    labels: Vec<LabelLink>,
    labels_text: String,
    facts: Vec<(&'static str, String)>,
    generation: Vec<(&'static str, String)>,
    keys: Vec<KeyRow>,
    refused: Vec<RefusalInfo>,
    history: Vec<Assigned>,
    /// Why the host was asked for another key; empty when it was not.
    rekey: &'static str,
    /// It stopped in the installer: perhaps it does not know which disk.
    stopped: bool,
    /// How long ago the kubeconfig came; none while there is none.
    kubeconfig: Option<String>,
}

impl HostPage {
    /// Whether the list of what can be assigned stands at this one.
    fn is_assigned(&self, release: &str) -> bool {
        let now = self.history.first();
        now.is_some_and(|now| now.release == release)
    }
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
    let host = view::one(&hub, &actor.scope.sees, &uid)
        .await?
        .ok_or_else(|| Problem::not_found(format!("no host has the uid `{uid}`")))?;
    let Stored {
        keys,
        history,
        chosen_disk,
        profiles,
        kubeconfig,
    } = stored(&hub, &host).await?;
    let signature = match &host.assignment {
        Some(it) => profiles::signature(&hub, &it.profile, &it.version).await?,
        None => Signature::default(),
    };
    let progress = host.progress.as_ref();
    let labels = labels(&host);
    page::draw(&HostPage {
        frame: Frame::about(&hub, &actor, ("/hosts", &host.project)).done(sentence(&done)),
        key_label: keys
            .first()
            .map_or_else(String::new, |key| key.label.clone()),
        keys,
        history,
        disks: disks(&host, &chosen_disk),
        chosen_disk,
        profiles,
        kubeconfig,
        signature,
        stopped: has_stopped(&host),
        rekey: why_rekey(&host.rekey),
        events: events(&hub, &host.uid).await?,
        refused: refusals::newest(&hub, &actor.scope.sees, &host.uid, REFUSALS).await?,
        machine: machine(&host),
        status: status::of(&host),
        reason: status::reason(&host.reason),
        seen: heard(&host),
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
        labels_text: labels.join("\n"),
        labels: labels.into_iter().map(LabelLink::new).collect(),
        facts: facts(&host),
        generation: generation(&host),
        uid: host.uid,
        host_id: host.host_id,
        project: host.project,
        state: host.state,
        assigned: host.assignment,
    })
}

/// What the tables hold of a host beside what [`HostInfo`] says.
struct Stored {
    keys: Vec<KeyRow>,
    /// The newest first.
    history: Vec<Assigned>,
    chosen_disk: String,
    /// Everything that can be assigned, the newest first.
    profiles: Vec<String>,
    kubeconfig: Option<String>,
}

async fn stored(hub: &Hub, host: &HostInfo) -> Result<Stored, Problem> {
    let uid = &host.uid;
    let mut conn = hub.db.reader().acquire().await?;
    let keys = db::hosts::keys(&mut conn, uid).await?;
    let assignments = db::assignments::history(&mut conn, uid).await?;
    let kubeconfig = db::kubeconfigs::get(&mut conn, uid).await?;
    drop(conn);
    let disk = assignments.first().and_then(|row| row.disk.as_deref());
    let disk: Option<DiskChoice> = disk.map(from_json).transpose()?;
    let history = assignments.iter().map(assigned);
    let own = Projects::only([host.project.as_str()]);
    let profiles = db::profiles::list(&hub.db, &own).await?.into_iter().rev();
    Ok(Stored {
        keys: keys.iter().map(key).collect(),
        history: history.collect::<Result<_, _>>()?,
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
        "move" => "The host is in this project now.",
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
