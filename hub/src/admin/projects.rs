//! Projects, and roles in one of them.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::{Json, http::StatusCode};

use super::auth::Actor;
use super::problem::Problem;
use super::types::{ProjectInfo, ProjectRequest, RoleRequest};
use super::{Body, read};
use crate::db;
use crate::db::projects::ProjectRow;
use crate::projects;
use crate::state::Hub;

fn info(row: ProjectRow) -> ProjectInfo {
    ProjectInfo {
        name: row.name,
        created_at: row.created_at,
        created_by: row.created_by,
    }
}

/// The projects that the caller sees.
#[utoipa::path(get, path = "/api/v1/projects", responses((status = 200, body = Vec<ProjectInfo>)))]
pub(crate) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Vec<ProjectInfo>>, Problem> {
    let rows = db::projects::list(&hub.db).await?.into_iter();
    let seen = rows.filter(|row| actor.scope.sees.has(&row.name));
    Ok(Json(seen.map(info).collect()))
}

/// Makes a project.
#[utoipa::path(post, path = "/api/v1/projects", request_body = ProjectRequest,
    responses((status = 201, body = ProjectInfo), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn create(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    body: Body<ProjectRequest>,
) -> Result<(StatusCode, Json<ProjectInfo>), Problem> {
    let row = projects::create(&hub, &actor, &read(body)?.name).await?;
    Ok((StatusCode::CREATED, Json(info(row))))
}

/// Removes an empty project, and the roles in it.
#[utoipa::path(delete, path = "/api/v1/projects/{project}", params(("project" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn remove(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path(project): Path<String>,
) -> Result<StatusCode, Problem> {
    projects::remove(&hub, &actor, &project).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a person a role in one project, beside the one in all of them; `none` takes it away.
#[utoipa::path(put, path = "/api/v1/people/{name}/projects/{project}",
    params(("name" = String, Path), ("project" = String, Path)), request_body = RoleRequest,
    responses((status = 204), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn give_role(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path((name, project)): Path<(String, String)>,
    body: Body<RoleRequest>,
) -> Result<StatusCode, Problem> {
    projects::give_role(&hub, &actor, &name, &project, read(body)?.role).await?;
    Ok(StatusCode::NO_CONTENT)
}
