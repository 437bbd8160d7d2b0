//! To the identity provider and back.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse as _, Redirect, Response};

use super::login::{self, Next};
use super::page::{self, Asked, Frame};
use crate::admin::auth::Caller;
use crate::admin::problem::Problem;
use crate::codes::ProblemCode;
use crate::people::external;
use crate::people::guard::{cookie, cookie_value};
use crate::people::oidc::{Return, WITHIN};
use crate::secret::Secret;
use crate::state::Hub;

/// Of a login that is on its way. It has to come along when another site leads back here, as the
/// login's own cookie must not.
const COOKIE: &str = "__Host-burin-way";

fn way(secret: &str, seconds: i64) -> String {
    format!("{COOKIE}={secret}; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age={seconds}")
}

/// After the login. A redirection would still be the other site's request, which the login's cookie
/// is not sent with: the page leads on by itself.
#[derive(Debug, Template)]
#[template(path = "entered.html")]
struct EnteredPage {
    frame: Frame,
    next: String,
}

pub(super) async fn begin(
    State(hub): State<Arc<Hub>>,
    from: Caller,
    Asked(Next { next }): Asked<Next>,
) -> Result<Response, Problem> {
    match external::begin(&hub, from.0.ip(), page::local(&next)).await {
        Ok(started) => {
            let way = way(started.secret.reveal(), WITHIN / 1000);
            let headers = [(header::SET_COOKIE, way)];
            Ok((headers, Redirect::to(&started.url)).into_response())
        }
        Err(problem) => login::refused(&hub, &problem, next),
    }
}

pub(super) async fn done(
    State(hub): State<Arc<Hub>>,
    from: Caller,
    headers: HeaderMap,
    Asked(back): Asked<Return>,
) -> Result<Response, Problem> {
    let finished = match cookie_value(&headers, COOKIE) {
        Some(secret) => external::finish(&hub, from.0.ip(), &Secret::new(secret), back).await,
        None => Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            ProblemCode::Oidc,
            "this browser began no login, or too long ago; begin again",
        )),
    };
    let (login, next) = match finished {
        Ok(finished) => finished,
        Err(problem) => return login::refused(&hub, &problem, String::new()),
    };
    let next = match next.as_str() {
        "/" => login::home(login.role).to_owned(),
        _ => next,
    };
    let frame = Frame::empty();
    let cookies = AppendHeaders([
        (header::SET_COOKIE, cookie(login.bearer.reveal())),
        (header::SET_COOKIE, way("", 0)),
    ]);
    Ok((cookies, page::draw(&EnteredPage { frame, next })?).into_response())
}
