//! Hosts and what they shall be.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, Path, Query, State};
use axum::{Json, http::StatusCode};
use serde::Deserialize;

use super::auth::Actor;
use super::problem::Problem;
use super::types::{ActRequest, AssignRequest, AssignmentInfo, HostInfo, Page};
use super::{Body, read, view};
use crate::clock;
use crate::db::hosts::HostRow;
use crate::db::{Connection, assignments, audit, hosts, preauths, profiles, to_json};
use crate::registration::decide::{Decision, Why, decide};
use crate::registration::landing::relocate;
use crate::release::store;
use crate::state::Hub;

/// Where a page of a list begins.
#[derive(Debug, Deserialize)]
pub(crate) struct After {
    #[serde(default)]
    after: String,
    #[serde(default)]
    project: String,
}

/// Hosts in the order of their first call.
#[utoipa::path(get, path = "/api/v1/hosts", 
    params(("after" = Option<String>, Query), ("project" = Option<String>, Query)),
    responses((status = 200, body = Page<HostInfo>), (status = 404, body = Problem)))]
pub(crate) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Query(After { after, project }): Query<After>,
) -> Result<Json<Page<HostInfo>>, Problem> {
    let within = actor.scope.narrowed(Some(&project))?;
    Ok(Json(view::page(&hub, &within, &after).await?))
}

/// One host, by uid or host ID.
#[utoipa::path(get, path = "/api/v1/hosts/{host}", params(("host" = String, Path)),
    responses((status = 200, body = HostInfo), (status = 404, body = Problem)))]
pub(crate) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<Json<HostInfo>, Problem> {
    let host = view::one(&hub, &actor.scope.sees, &name).await?;
    host.map(Json).ok_or_else(|| missing(&name))
}

fn missing(name: &str) -> Problem {
    Problem::not_found(format!("no host has the uid or host ID `{name}`"))
}

/// As [`missing`], unless the host is awaited.
async fn absent(hub: &Hub, actor: &Actor, name: &str) -> Result<Problem, Problem> {
    let now = clock::now_ms();
    let announced = preauths::list(&hub.db, &actor.scope.sees).await?;
    let mut waiting = announced
        .iter()
        .filter(|it| it.host_uid.is_none() && it.expires_at > now);
    Ok(
        match waiting.any(|it| it.value.eq_ignore_ascii_case(name)) {
            true => Problem::not_found(format!(
                "`{name}` is announced and has not called yet; it is a host as soon as it does"
            )),
            false => missing(name),
        },
    )
}

/// The one host that a write of this caller means; pages use it too. A host ID that several hosts
/// have must be told by its uid, unless one of them is live.
pub(crate) async fn meant(hub: &Hub, actor: &Actor, name: &str) -> Result<HostRow, Problem> {
    let mut found = hosts::find(&hub.db, &actor.scope.sees, name).await?;
    if found.is_empty() {
        return Err(absent(hub, actor, name).await?);
    }
    let first = found.remove(0);
    actor.scope.admit(&first.project, || missing(name))?;
    if found.is_empty() || first.state == "accepted" || first.uid == name {
        return Ok(first);
    }
    let uids: Vec<&str> = std::iter::once(&first)
        .chain(&found)
        .map(|host| host.uid.as_str())
        .collect();
    let detail = format!(
        "several hosts have the host ID `{name}`; name one by uid: {}",
        uids.join(", ")
    );
    Err(Problem::refused(detail))
}

