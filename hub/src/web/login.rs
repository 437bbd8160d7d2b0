//! The page to log in at.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use crate::admin::auth::{self, Actor, Caller};
use crate::admin::cookie;
use crate::admin::problem::Problem;
use crate::db::accounts;
use crate::secret::Secret;
use crate::state::Hub;

#[derive(Debug, Template)]
#[template(path = "login.html")]
struct LoginPage {
    error: String,
    unprotected: bool,
}

/// The form.
#[derive(Debug, Deserialize)]
pub(super) struct LoginForm {
    password: Secret,
}

pub(super) async fn form(State(hub): State<Arc<Hub>>) -> Result<Response, Problem> {
    page(&hub, StatusCode::OK, String::new())
}

fn page(hub: &Hub, status: StatusCode, error: String) -> Result<Response, Problem> {
    let unprotected = hub.keys.root.unprotected;
    let html = LoginPage { error, unprotected }
        .render()
        .map_err(anyhow::Error::from)?;
    Ok((status, Html(html)).into_response())
}

/// A form of another site must not log somebody in: browsers tell where a form comes from.
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin" && site != "none")
}

pub(super) async fn log_in(
    State(hub): State<Arc<Hub>>,
    from: Caller,
    headers: HeaderMap,
    Form(form): Form<LoginForm>,
) -> Result<Response, Problem> {
    if is_foreign(&headers) {
        let detail = "the login form of another site was used";
        return Err(Problem::new(StatusCode::FORBIDDEN, "csrf", detail));
    }
    match auth::log_in(&hub, from.0.ip(), &form.password).await {
        Ok(login) => {
            let cookie = [(header::SET_COOKIE, cookie(login.reveal()))];
            Ok((cookie, Redirect::to("/")).into_response())
        }
        Err(problem) => {
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::UNAUTHORIZED);
            page(&hub, status, problem.detail)
        }
    }
}

/// The hidden field of every form.
#[derive(Debug, Deserialize)]
pub(super) struct Csrf {
    csrf: String,
}

impl Csrf {
    /// Refuses a form that this hub did not write for this login.
    pub(super) fn check(&self, actor: &Actor) -> Result<(), Problem> {
        if auth::same(&self.csrf, &actor.csrf) {
            return Ok(());
        }
        let detail = "the form is not of this login; load the page again";
        Err(Problem::new(StatusCode::FORBIDDEN, "csrf", detail))
    }
}

pub(super) async fn log_out(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Form(csrf): Form<Csrf>,
) -> Result<Response, Problem> {
    csrf.check(&actor)?;
    if let Some(login) = &actor.login {
        let mut tx = hub.db.begin().await?;
        accounts::end_login(&mut tx, login).await?;
        tx.commit().await?;
    }
    let cookie = [(header::SET_COOKIE, cookie(""))];
    Ok((cookie, Redirect::to("/login")).into_response())
}
