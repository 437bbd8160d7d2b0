//! API keys: an admin's rights for a program.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::{Json, http::StatusCode};

use super::auth::{self, Actor};
use super::people::bound;
use super::problem::Problem;
use super::types::{ApiKeyCreated, ApiKeyInfo, ApiKeyRequest};
use super::{Body, read};
use crate::clock;
use crate::db::{accounts, audit};
use crate::people::Role;
use crate::projects::{self, Subject};
use crate::serve::ADMIN_FILE;
use crate::state::Hub;

#[utoipa::path(get, path = "/api/v1/api-keys", responses((status = 200, body = Vec<ApiKeyInfo>)))]
pub(crate) async fn list(State(hub): State<Arc<Hub>>) -> Result<Json<Vec<ApiKeyInfo>>, Problem> {
    Ok(Json(infos(&hub).await?))
}

/// Every key, revoked ones too.
pub(crate) async fn infos(hub: &Hub) -> Result<Vec<ApiKeyInfo>, Problem> {
    let mut bound = bound(hub, "key").await?;
    let rows = accounts::list_api_keys(&hub.db).await?;
    let infos = rows.into_iter().map(|row| ApiKeyInfo {
        // A role that this version does not know may do nothing.
        role: Role::parse(&row.role).unwrap_or(Role::None),
        projects: bound.remove(&row.id).unwrap_or_default(),
        id: row.id,
        name: row.name,
        created_at: row.created_at,
        revoked_at: row.revoked_at,
    });
    Ok(infos.collect())
}

/// Makes a key and shows it this once.
#[utoipa::path(post, path = "/api/v1/api-keys", request_body = ApiKeyRequest,
    responses((status = 201, body = ApiKeyCreated), (status = 409, body = Problem),
    (status = 422, body = Problem)))]
pub(crate) async fn create(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    body: Body<ApiKeyRequest>,
) -> Result<(StatusCode, Json<ApiKeyCreated>), Problem> {
    let asked = read(body)?;
    let made = make(&hub, &actor, &asked).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Makes a key; pages use it too.
pub(crate) async fn make(
    hub: &Hub,
    actor: &Actor,
    asked: &ApiKeyRequest,
) -> Result<ApiKeyCreated, Problem> {
    let name = asked.name.trim();
    if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
        return Err(Problem::bad_input(
            "`name` must be 1 to 64 printable characters",
        ));
    }
    if name.eq_ignore_ascii_case(ADMIN_FILE) {
        return Err(Problem::refused(format!(
            "`{ADMIN_FILE}` is the name of the hub's own key; take another"
        )));
    }
    let now = clock::now_ms();
    let mut tx = hub.db.begin().await?;
    if let Some(id) = accounts::api_key_named(&mut tx, name).await? {
        return Err(Problem::refused(format!(
            "the API key {id} is called `{name}` already; take another name, or revoke it first"
        )));
    }
    let project = asked.project.as_deref().filter(|it| !it.is_empty());
    let everywhere = match project {
        Some(_) => Role::None,
        None => asked.role,
    };
    let (id, key) = auth::new_api_key(&mut tx, name, everywhere, now).await?;
    let mut object = format!("{id} {}", asked.role.name());
    if let Some(project) = project {
        projects::bind(&mut tx, Subject::Key(&id), project, asked.role).await?;
        object = format!("{object} in {project}");
    }
    // Last, since it may hold spaces.
    object = format!("{object} {name}");
    audit::record(&mut tx, &actor.name, "api-key.create", &object, now).await?;
    tx.commit().await?;
    Ok(ApiKeyCreated { id, key })
}

/// Ends a key.
#[utoipa::path(delete, path = "/api/v1/api-keys/{id}", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn revoke(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    end(&hub, &actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a key; pages use it too.
pub(crate) async fn end(hub: &Hub, actor: &Actor, id: &str) -> Result<(), Problem> {
    let now = clock::now_ms();
    let mut tx = hub.db.begin().await?;
    if !accounts::revoke_api_key(&mut tx, id, now).await? {
        return Err(Problem::not_found(format!("no API key has the id `{id}`")));
    }
    audit::record(&mut tx, &actor.name, "api-key.revoke", id, now).await?;
    tx.commit().await?;
    Ok(())
}
