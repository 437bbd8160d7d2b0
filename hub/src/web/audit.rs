//! The audit log.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Response;
use serde::Deserialize;

use super::page::{self, Asked, Frame};
use crate::admin::auth::Actor;
use crate::admin::problem::Problem;
use crate::admin::types::AuditVerdict;
use crate::db::audit::{self, AuditRow};
use crate::state::Hub;

const PAGE: i64 = 100;

#[derive(Debug, Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    lines: Vec<AuditRow>,
    next: Option<i64>,
    verdict: Option<AuditVerdict>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Before {
    before: Option<i64>,
}

async fn draw(
    hub: &Hub,
    actor: &Actor,
    before: Option<i64>,
    verdict: Option<AuditVerdict>,
) -> Result<Response, Problem> {
    let lines = audit::before(&hub.db, before.unwrap_or(i64::MAX), PAGE).await?;
    let full = i64::try_from(lines.len()).is_ok_and(|count| count == PAGE);
    page::draw(&AuditPage {
        frame: Frame::new(hub, actor, "/audit"),
        next: lines.last().filter(|_| full).map(|line| line.number),
        lines,
        verdict,
    })
}

pub(super) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Asked(Before { before }): Asked<Before>,
) -> Result<Response, Problem> {
    draw(&hub, &actor, before, None).await
}

/// Reads the whole log: a form, so that nobody makes the hub do it by a link.
pub(super) async fn verify(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Problem> {
    let verdict = audit::verify(&hub.db).await?;
    draw(&hub, &actor, None, Some(verdict)).await
}
