//! Accounts of people.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::{Json, http::StatusCode};

use super::auth::Actor;
use super::problem::Problem;
use super::types::{PersonChanged, PersonInfo, PersonRequest};
use super::{Body, read};
use crate::db;
use crate::people::Role;
use crate::people::manage::{self, Change};
use crate::state::Hub;

/// Roles in single projects of all people or all keys, by whose they are.
pub(super) async fn bound(
    hub: &Hub,
    kind: &str,
) -> Result<HashMap<String, BTreeMap<String, Role>>, Problem> {
    let mut bound: HashMap<String, BTreeMap<String, Role>> = HashMap::new();
    for row in db::projects::bindings(&hub.db, kind).await? {
        let role = Role::parse(&row.role).unwrap_or(Role::None);
        bound
            .entry(row.subject)
            .or_default()
            .insert(row.project, role);
    }
    Ok(bound)
}

/// Every account.
pub(crate) async fn infos(hub: &Hub) -> Result<Vec<PersonInfo>, Problem> {
    let mut bound = bound(hub, "person").await?;
    let rows = db::people::list(&hub.db).await?;
    let infos = rows.into_iter().map(|row| PersonInfo {
        role: Role::parse(&row.role).unwrap_or(Role::None),
        projects: bound.remove(&row.name).unwrap_or_default(),
        name: row.name,
        created_at: row.created_at,
        closed_at: row.disabled_at,
        one_time_codes: row.totp.is_some(),
        first_password: row.must_change != 0,
        provider: row.issuer,
    });
    Ok(infos.collect())
}

#[utoipa::path(get, path = "/api/v1/people", responses((status = 200, body = Vec<PersonInfo>)))]
pub(crate) async fn list(State(hub): State<Arc<Hub>>) -> Result<Json<Vec<PersonInfo>>, Problem> {
    Ok(Json(infos(&hub).await?))
}

/// Makes an account and shows its first password this once.
#[utoipa::path(post, path = "/api/v1/people", request_body = PersonRequest,
    responses((status = 201, body = PersonChanged), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn create(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    body: Body<PersonRequest>,
) -> Result<(StatusCode, Json<PersonChanged>), Problem> {
    let PersonRequest {
        name,
        role,
        project,
    } = read(body)?;
    let password = manage::add(&hub, &actor, &name, role, project.as_deref()).await?;
    let password = Some(password);
    Ok((StatusCode::CREATED, Json(PersonChanged { name, password })))
}

/// Changes an account: a role by its name, `reset` for a new first password, `unlock` after wrong
/// passwords, `forget-code` for a lost second factor, `close` and `open`.
#[utoipa::path(post, path = "/api/v1/people/{name}/{change}",
    params(("name" = String, Path), ("change" = String, Path)),
    responses((status = 200, body = PersonChanged), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn alter(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path((name, change)): Path<(String, String)>,
) -> Result<Json<PersonChanged>, Problem> {
    let change = Change::parse(&change)
        .ok_or_else(|| Problem::not_found(format!("there is no change `{change}`")))?;
    let password = manage::change(&hub, &actor, &name, change).await?;
    Ok(Json(PersonChanged { name, password }))
}
