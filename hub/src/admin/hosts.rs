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
use crate::db::{assignments, audit, hosts, profiles, to_json};
use crate::registration::decide::{Decision, Why, decide};
use crate::release::store;
use crate::state::Hub;

/// Where a page of a list begins.
#[derive(Debug, Deserialize)]
pub(crate) struct After {
    #[serde(default)]
    after: String,
}

/// Hosts in the order of their first call.
#[utoipa::path(get, path = "/api/v1/hosts", params(("after" = Option<String>, Query)),
    responses((status = 200, body = Page<HostInfo>)))]
pub(crate) async fn list(
    State(hub): State<Arc<Hub>>,
    Query(After { after }): Query<After>,
) -> Result<Json<Page<HostInfo>>, Problem> {
    Ok(Json(view::page(&hub, &after).await?))
}

/// One host, by uid or host ID.
#[utoipa::path(get, path = "/api/v1/hosts/{host}", params(("host" = String, Path)),
    responses((status = 200, body = HostInfo), (status = 404, body = Problem)))]
pub(crate) async fn show(
    State(hub): State<Arc<Hub>>,
    Path(name): Path<String>,
) -> Result<Json<HostInfo>, Problem> {
    let host = view::one(&hub, &name).await?;
    host.map(Json).ok_or_else(|| missing(&name))
}

fn missing(name: &str) -> Problem {
    Problem::not_found(format!("no host has the uid or host ID `{name}`"))
}

/// The one host that a write means. A host ID that several hosts have must be told by its uid,
/// unless one of them is live.
pub(super) async fn meant(hub: &Hub, name: &str) -> Result<HostRow, Problem> {
    let mut found = hosts::find(&hub.db, name).await?;
    if found.is_empty() {
        return Err(missing(name));
    }
    let first = found.remove(0);
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
    let host = meant(&hub, &name).await?;
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
    let now = clock::now_ms();
    let mut tx = hub.db.begin().await?;
    let (profile, version) = match asked.profile.split_once('@') {
        Some((profile, version)) => profiles::get(&mut tx, profile, version)
            .await?
            .map(|row| (row.name, row.version)),
        None if hub.keys.wants_signatures() => profiles::newest_signed(&mut tx, &asked.profile)
            .await?
            .map(|row| (row.name, row.version)),
        None => profiles::newest(&mut tx, &asked.profile)
            .await?
            .map(|row| (row.name, row.version)),
    }
    .ok_or_else(|| {
        Problem::not_found(format!("profile `{}` was never published", asked.profile))
    })?;
    store::assignable(hub, &mut tx, &profile, &version).await?;
    let disk = asked.disk.as_ref().map(to_json).transpose()?;
    let disk = disk.as_deref();
    let generation = assignments::insert(&mut tx, &host.uid, &profile, &version, disk, now).await?;
    let object = format!("{} {profile}@{version}", host.uid);
    audit::record(&mut tx, &actor.name, "host.assign", &object, now).await?;
    tx.commit().await?;
    hub.wake();
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
    let host = meant(&hub, &name).await?;
    relabel(&hub, &actor, &host, &read(body)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `approve` or `deny` a pending host, `revoke` or `retire` an accepted one, `release` one from
/// quarantine, `rekey` (or `rekey-leaked`) to have an accepted one change its identity key. An approval names the key that stands on the host's screen.
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
    let host = meant(&hub, &name).await?;
    let asked = asked.unwrap_or_default();
    change(&hub, &actor, &host.uid, &action, &asked).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Carries out one action on a host; pages use it too. `key` is what an approval compares.
pub(crate) async fn change(
    hub: &Hub,
    actor: &Actor,
    uid: &str,
    action: &str,
    asked: &ActRequest,
) -> Result<(), Problem> {
    let decision = match action {
        "approve" => Decision::Approve { key: &asked.key },
        "deny" => Decision::Deny,
        "revoke" => Decision::Revoke,
        "retire" => Decision::Retire,
        "release" => Decision::Release {
            machine: &asked.machine,
        },
        "rekey" => Decision::Rekey(Why::Asked),
        "rekey-leaked" => Decision::Rekey(Why::Leaked),
        _ => return Err(Problem::not_found(format!("there is no action `{action}`"))),
    };
    decide(hub, &actor.name, uid, decision).await
}
