//! The hub itself: login, logout, what others must know of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::auth::{Actor, Caller};
use super::problem::Problem;
use super::types::{HubInfo, LoginAnswer, LoginRequest, PasswordRequest};
use super::{Body, read};
use crate::codes::ProblemCode;
use crate::db::accounts;
use crate::people::guard::cookie;
use crate::people::{Stage, login};
use crate::secret::sha256;
use crate::state::Hub;

/// The name of the account that the first start makes.
const FIRST: &str = "admin";

/// Logs in with name, password and, where the account has them, a one-time code.
#[utoipa::path(post, path = "/api/v1/login", request_body = LoginRequest, security(()),
    responses((status = 200, body = LoginAnswer), (status = 401, body = Problem),
    (status = 423, body = Problem), (status = 429, body = Problem)))]
pub(crate) async fn log_in(
    State(hub): State<Arc<Hub>>,
    from: Caller,
    body: Body<LoginRequest>,
) -> Result<Response, Problem> {
    let asked = read(body)?;
    let name = asked.name.as_deref().unwrap_or(FIRST);
    let ip = from.0.ip();
    let mut opened = login::log_in(&hub, ip, name, &asked.password).await?;
    if opened.stage == Stage::Code {
        let code = asked.code.ok_or_else(|| {
            let detail = "this account has one-time codes; send `code` with the login";
            Problem::new(StatusCode::UNAUTHORIZED, ProblemCode::CodeNeeded, detail)
        })?;
        let half = sha256(opened.bearer.reveal().as_bytes());
        opened = login::enter_code(&hub, ip, name, &half, code.reveal()).await?;
    }
    Ok(answer(opened))
}

fn answer(opened: login::Login) -> Response {
    let cookie = (header::SET_COOKIE, cookie(opened.bearer.reveal()));
    let body = LoginAnswer {
        bearer: opened.bearer,
        role: opened.role,
        password_change: opened.stage == Stage::Password,
    };
    ([cookie], Json(body)).into_response()
}

/// Changes one's own password; every other login of the person ends, this one is renewed.
#[utoipa::path(post, path = "/api/v1/password", request_body = PasswordRequest,
    responses((status = 200, body = LoginAnswer), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn change_password(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    from: Caller,
    body: Body<PasswordRequest>,
) -> Result<Response, Problem> {
    let asked = read(body)?;
    let ip = from.0.ip();
    let opened = login::change_password(&hub, ip, &actor, &asked.old, &asked.new).await?;
    Ok(answer(opened))
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
    Json(info(&hub))
}

/// The same for pages.
pub(crate) fn info(hub: &Hub) -> HubInfo {
    HubInfo {
        hub_id: hub.keys.root.hub_id.clone(),
        url: hub.settings.public_url.clone(),
        root: hub.keys.pin.clone(),
        root_version: hub.keys.root.version,
        unprotected: hub.keys.root.unprotected,
        ca: hub.ca_pem.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
