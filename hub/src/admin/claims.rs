//! Claims by QR code and by code, for a program in a technician's hand. Pages call
//! `registration::claims` themselves.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Actor;
use super::problem::Problem;
use super::{Body, read};
use crate::registration::claims::{self, ClaimInfo};
use crate::state::Hub;

/// What was scanned or typed: exactly one.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClaimRequest {
    /// The link of the QR code, or what follows `/R/` in it.
    pub(crate) link: Option<String>,
    /// The eight letters on the screen.
    pub(crate) code: Option<String>,
    /// Where the host lands, when nobody called it into a project: one in which the caller may claim.
    pub(crate) project: Option<String>,
}

/// The number on the host's screen.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NumberRequest {
    pub(crate) number: i64,
}

/// Begins a claim. The host need not have called yet when its link is used.
#[utoipa::path(post, path = "/api/v1/claims", request_body = ClaimRequest,
    responses((status = 200, body = ClaimInfo), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub(crate) async fn begin(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    body: Body<ClaimRequest>,
) -> Result<Json<ClaimInfo>, Problem> {
    let asked = read(body)?;
    let project = asked.project.as_deref();
    let info = match (asked.link, asked.code) {
        (Some(link), None) => claims::by_link(&hub, &actor, &link, project).await?,
        (None, Some(code)) => claims::by_code(&hub, &actor, &code, project).await?,
        _ => return Err(Problem::bad_input("give either `link` or `code`")),
    };
    Ok(Json(info))
}

/// How a claim of the caller stands.
#[utoipa::path(get, path = "/api/v1/claims/{key}", params(("key" = String, Path)),
    responses((status = 200, body = ClaimInfo), (status = 404, body = Problem)))]
pub(crate) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
) -> Result<Json<ClaimInfo>, Problem> {
    Ok(Json(claims::show(&hub, &actor, &key).await?))
}

/// Tells the number on the screen; the right one lets the host in.
#[utoipa::path(post, path = "/api/v1/claims/{key}/number", params(("key" = String, Path)),
    request_body = NumberRequest, responses((status = 200, body = ClaimInfo),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 429, body = Problem)))]
pub(crate) async fn confirm(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
    body: Body<NumberRequest>,
) -> Result<Json<ClaimInfo>, Problem> {
    let number = read(body)?.number;
    Ok(Json(claims::confirm(&hub, &actor, &key, number).await?))
}
