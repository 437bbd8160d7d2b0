//! The audit log: who did what, as a chain of hashes.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;

use super::problem::Problem;
use super::types::{AuditInfo, AuditVerdict, Page};
use crate::db::audit::{self, AuditRow};
use crate::state::Hub;

const PAGE: i64 = 500;

/// Where a page of the log begins.
#[derive(Debug, Deserialize)]
pub(crate) struct After {
    #[serde(default)]
    after: i64,
}

pub(crate) fn info(row: AuditRow) -> AuditInfo {
    AuditInfo {
        number: row.number,
        time: row.time,
        actor: row.actor,
        action: row.action,
        object: row.object,
        hash: row.hash,
    }
}

/// Lines in their order.
#[utoipa::path(get, path = "/api/v1/audit", params(("after" = Option<i64>, Query)),
    responses((status = 200, body = Page<AuditInfo>)))]
pub(crate) async fn list(
    State(hub): State<Arc<Hub>>,
    Query(After { after }): Query<After>,
) -> Result<Json<Page<AuditInfo>>, Problem> {
    let rows = audit::after(&hub.db, after, PAGE).await?;
    let full = i64::try_from(rows.len()).is_ok_and(|count| count == PAGE);
    let next = rows
        .last()
        .filter(|_| full)
        .map(|row| row.number.to_string());
    let items = rows.into_iter().map(info).collect();
    Ok(Json(Page { items, next }))
}

/// Walks over the whole chain.
#[utoipa::path(get, path = "/api/v1/audit/verdict", responses((status = 200, body = AuditVerdict)))]
pub(crate) async fn verify(State(hub): State<Arc<Hub>>) -> Result<Json<AuditVerdict>, Problem> {
    Ok(Json(audit::verify(&hub.db).await?))
}
