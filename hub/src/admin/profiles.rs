//! Published versions of profiles.

use std::sync::Arc;

use axum::extract::{Extension, Path, Query, State};
use axum::{Json, http::StatusCode};

use super::auth::Actor;
use super::problem::Problem;
use super::types::{InProject, ProfileDetail, ProfileInfo, PublishRequest};
use super::{Body, read};
use crate::db::profiles::{ProfileName, ProfileRow};
use crate::db::{self, Connection, from_json};
use crate::publish;
use crate::release::store;
use crate::state::Hub;

fn info(row: ProfileName) -> ProfileInfo {
    ProfileInfo {
        name: row.name,
        version: row.version,
        published_at: row.published_at,
        digest: row.digest,
        project: row.project,
    }
}

#[utoipa::path(get, path = "/api/v1/profiles", params(("project" = Option<String>, Query)),
    responses((status = 200, body = Vec<ProfileInfo>), (status = 404, body = Problem)))]
pub(crate) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Query(InProject { project }): Query<InProject>,
) -> Result<Json<Vec<ProfileInfo>>, Problem> {
    let within = actor.scope.narrowed(Some(&project))?;
    let rows = db::profiles::list(&hub.db, &within).await?;
    Ok(Json(rows.into_iter().map(info).collect()))
}

/// A version that the caller may reach; pages use it too.
pub(crate) async fn published(
    conn: &mut Connection,
    actor: &Actor,
    name: &str,
    version: &str,
) -> Result<ProfileRow, Problem> {
    let missing = || Problem::not_found(format!("{name}@{version} was never published"));
    let row = db::profiles::get(conn, name, version).await?;
    let row = row.ok_or_else(missing)?;
    actor.scope.admit(&row.project, missing)?;
    Ok(row)
}

/// One version: its document and what it was resolved to.
#[utoipa::path(get, path = "/api/v1/profiles/{name}/{version}",
    params(("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = ProfileDetail), (status = 404, body = Problem)))]
pub(crate) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<ProfileDetail>, Problem> {
    let mut conn = hub.db.reader().acquire().await?;
    let row = published(&mut conn, &actor, &name, &version).await?;
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
            project: row.project,
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
    let PublishRequest { document, project } = read(body)?;
    let row = publish::publish(&hub, &actor, &document, project.as_deref()).await?;
    Ok((StatusCode::CREATED, Json(info(row))))
}
