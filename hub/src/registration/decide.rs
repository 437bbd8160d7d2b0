//! What people decide about a host: approve, deny, revoke, retire, release, rekey.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use burin_api::claim::KeyLabel;

use super::accept::{self, Admission};
use super::preauth::KEY_FORM;
use super::{clones, landing};
use crate::admin::problem::Problem;
use crate::clock;
use crate::codes::ProblemCode;
use crate::db::hosts::{self, HostRow, KeyRow};
use crate::db::{
    Connection, Writing, audit, from_json, machines, preauths, sessions, to_json, tokens,
};
use crate::host_api::{said_by, same_machine};
use crate::people::Actor;
use crate::state::Hub;

/// A person's word about one host.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Decision<'a> {
    /// Let a pending host in; `key` is what stands on its screen, from the eighth character on.
    /// `project` says where it lands; where it waits when that is empty.
    Approve { key: &'a str, project: &'a str },
    /// Turn a pending host away.
    Deny,
    /// End a host's rights; its key is never accepted again.
    Revoke,
    /// Take a host out of service; its host ID becomes free.
    Retire,
    /// Say which of the machines with the host's key is the host, by the beginning of its hardware
    /// digest. Ends a quarantine.
    Release { machine: &'a str },
    /// Have it change its identity key.
    Rekey(Why),
}

/// Why a person wants a host to change its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Asked,
    /// Somebody else may have it.
    Leaked,
}

impl Why {
    fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Leaked => "leaked",
        }
    }
}

impl Decision<'_> {
    fn name(self) -> &'static str {
        match self {
            Self::Approve { .. } => "approve",
            Self::Deny => "deny",
            Self::Revoke => "revoke",
            Self::Retire => "retire",
            Self::Release { .. } => "release",
            Self::Rekey(_) => "rekey",
        }
    }
}

/// Carries out a decision about the host with this uid.
///
/// # Errors
/// 404 for an unknown host, 409 when its state or the key does not allow it.
pub(crate) async fn decide(
    hub: &Hub,
    who: &Actor,
    uid: &str,
    decision: Decision<'_>,
) -> Result<(), Problem> {
    let now = clock::now_ms();
    let mut tx = hub.db.begin().await?;
    let missing = || Problem::not_found(format!("no host has the uid `{uid}`"));
    // Read inside: only one of two people may win.
    let host = hosts::get(&mut tx, uid).await?.ok_or_else(missing)?;
    who.scope.admit(&host.project, missing)?;
    let actor = who.name.as_str();
    let mut detail = String::new();
    let state = match (decision, host.state.as_str()) {
        (Decision::Approve { key, project }, "pending") => {
            let wrong = approve(&mut tx, who, &host, (key, project), now).await;
            return finish(hub, tx, wrong).await;
        }
        (Decision::Rekey(why), "accepted") => {
            let wrong = ask_rekey(&mut tx, actor, uid, why, now).await;
            return finish(hub, tx, wrong).await;
        }
        (Decision::Deny, "pending") => ("rejected", "denied"),
        (Decision::Revoke, "accepted" | "quarantined") => ("revoked", ""),
        (Decision::Retire, "accepted" | "quarantined") => ("retired", ""),
        (Decision::Release { machine }, "accepted" | "quarantined") => {
            let chosen = clones::choose(&mut tx, uid, machine).await?;
            detail = format!(" {} {}", chosen.hardware, chosen.name);
            ("accepted", "")
        }
        (_, state) => {
            let name = decision.name();
            let detail = format!("host {uid} is {state}: it cannot be changed by `{name}`");
            return Err(Problem::refused(detail));
        }
    };
    hosts::set_state(&mut tx, uid, state.0, state.1).await?;
    sessions::end_all(&mut tx, uid, now).await?;
    let action = format!("host.{}", decision.name());
    audit::record(&mut tx, actor, &action, &format!("{uid}{detail}"), now).await?;
    finish(hub, tx, Ok(())).await
}

async fn ask_rekey(
    conn: &mut Connection,
    actor: &str,
    uid: &str,
    why: Why,
    now: i64,
) -> Result<(), Problem> {
    if machines::chosen(conn, uid).await?.is_some() {
        let detail = format!(
            "the key of host {uid} was copied, so it cannot prove who changes it; retire it and install \
             it anew"
        );
        return Err(Problem::refused(detail));
    }
    hosts::ask_rekey(conn, uid, why.name()).await?;
    if why == Why::Leaked {
        // The host opens another one, and hears of it there.
        sessions::end_all(conn, uid, now).await?;
    }
    let action = format!("host.rekey.{}", why.name());
    Ok(audit::record(conn, actor, &action, uid, now).await?)
}

/// Commits also what was refused: the audit log shall hold it.
async fn finish(hub: &Hub, tx: Writing, result: Result<(), Problem>) -> Result<(), Problem> {
    tx.commit().await?;
    hub.wake();
    result
}

