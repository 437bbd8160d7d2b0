//! Credentials of listed registries: they go in and never come out again.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;

use super::auth::Actor;
use super::problem::Problem;
use super::types::CredentialRequest;
use super::{Body, read};
use crate::clock;
use crate::db::{audit, credentials, registries};
use crate::registries::seal;
use crate::state::Hub;

/// Longest user name and password, bytes: the credentials of a release fit into one answer.
const LONGEST_NAME: usize = 128;
const LONGEST_PASSWORD: usize = 1024;

/// What is wrong with credentials, if anything. Never quotes the password.
fn fault(asked: &CredentialRequest) -> Option<String> {
    let fits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && !text.chars().any(char::is_control)
    };
    // HTTP's basic login ends the name at the first colon.
    if !fits(&asked.username, LONGEST_NAME) || asked.username.contains(':') {
        return Some(format!(
            "a user name has 1 to {LONGEST_NAME} printable bytes and no colon"
        ));
    }
    (!fits(asked.password.reveal(), LONGEST_PASSWORD))
        .then(|| format!("a password has 1 to {LONGEST_PASSWORD} printable bytes"))
}

/// Gives the hub the credentials of a listed registry, in place of those of before. Hosts whose
/// release takes something from it get them sealed to their session.
#[utoipa::path(put, path = "/api/v1/registries/{host}/credentials", params(("host" = String, Path)),
    request_body = CredentialRequest, responses((status = 204), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn put(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path(host): Path<String>,
    body: Body<CredentialRequest>,
) -> Result<StatusCode, Problem> {
    keep(&hub, &actor, &host, &read(body)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Keeps the credentials of a listed registry; pages use it too.
pub(crate) async fn keep(
    hub: &Hub,
    actor: &Actor,
    host: &str,
    asked: &CredentialRequest,
) -> Result<(), Problem> {
    if let Some(fault) = fault(asked) {
        return Err(Problem::bad_input(fault));
    }
    let now = clock::now_ms();
    let mut tx = hub.db.begin().await?;
    let listed = registries::get(&mut tx, host)
        .await?
        .ok_or_else(|| Problem::not_found(format!("registry `{host}` is not listed")))?;
    if listed.plain_http != 0 {
        return Err(Problem::refused(format!(
            "registry `{host}` is listed as plain HTTP, where everybody could read the password; \
             list it with TLS first"
        )));
    }
    let password = asked.password.reveal();
    let row = seal(&hub.vault.credentials, host, &asked.username, password, now)?;
    credentials::put(&mut tx, &row).await?;
    let object = format!("{host} {}", asked.username);
    audit::record(
        &mut tx,
        &actor.name,
        "registry.credentials.put",
        &object,
        now,
    )
    .await?;
    tx.commit().await?;
    hub.wake();
    Ok(())
}

/// Forgets the credentials of a registry; hosts forget them with their next sync.
#[utoipa::path(delete, path = "/api/v1/registries/{host}/credentials",
    params(("host" = String, Path)), responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn remove(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path(host): Path<String>,
) -> Result<StatusCode, Problem> {
    forget(&hub, &actor, &host).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets the credentials of a registry; pages use it too.
pub(crate) async fn forget(hub: &Hub, actor: &Actor, host: &str) -> Result<(), Problem> {
    let mut tx = hub.db.begin().await?;
    if !credentials::remove(&mut tx, host).await? {
        return Err(Problem::not_found(format!(
            "the hub has no credentials of a registry `{host}`"
        )));
    }
    let now = clock::now_ms();
    audit::record(
        &mut tx,
        &actor.name,
        "registry.credentials.remove",
        host,
        now,
    )
    .await?;
    tx.commit().await?;
    hub.wake();
    Ok(())
}
