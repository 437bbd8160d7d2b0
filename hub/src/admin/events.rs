//! Events of hosts.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Query, State};
use serde::Deserialize;

use super::auth::Actor;
use super::problem::Problem;
use super::types::{EventInfo, Page};
use crate::db::{self, from_json};
use crate::state::Hub;

const PAGE: i64 = 500;

/// Which events.
#[derive(Debug, Deserialize)]
pub(crate) struct Which {
    #[serde(default)]
    after: i64,
    #[serde(default)]
    host: String,
}

/// Events in the order in which the hub got them.
#[utoipa::path(get, path = "/api/v1/events",
    params(("after" = Option<i64>, Query), ("host" = Option<String>, Query)),
    responses((status = 200, body = Page<EventInfo>), (status = 404, body = Problem)))]
pub(crate) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Query(which): Query<Which>,
) -> Result<Json<Page<EventInfo>>, Problem> {
    let mut uid = String::new();
    if !which.host.is_empty() {
        let found = db::hosts::find(&hub.db, &actor.scope.sees, &which.host).await?;
        let host = found.into_iter().next();
        uid = host
            .map(|host| host.uid)
            .ok_or_else(|| Problem::not_found(format!("no host is called `{}`", which.host)))?;
    }
    let rows = db::events::page(&hub.db, &actor.scope.sees, &uid, which.after, PAGE).await?;
    let full = i64::try_from(rows.len()).is_ok_and(|count| count == PAGE);
    let next = rows
        .last()
        .filter(|_| full)
        .map(|row| row.number.to_string());
    let items = rows
        .into_iter()
        .map(|row| {
            Ok(EventInfo {
                event: from_json(&row.body)?,
                number: row.number,
                host_uid: row.host_uid,
                received_at: row.received_at,
            })
        })
        .collect::<sqlx::Result<_>>()?;
    Ok(Json(Page { items, next }))
}
