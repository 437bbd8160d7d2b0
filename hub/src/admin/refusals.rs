//! Hosts that the hub turned away.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Actor;
use super::problem::Problem;
use crate::db;
use crate::people::scope::Projects;
use crate::state::Hub;

/// Refusals of one answer.
const PAGE: i64 = 1_000;

/// One refusal, as often as it was said to one caller. What it says of itself is not proven.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct RefusalInfo {
    /// Machine code of the host API.
    pub(crate) code: String,
    /// What the host was told last.
    pub(crate) message: String,
    /// An IPv4 address, or the /64 of an IPv6 one.
    pub(crate) address: String,
    /// The host whose key signed the request, if one did.
    pub(crate) host_uid: Option<String>,
    /// Host ID and hardware in the caller's own words.
    pub(crate) said: String,
    /// Seconds after which it was told to come back; none when that cannot help.
    pub(crate) retry_after: Option<i64>,
    pub(crate) times: i64,
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
}

/// The newest first; of one host when `uid` is not empty.
pub(crate) async fn newest(
    hub: &Hub,
    within: &Projects,
    uid: &str,
    limit: i64,
) -> Result<Vec<RefusalInfo>, Problem> {
    let rows = db::refusals::newest(&hub.db, within, uid, limit).await?;
    let info = |row: db::refusals::RefusalRow| RefusalInfo {
        code: row.code,
        message: row.message,
        address: row.address,
        host_uid: Some(row.host_uid).filter(|uid| !uid.is_empty()),
        said: row.said,
        retry_after: row.retry_after,
        times: row.times,
        first_at: row.first_at,
        last_at: row.last_at,
    };
    Ok(rows.into_iter().map(info).collect())
}

/// Requests of hosts that were refused, the newest first; the last 1,000 kinds of them.
#[utoipa::path(get, path = "/api/v1/refusals", responses((status = 200, body = Vec<RefusalInfo>)))]
pub(crate) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Vec<RefusalInfo>>, Problem> {
    Ok(Json(newest(&hub, &actor.scope.sees, "", PAGE).await?))
}
