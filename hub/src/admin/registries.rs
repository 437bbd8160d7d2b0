//! The registries that hub and hosts may talk to.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::{Json, http::StatusCode};
use burin_core::display::counted;

use super::auth::Actor;
use super::problem::Problem;
use super::types::RegistryEntry;
use super::{Body, read};
use crate::clock;
use crate::db::registries::{self, RegistryRow};
use crate::db::{audit, credentials, from_json, to_json};
use crate::state::Hub;

fn entry(row: RegistryRow, username: Option<String>) -> sqlx::Result<RegistryEntry> {
    Ok(RegistryEntry {
        username,
        ca: from_json(&row.ca)?,
        host: row.host,
        endpoint: row.endpoint,
        plain_http: row.plain_http != 0,
        token_realm: row.token_realm,
    })
}

/// Every listed registry.
pub(crate) async fn entries(hub: &Hub) -> sqlx::Result<Vec<RegistryEntry>> {
    let rows = registries::list(&hub.db).await?;
    let mut conn = hub.db.reader().acquire().await?;
    let logins = credentials::list(&mut conn).await?;
    let username = |host: &str| {
        let login = logins.iter().find(|login| login.host == host);
        login.map(|login| login.username.clone())
    };
    rows.into_iter()
        .map(|row| {
            let username = username(&row.host);
            entry(row, username)
        })
        .collect()
}

/// What is wrong with an entry, if anything.
fn fault(entry: &RegistryEntry) -> Option<String> {
    let url = |text: &str| reqwest::Url::parse(text).ok();
    let host = &entry.host;
    if url(&format!("https://{host}/")).is_none_or(|url| url.path() != "/" || host.contains('@'))
        || host.is_empty()
        || host.contains('/')
    {
        return Some(format!("`{host}` is not HOST or HOST:PORT"));
    }
    if let Some(endpoint) = &entry.endpoint {
        let scheme = url(endpoint).map(|url| url.scheme().to_owned());
        if !matches!(scheme.as_deref(), Some("http" | "https")) {
            return Some(format!(
                "endpoint `{endpoint}` is not an http:// or https:// URL"
            ));
        }
    }
    if let Some(realm) = &entry.token_realm
        && url(realm).is_none_or(|url| url.scheme() != "https")
    {
        return Some(format!("token realm `{realm}` is not an https:// URL"));
    }
    let bad = |pem: &&String| crate::certificate::fingerprint(pem).is_err();
    entry
        .ca
        .iter()
        .find(bad)
        .map(|_| "`ca` holds a text that is not a certificate in PEM".to_owned())
}

#[utoipa::path(get, path = "/api/v1/registries", responses((status = 200, body = Vec<RegistryEntry>)))]
pub(crate) async fn list(State(hub): State<Arc<Hub>>) -> Result<Json<Vec<RegistryEntry>>, Problem> {
    Ok(Json(entries(&hub).await?))
}

/// Lists a registry, or replaces what was said of it.
#[utoipa::path(post, path = "/api/v1/registries", request_body = RegistryEntry,
    responses((status = 200, body = RegistryEntry), (status = 422, body = Problem)))]
pub(crate) async fn put(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    body: Body<RegistryEntry>,
) -> Result<Json<RegistryEntry>, Problem> {
    let entry = read(body)?;
    list_one(&hub, &actor, &entry).await?;
    Ok(Json(entry))
}

/// A registry and how it is spoken to.
pub(crate) fn spoken(entry: &RegistryEntry) -> String {
    let how = if entry.plain_http {
        "plain HTTP"
    } else {
        "HTTPS"
    };
    let mut parts = vec![format!("{} over {how}", entry.host)];
    parts.extend(entry.endpoint.iter().map(|at| format!("found at {at}")));
    if !entry.ca.is_empty() {
        parts.push(counted(entry.ca.len(), "own root", "own roots"));
    }
    let realm = entry.token_realm.iter();
    parts.extend(realm.map(|realm| format!("tokens from {realm}")));
    parts.join(", ")
}

/// Lists a registry; pages use it too.
pub(crate) async fn list_one(
    hub: &Hub,
    actor: &Actor,
    entry: &RegistryEntry,
) -> Result<(), Problem> {
    if let Some(fault) = fault(entry) {
        return Err(Problem::bad_input(fault));
    }
    let row = RegistryRow {
        host: entry.host.clone(),
        endpoint: entry.endpoint.clone(),
        plain_http: i64::from(entry.plain_http),
        ca: to_json(&entry.ca)?,
        token_realm: entry.token_realm.clone(),
    };
    let mut tx = hub.db.begin().await?;
    let logins = credentials::list(&mut tx).await?;
    if entry.plain_http && logins.iter().any(|login| login.host == entry.host) {
        return Err(Problem::refused(format!(
            "the hub has credentials for registry `{0}`, which are never sent over plain HTTP; forget \
             them first with `burin-hub registry forget {0}`",
            entry.host
        )));
    }
    registries::put(&mut tx, &row).await?;
    audit::record(
        &mut tx,
        &actor.name,
        "registry.put",
        &spoken(entry),
        clock::now_ms(),
    )
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Takes a registry off the list. Published versions keep what they were published with.
#[utoipa::path(delete, path = "/api/v1/registries/{host}", params(("host" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn remove(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path(host): Path<String>,
) -> Result<StatusCode, Problem> {
    take_off(&hub, &actor, &host).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a registry off the list; pages use it too.
pub(crate) async fn take_off(hub: &Hub, actor: &Actor, host: &str) -> Result<(), Problem> {
    let mut tx = hub.db.begin().await?;
    credentials::remove(&mut tx, host).await?;
    if !registries::remove(&mut tx, host).await? {
        return Err(Problem::not_found(format!(
            "registry `{host}` is not listed"
        )));
    }
    audit::record(
        &mut tx,
        &actor.name,
        "registry.remove",
        host,
        clock::now_ms(),
    )
    .await?;
    tx.commit().await?;
    Ok(())
}
