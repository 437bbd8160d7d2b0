//! Signed releases.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::{Json, http::StatusCode};
use burin_api::release::Statement;

use super::auth::Actor;
use super::problem::Problem;
use super::types::{ImportRequest, SignedInfo};
use super::{Body, read};
use crate::db;
use crate::release::store;
use crate::state::Hub;

/// The newest signature of each version.
#[utoipa::path(get, path = "/api/v1/releases", responses((status = 200, body = Vec<SignedInfo>)))]
pub(crate) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Vec<SignedInfo>>, Problem> {
    let rows = db::releases::list(&hub.db, &actor.scope.sees).await?;
    let infos = rows.into_iter().map(|row| store::info(&hub, row));
    Ok(Json(infos.collect()))
}

/// What is to be signed for a version, off this hub.
#[utoipa::path(get, path = "/api/v1/profiles/{name}/{version}/statement",
    params(("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = Problem)))]
pub(crate) async fn statement(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<Statement>, Problem> {
    Ok(Json(store::statement(&hub, &actor, &name, &version).await?))
}

/// Takes a signed release in. The same envelope again is no error.
#[utoipa::path(post, path = "/api/v1/releases", request_body = ImportRequest,
    responses((status = 201, body = SignedInfo), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn import(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    body: Body<ImportRequest>,
) -> Result<(StatusCode, Json<SignedInfo>), Problem> {
    let envelope = read(body)?.envelope;
    let info = store::import(&hub, &actor, &envelope).await?;
    Ok((StatusCode::CREATED, Json(info)))
}
