//! Hosts that were announced.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Extension, Path, Query, State};
use axum::{Json, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Actor;
use super::problem::Problem;
use super::types::{InProject, default_project};
use super::{Body, read};
use crate::clock;
use crate::db::from_json;
use crate::db::preauths::{self, PreauthRow};
use crate::people::scope::Projects;
use crate::registration::preauth::{self, Announced};
use crate::state::Hub;

#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PreauthRequest {
    /// Host ID, UUID in any spelling, serial, or key of the host to come.
    pub(crate) value: String,
    /// `host_id`, `uuid`, `serial` or `key`; told by the value when absent.
    pub(crate) kind: Option<String>,
    /// The key on the host's screen, from its first 8 characters on. Without it somebody confirms
    /// the key once the host calls.
    pub(crate) key: Option<String>,
    /// Assigned to the host when it is accepted.
    pub(crate) profile: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// Seconds until it is over; 7 days when absent.
    pub(crate) lifetime: Option<u64>,
    /// Where the host lands.
    /// One that the caller may; `default`, or the only one that there is for the caller, when absent.
    pub(crate) project: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct PreauthInfo {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) value: String,
    /// What was read of the key; empty when somebody has to confirm it.
    pub(crate) key: String,
    /// `waiting`, `used` or `expired`.
    pub(crate) state: String,
    pub(crate) profile: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) created_by: String,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    /// The host that it let in.
    pub(crate) host_uid: Option<String>,
    #[serde(default = "default_project")]
    pub(crate) project: String,
}

fn info(row: PreauthRow, now: i64) -> sqlx::Result<PreauthInfo> {
    let state = match &row.host_uid {
        Some(_) => "used",
        None if row.expires_at <= now => "expired",
        None => "waiting",
    };
    Ok(PreauthInfo {
        state: state.to_owned(),
        labels: from_json(&row.labels)?,
        id: row.id,
        kind: row.kind,
        value: row.value,
        key: row.confirmed_key,
        profile: row.profile,
        created_by: row.created_by,
        created_at: row.created_at,
        expires_at: row.expires_at,
        host_uid: row.host_uid,
        project: row.project,
    })
}

/// Every announced host of these projects, oldest first; pages use it too.
pub(crate) async fn entries(hub: &Hub, within: &Projects) -> sqlx::Result<Vec<PreauthInfo>> {
    let now = clock::now_ms();
    let rows = preauths::list(&hub.db, within).await?;
    rows.into_iter().map(|row| info(row, now)).collect()
}

#[utoipa::path(get, path = "/api/v1/preauths", params(("project" = Option<String>, Query)),
    responses((status = 200, body = Vec<PreauthInfo>), (status = 404, body = Problem)))]
pub(crate) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Query(InProject { project }): Query<InProject>,
) -> Result<Json<Vec<PreauthInfo>>, Problem> {
    let within = actor.scope.narrowed(Some(&project))?;
    Ok(Json(entries(&hub, &within).await?))
}

/// Announces a host, before or after it calls.
#[utoipa::path(post, path = "/api/v1/preauths", request_body = PreauthRequest,
    responses((status = 201, body = PreauthInfo), (status = 409, body = Problem),
    (status = 422, body = Problem)))]
pub(crate) async fn create(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    body: Body<PreauthRequest>,
) -> Result<(StatusCode, Json<PreauthInfo>), Problem> {
    let asked = read(body)?;
    let asked = Announced {
        value: asked.value,
        kind: asked.kind,
        key: asked.key,
        profile: asked.profile,
        labels: asked.labels,
        lifetime: asked.lifetime,
        project: asked.project,
    };
    let row = preauth::create(&hub, &actor, asked).await?;
    Ok((StatusCode::CREATED, Json(info(row, clock::now_ms())?)))
}

/// Withdraws an announcement. A host that it let in stays.
#[utoipa::path(delete, path = "/api/v1/preauths/{id}", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn remove(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    preauth::remove(&hub, &actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