/// Says what a host shall be.
#[utoipa::path(post, path = "/api/v1/hosts/{host}/assignment", params(("host" = String, Path)),
    request_body = AssignRequest, responses((status = 200, body = AssignmentInfo),
    (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn assign(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    body: Body<AssignRequest>,
) -> Result<Json<AssignmentInfo>, Problem> {
    let asked = read(body)?;
    let host = meant(&hub, &actor, &name).await?;
    Ok(Json(assign_to(&hub, &actor, &host, &asked).await?))
}

/// Assigns a profile to a host; pages use it too.
pub(crate) async fn assign_to(
    hub: &Hub,
    actor: &Actor,
    host: &HostRow,
    asked: &AssignRequest,
) -> Result<AssignmentInfo, Problem> {
    if host.state != "accepted" {
        let detail = format!(
            "host {} is {}, only an accepted host can be assigned",
            host.uid, host.state
        );
        return Err(Problem::refused(detail));
    }
    let mut tx = hub.db.begin().await?;
    let version = pick(hub, &mut tx, actor, &host.project, &asked.profile).await?;
    let disk = asked.disk.as_ref().map(to_json).transpose()?;
    let info = assign_in(&mut tx, actor, &host.uid, version, disk.as_deref()).await?;
    tx.commit().await?;
    hub.wake();
    Ok(info)
}

/// The version that `NAME` or `NAME@VERSION` means for a host of this project.
///
/// # Errors
/// 404 when there is none that the caller may know of, 409 for one of another project, and for one
/// that hosts would refuse.
pub(crate) async fn pick(
    hub: &Hub,
    conn: &mut Connection,
    actor: &Actor,
    project: &str,
    named: &str,
) -> Result<(String, String), Problem> {
    let missing = || Problem::not_found(format!("profile `{named}` was never published"));
    let name = named.split('@').next().unwrap_or(named);
    let owner = profiles::project_of(conn, name)
        .await?
        .ok_or_else(missing)?;
    if owner != project {
        return Err(match actor.scope.sees.has(&owner) {
            false => missing(),
            true => Problem::refused(format!(
                "profile `{name}` is of the project `{owner}`, the host is in `{project}`; publish it \
                 there under a name of its own, or move the host"
            )),
        });
    }
    let found = match named.split_once('@') {
        Some((name, version)) => profiles::get(conn, name, version)
            .await?
            .map(|row| (row.name, row.version)),
        None if hub.keys.wants_signatures() => profiles::newest_signed(conn, name)
            .await?
            .map(|row| (row.name, row.version)),
        None => profiles::newest(conn, name)
            .await?
            .map(|row| (row.name, row.version)),
    };
    let (name, version) = found.ok_or_else(missing)?;
    store::assignable(hub, conn, &name, &version).await?;
    Ok((name, version))
}

/// Writes an assignment, in a transaction of the caller's.
pub(crate) async fn assign_in(
    conn: &mut Connection,
    actor: &Actor,
    uid: &str,
    (profile, version): (String, String),
    disk: Option<&str>,
) -> sqlx::Result<AssignmentInfo> {
    let now = clock::now_ms();
    let generation = assignments::insert(conn, uid, &profile, &version, disk, now).await?;
    let object = format!("{uid} {profile}@{version}");
    audit::record(conn, &actor.name, "host.assign", &object, now).await?;
    Ok(AssignmentInfo {
        generation,
        profile,
        version,
    })
}

/// Most labels of a host, and bytes of a key or a value.
const MOST_LABELS: usize = 32;
const LABEL_BYTES: usize = 128;

/// Replaces the labels of a host; pages use it too.
pub(crate) async fn relabel(
    hub: &Hub,
    actor: &Actor,
    host: &HostRow,
    labels: &BTreeMap<String, String>,
) -> Result<(), Problem> {
    let fine = |text: &str| text.len() <= LABEL_BYTES && !text.chars().any(char::is_control);
    let all_fine = labels
        .iter()
        .all(|(k, v)| !k.is_empty() && fine(k) && fine(v));
    if labels.len() > MOST_LABELS || !all_fine {
        return Err(Problem::bad_input(format!(
            "a host has at most {MOST_LABELS} labels, each with a name, key and value of at most \
             {LABEL_BYTES} printable bytes"
        )));
    }
    let now = clock::now_ms();
    let mut tx = hub.db.begin().await?;
    hosts::set_labels(&mut tx, &host.uid, &to_json(labels)?).await?;
    audit::record(&mut tx, &actor.name, "host.label", &host.uid, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Replaces the labels of a host.
#[utoipa::path(put, path = "/api/v1/hosts/{host}/labels", params(("host" = String, Path)),
    request_body = BTreeMap<String, String>, responses((status = 204),
    (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn label(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    body: Body<BTreeMap<String, String>>,
) -> Result<StatusCode, Problem> {
    let host = meant(&hub, &actor, &name).await?;
    relabel(&hub, &actor, &host, &read(body)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `approve` or `deny` a pending host, `revoke` or `retire` an accepted one, `release` one from
/// quarantine, `rekey` (or `rekey-leaked`) to have an accepted one change its identity key, `move` to
/// put it into another project. An approval names the key that stands on the host's screen.
#[utoipa::path(post, path = "/api/v1/hosts/{host}/{action}",
    params(("host" = String, Path), ("action" = String, Path)),
    request_body = Option<ActRequest>,
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 422, body = Problem)))]
pub(crate) async fn act(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path((name, action)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let asked: Option<ActRequest> = match body.is_empty() {
        true => None,
        false => serde_json::from_slice(&body).map_err(|err| {
            Problem::bad_input(format!("the body is not what this action takes: {err}"))
        })?,
    };
    let host = meant(&hub, &actor, &name).await?;
    let asked = asked.unwrap_or_default();
    change(&hub, &actor, &host.uid, &action, &asked).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Carries out one action on a host; pages use it too.
pub(crate) async fn change(
    hub: &Hub,
    actor: &Actor,
    uid: &str,
    action: &str,
    asked: &ActRequest,
) -> Result<(), Problem> {
    let decision = match action {
        "approve" => Decision::Approve {
            key: &asked.key,
            project: &asked.project,
        },
        "deny" => Decision::Deny,
        "revoke" => Decision::Revoke,
        "retire" => Decision::Retire,
        "release" => Decision::Release {
            machine: &asked.machine,
        },
        "rekey" => Decision::Rekey(Why::Asked),
        "rekey-leaked" => Decision::Rekey(Why::Leaked),
        "move" => return relocate(hub, actor, uid, asked).await,
        _ => return Err(Problem::not_found(format!("there is no action `{action}`"))),
    };
    decide(hub, actor, uid, decision).await
}
