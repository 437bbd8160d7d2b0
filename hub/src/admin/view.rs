//! Hosts as admins see them, put together from the tables.

use std::collections::HashMap;

use burin_api::claim::KeyLabel;
use burin_api::message::Observed;

use super::types::{AdmissionInfo, AssignmentInfo, HostInfo, MachineInfo, Page};
use crate::db::admissions::AdmissionRow;
use crate::db::assignments::AssignmentRow;
use crate::db::hosts::{HostRow, KeyRow, Part};
use crate::db::live::LiveRow;
use crate::db::machines::MachineRow;
use crate::db::{self, from_json};
use crate::people::scope::Projects;
use crate::state::Hub;
use crate::{clock, silence};

/// Hosts on one page of a list.
pub(crate) const PAGE: i64 = 200;

/// What other tables hold of one host.
#[derive(Debug, Default)]
struct Beside {
    live: Option<LiveRow>,
    assignment: Option<AssignmentRow>,
    key: Option<KeyRow>,
    admission: Option<AdmissionRow>,
    machines: Vec<MachineRow>,
}

fn info(host: HostRow, beside: Beside, heard_since: i64) -> sqlx::Result<HostInfo> {
    let live = beside.live;
    let mut observed = Observed::default();
    let mut progress = None;
    // What the host said in a session is newer than what it said at the door.
    let mut findings = from_json(&host.findings)?;
    if let Some(live) = &live {
        observed = from_json(&live.observed)?;
        progress = live.progress.as_deref().map(from_json).transpose()?;
        findings = from_json(&live.findings)?;
    }
    let late = live.as_ref().is_some_and(|live| live.seen_at < heard_since);
    let label = |key: KeyRow| KeyLabel::of(&key.thumbprint).ok();
    Ok(HostInfo {
        silent: host.state == "accepted" && late,
        labels: from_json(&host.labels)?,
        evidence: from_json(&host.evidence)?,
        uid: host.uid,
        host_id: host.host_id,
        host_id_source: host.host_id_source,
        project: host.project,
        state: host.state,
        reason: host.reason,
        rekey: host.rekey,
        token_id: host.token_id,
        key: beside
            .key
            .and_then(label)
            .map_or_else(String::new, |label| label.to_string()),
        admission: beside.admission.map(|row| AdmissionInfo {
            matcher: row.matcher,
            detail: row.detail,
            by: row.actor,
            at: row.made_at,
        }),
        arch: host.arch,
        address: live
            .as_ref()
            .map_or(host.address, |live| live.address.clone()),
        created_at: host.created_at,
        accepted_at: host.accepted_at,
        seen_at: live.as_ref().map(|live| live.seen_at),
        phase: live.as_ref().map(|live| live.phase.clone()),
        mode: live.as_ref().map(|live| live.mode.clone()),
        agent: live.map(|live| live.agent),
        progress,
        last_error: observed.last_error.clone(),
        observed,
        findings,
        assignment: beside.assignment.map(|row| AssignmentInfo {
            generation: row.generation,
            profile: row.profile,
            version: row.version,
        }),
        machines: beside.machines.into_iter().map(machine).collect(),
    })
}

fn machine(row: MachineRow) -> MachineInfo {
    MachineInfo {
        hardware: row.hardware,
        name: row.name,
        address: row.address,
        first_at: row.first_at,
        seen_at: row.seen_at,
        chosen: row.chosen != 0,
    }
}

fn by_host<T>(rows: Vec<T>, uid: impl Fn(&T) -> &str) -> HashMap<String, T> {
    rows.into_iter()
        .map(|row| (uid(&row).to_owned(), row))
        .collect()
}

/// Hosts of these projects after `after` in the order of their first call.
pub(crate) async fn page(
    hub: &Hub,
    within: &Projects,
    after: &str,
) -> anyhow::Result<Page<HostInfo>> {
    let heard_since = silence::heard_since(hub, clock::now_ms()).await?;
    let db = &hub.db;
    let rows = db::hosts::page(db, within, after, PAGE).await?;
    let Some(last) = rows.last().map(|row| row.uid.clone()) else {
        return Ok(Page {
            items: Vec::new(),
            next: None,
        });
    };
    let full = i64::try_from(rows.len()).is_ok_and(|count| count == PAGE);
    let part = Part {
        within,
        after,
        last: &last,
    };
    let live = db::live::page(db, &part).await?;
    let mut live = by_host(live, |row| &row.host_uid);
    let assigned = db::assignments::page(db, &part).await?;
    let mut assigned = by_host(assigned, |row| &row.host_uid);
    let keys = db::hosts::keys_page(db, &part).await?;
    let mut keys = by_host(keys, |row| &row.host_uid);
    let admitted = db::admissions::page(db, &part).await?;
    let mut admitted = by_host(admitted, |row| &row.host_uid);
    let items = rows
        .into_iter()
        .map(|row| {
            let beside = Beside {
                live: live.remove(&row.uid),
                assignment: assigned.remove(&row.uid),
                key: keys.remove(&row.uid),
                admission: admitted.remove(&row.uid),
                machines: Vec::new(),
            };
            info(row, beside, heard_since)
        })
        .collect::<Result<_, _>>()?;
    Ok(Page {
        items,
        next: full.then_some(last),
    })
}

/// The host of these projects with this uid or host ID; of several with one host ID the live one.
pub(crate) async fn one(
    hub: &Hub,
    within: &Projects,
    name: &str,
) -> anyhow::Result<Option<HostInfo>> {
    let found = db::hosts::find(&hub.db, within, name)
        .await?
        .into_iter()
        .next();
    let infos = several(hub, found.into_iter().collect()).await?;
    Ok(infos.into_iter().next())
}

/// These hosts, in their order.
pub(crate) async fn several(hub: &Hub, rows: Vec<HostRow>) -> anyhow::Result<Vec<HostInfo>> {
    let heard_since = silence::heard_since(hub, clock::now_ms()).await?;
    let mut conn = hub.db.reader().acquire().await?;
    let mut infos = Vec::with_capacity(rows.len());
    for row in rows {
        let beside = Beside {
            live: db::live::get(&mut conn, &row.uid).await?,
            assignment: db::assignments::current(&mut conn, &row.uid).await?,
            key: db::hosts::active_key(&mut conn, &row.uid).await?,
            admission: db::admissions::get(&mut conn, &row.uid).await?,
            machines: db::machines::of(&mut conn, &row.uid).await?,
        };
        infos.push(info(row, beside, heard_since)?);
    }
    Ok(infos)
}
