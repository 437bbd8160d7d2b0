//! Published versions of profiles.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::{Json, http::StatusCode};

use super::auth::Actor;
use super::problem::Problem;
use super::types::{ProfileDetail, ProfileInfo, PublishRequest};
use super::{Body, read};
use crate::db::profiles::ProfileName;
use crate::db::{self, from_json};
use crate::publish;
use crate::release::store;
use crate::state::Hub;

fn info(row: ProfileName) -> ProfileInfo {
    ProfileInfo {
        name: row.name,
        version: row.version,
        published_at: row.published_at,
        digest: row.digest,
    }
}

#[utoipa::path(get, path = "/api/v1/profiles", responses((status = 200, body = Vec<ProfileInfo>)))]
pub(crate) async fn list(State(hub): State<Arc<Hub>>) -> Result<Json<Vec<ProfileInfo>>, Problem> {
    let rows = db::profiles::list(&hub.db).await?;
    Ok(Json(rows.into_iter().map(info).collect()))
}

/// One version: its document and what it was resolved to.
#[utoipa::path(get, path = "/api/v1/profiles/{name}/{version}",
    params(("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = ProfileDetail), (status = 404, body = Problem)))]
pub(crate) async fn show(
    State(hub): State<Arc<Hub>>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<ProfileDetail>, Problem> {
    let mut conn = hub.db.reader().acquire().await?;
    let row = db::profiles::get(&mut conn, &name, &version)
        .await?
        .ok_or_else(|| Problem::not_found(format!("{name}@{version} was never published")))?;
    let signature = store::of_version(&hub, &mut conn, &name, &version).await?;
    Ok(Json(ProfileDetail {
        signature,
        release: from_json(&row.release)?,
        document: row.document,
        info: ProfileInfo {
            name: row.name,
            version: row.version,
            published_at: row.published_at,
            digest: row.digest,
        },
    }))
}

/// Publishes a version: resolves every tag to a digest and looks through each layer once. The
/// answer comes when all layers were read. The same document again is no error.
#[utoipa::path(post, path = "/api/v1/profiles", request_body = PublishRequest,
    responses((status = 201, body = ProfileInfo), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn publish(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    body: Body<PublishRequest>,
) -> Result<(StatusCode, Json<ProfileInfo>), Problem> {
    let document = read(body)?.document;
    let row = publish::publish(&hub, &actor.name, &document).await?;
    Ok((StatusCode::CREATED, Json(info(row))))
}
