//! The hub itself: login, logout, what others must know of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::auth::{self, Actor, COOKIE, Caller};
use super::problem::Problem;
use super::types::{HubInfo, LoginAnswer, LoginRequest};
use super::{Body, read};
use crate::db::accounts;
use crate::secret::Secret;
use crate::state::Hub;

/// The header that sets the login's cookie, or ends it when `value` is empty.
pub(crate) fn cookie(value: &str) -> String {
    let end = if value.is_empty() { "; Max-Age=0" } else { "" };
    format!("{COOKIE}={value}; Path=/; HttpOnly; Secure; SameSite=Strict{end}")
}

/// Logs in with the admin's password.
#[utoipa::path(post, path = "/api/v1/login", request_body = LoginRequest, security(()),
    responses((status = 200, body = LoginAnswer), (status = 401, body = Problem), (status = 429, body = Problem)))]
pub(crate) async fn log_in(
    State(hub): State<Arc<Hub>>,
    from: Caller,
    body: Body<LoginRequest>,
) -> Result<Response, Problem> {
    let bearer: Secret = auth::log_in(&hub, from.0.ip(), &read(body)?.password).await?;
    let cookie = (header::SET_COOKIE, cookie(bearer.reveal()));
    Ok(([cookie], Json(LoginAnswer { bearer })).into_response())
}

/// Ends the login that sends this.
#[utoipa::path(post, path = "/api/v1/logout", responses((status = 204)))]
pub(crate) async fn log_out(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Problem> {
    if let Some(login) = &actor.login {
        let mut tx = hub.db.begin().await?;
        accounts::end_login(&mut tx, login).await?;
        tx.commit().await?;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie(""))]).into_response())
}

/// What hosts and clients must know of the hub.
#[utoipa::path(get, path = "/api/v1/hub", responses((status = 200, body = HubInfo)))]
pub(crate) async fn show(State(hub): State<Arc<Hub>>) -> Json<HubInfo> {
    Json(HubInfo {
        hub_id: hub.keys.root.hub_id.clone(),
        url: hub.settings.public_url.clone(),
        root: hub.keys.pin.clone(),
        unprotected: hub.keys.root.unprotected,
        ca: hub.ca_pem.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}