async fn approve(
    conn: &mut Connection,
    who: &Actor,
    host: &HostRow,
    (typed, project): (&str, &str),
    now: i64,
) -> Result<(), Problem> {
    if typed.trim().is_empty() {
        let detail = format!("confirm the key of the host: {KEY_FORM}");
        return Err(Problem::bad_input(detail));
    }
    let key = key_of(conn, &host.uid).await?;
    let label = KeyLabel::of(&key.thumbprint).map_err(anyhow::Error::from)?;
    if !label.is_typed(typed) {
        audit::record(conn, &who.name, "host.approve.wrong_key", &host.uid, now).await?;
        let detail = format!(
            "host {} has another key: {label}. If its screen shows `{typed}`, somebody is between \
             host and hub, or this is another host",
            host.uid
        );
        return Err(Problem::new(
            StatusCode::CONFLICT,
            ProblemCode::WrongKey,
            detail,
        ));
    }
    let called = landing::of_waiting(conn, host, &key, now).await?;
    let project = match (project.trim(), called) {
        ("", called) => called.unwrap_or_else(|| host.project.clone()),
        (asked, Some(called)) if asked != called => return Err(landing::elsewhere(&called)),
        (asked, _) => asked.to_owned(),
    };
    let project = who.scope.place(Some(&project))?;
    let by = by_person(conn, &who.name, host, &key, (&project, now)).await?;
    admit(conn, host, &key, &by, now).await
}

/// The active key of a host.
pub(crate) async fn key_of(conn: &mut Connection, uid: &str) -> Result<KeyRow, Problem> {
    let key = hosts::active_key(conn, uid).await?;
    let key = key.ok_or_else(|| anyhow::anyhow!("host {uid} has no key"))?;
    Ok(key)
}

/// An approval, or the announcement that it completes.
async fn by_person(
    conn: &mut Connection,
    actor: &str,
    host: &HostRow,
    key: &KeyRow,
    (project, now): (&str, i64),
) -> Result<Admission, Problem> {
    let said = said_by(&host.host_id, &from_json(&host.evidence)?, &key.thumbprint);
    let announced = preauths::matching(conn, &said, now).await?;
    if let Some(row) = announced.into_iter().find(|row| row.project == project) {
        return Ok(Admission {
            matcher: row.kind,
            detail: row.id,
            actor: actor.to_owned(),
            token_id: None,
            labels: merged(&host.labels, &row.labels)?,
            profile: row.profile,
            project: row.project,
        });
    }
    with_token(conn, "approval", actor, host, project).await
}

/// What a person lets in keeps what its token brings, which is one of the same project.
pub(crate) async fn with_token(
    conn: &mut Connection,
    matcher: &str,
    actor: &str,
    host: &HostRow,
    project: &str,
) -> Result<Admission, Problem> {
    let token = match &host.token_id {
        Some(id) => tokens::get(conn, id).await?,
        None => None,
    };
    let token = token.filter(|token| token.project == project);
    Ok(Admission {
        matcher: matcher.to_owned(),
        detail: String::new(),
        actor: actor.to_owned(),
        token_id: token.as_ref().map(|token| token.id.clone()),
        labels: match &token {
            Some(token) => merged(&host.labels, &token.labels)?,
            None => host.labels.clone(),
        },
        profile: token.and_then(|token| token.profile),
        project: project.to_owned(),
    })
}

/// What the hub's people wrote wins over what the machine says of itself.
fn merged(own: &str, written: &str) -> Result<String, Problem> {
    let mut labels: BTreeMap<String, String> = from_json(own)?;
    labels.extend(from_json::<BTreeMap<String, String>>(written)?);
    Ok(to_json(&labels)?)
}

/// Lets a pending host in whose key a person has seen, or puts its key into the place of the live
/// host that is the same machine.
///
/// # Errors
/// 409 when another machine with this host ID is live.
pub(crate) async fn admit(
    conn: &mut Connection,
    host: &HostRow,
    key: &KeyRow,
    by: &Admission,
    now: i64,
) -> Result<(), Problem> {
    let Some(live) = hosts::live(conn, &host.host_id).await? else {
        return Ok(accept::accept(conn, &host.uid, by, now).await?);
    };
    if live.project != by.project {
        let detail = format!(
            "the host ID {} is live in another project; retire or move that host first, or give this \
             one a host.id of its own in its user-data",
            host.host_id
        );
        return Err(Problem::new(
            StatusCode::CONFLICT,
            ProblemCode::IdConflict,
            detail,
        ));
    }
    if !same_machine(&from_json(&live.evidence)?, &from_json(&host.evidence)?) {
        let detail = format!(
            "another machine with the host ID {} is live ({}); retire or revoke that one first, or \
             give this one a host.id of its own in its user-data",
            host.host_id, live.uid
        );
        return Err(Problem::new(
            StatusCode::CONFLICT,
            ProblemCode::IdConflict,
            detail,
        ));
    }
    if live.state != "accepted" {
        let detail = format!("host {} is {}; decide about it first", live.uid, live.state);
        return Err(Problem::refused(detail));
    }
    Ok(accept::replace_key(conn, &live.uid, host, key, by, now).await?)
}
