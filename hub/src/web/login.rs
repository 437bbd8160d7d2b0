//! The pages to log in at: password, one-time code, first password.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::page::{self, Asked, Fields, Frame};
use crate::admin::auth::{Actor, Caller};
use crate::admin::problem::Problem;
use crate::codes::ProblemCode;
use crate::db::accounts;
use crate::people::guard::{cookie, is_foreign};
use crate::people::login::{self, Login};
use crate::people::oidc::Provider;
use crate::people::{Permission, Role, Stage};
use crate::secret::Secret;
use crate::state::Hub;

#[derive(Debug, Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    error: String,
    name: String,
    next: String,
    provider: Option<Way>,
    /// Everybody may log in with a password.
    local: bool,
}

/// The link to the identity provider.
#[derive(Debug)]
struct Way {
    name: String,
    path: String,
}

impl LoginPage {
    fn new(hub: &Hub, next: String) -> Self {
        let way = |provider: &Provider| Way {
            name: provider.name.clone(),
            path: format!("/login/oidc?next={}", encode(&next)),
        };
        Self {
            frame: Frame::empty(),
            error: String::new(),
            name: String::new(),
            provider: hub.oidc.as_ref().map(way),
            local: hub.settings.local_accounts,
            next,
        }
    }
}

#[derive(Debug, Template)]
#[template(path = "login_code.html")]
struct CodePage {
    frame: Frame,
    error: String,
    next: String,
}

#[derive(Debug, Template)]
#[template(path = "password.html")]
struct PasswordPage {
    frame: Frame,
    error: String,
    next: String,
    /// Somebody else knows the present one.
    first: bool,
}

/// Where to go when the login is done.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    pub(super) next: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct LoginForm {
    name: String,
    password: Secret,
    #[serde(default)]
    next: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct CodeForm {
    code: Secret,
    #[serde(default)]
    next: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct PasswordForm {
    old: Secret,
    new: Secret,
    again: Secret,
    #[serde(default)]
    next: String,
}

pub(super) async fn form(
    State(hub): State<Arc<Hub>>,
    Asked(Next { next }): Asked<Next>,
) -> Result<Response, Problem> {
    page::draw(&LoginPage::new(&hub, next))
}

pub(super) async fn log_in(
    State(hub): State<Arc<Hub>>,
    from: Caller,
    headers: HeaderMap,
    Fields(form): Fields<LoginForm>,
) -> Result<Response, Problem> {
    // A form of another site must not log somebody in.
    if is_foreign(&headers) {
        let detail = "the login form of another site was used";
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            ProblemCode::Csrf,
            detail,
        ));
    }
    let name = form.name.trim();
    match login::log_in(&hub, from.0.ip(), name, &form.password).await {
        Ok(opened) => Ok(enter(&opened, &form.next)),
        Err(problem) => {
            let page = LoginPage {
                error: page::sentence(&problem.detail),
                name: form.name,
                ..LoginPage::new(&hub, form.next)
            };
            page::draw_as(status(&problem), &page)
        }
    }
}

/// The page to log in at, with what went wrong on the way over the provider.
pub(super) fn refused(hub: &Hub, problem: &Problem, next: String) -> Result<Response, Problem> {
    let error = page::sentence(&problem.detail);
    let page = LoginPage {
        error,
        ..LoginPage::new(hub, next)
    };
    page::draw_as(status(problem), &page)
}

fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn status(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.status).unwrap_or(StatusCode::UNAUTHORIZED)
}

/// Sets the cookie and leads to what comes next.
fn enter(opened: &Login, next: &str) -> Response {
    let to = match opened.stage {
        Stage::Code => format!("/login/code?next={}", encode(next)),
        Stage::Password => format!("/password?next={}", encode(next)),
        Stage::Enroll => format!("/account/codes?next={}", encode(next)),
        Stage::Whole => match page::local(next) {
            "/" => home(opened.role).to_owned(),
            next => next.to_owned(),
        },
    };
    let cookie = [(header::SET_COOKIE, cookie(opened.bearer.reveal()))];
    (cookie, page::go(&to)).into_response()
}

/// Where each role begins.
pub(super) fn home(role: Role) -> &'static str {
    match role {
        Role::Technician => "/c",
        // Somebody with roles in single projects: the page there knows them.
        Role::None => "/",
        _ => "/hosts",
    }
}

pub(super) async fn begin(Extension(actor): Extension<Actor>) -> Response {
    let may = |permission| actor.roles.may(permission);
    page::go(if may(Permission::See) {
        "/hosts"
    } else if may(Permission::Claim) {
        "/c"
    } else {
        "/account"
    })
}

pub(super) async fn code_form(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Asked(Next { next }): Asked<Next>,
) -> Result<Response, Problem> {
    let frame = Frame::new(&hub, &actor, "");
    let error = String::new();
    page::draw(&CodePage { frame, error, next })
}

pub(super) async fn enter_code(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    from: Caller,
    Fields(form): Fields<CodeForm>,
) -> Result<Response, Problem> {
    let (Some(login), Stage::Code) = (&actor.login, actor.stage) else {
        return Ok(page::go("/"));
    };
    let ip = from.0.ip();
    match login::enter_code(&hub, ip, &actor.name, login, form.code.reveal()).await {
        Ok(opened) => Ok(enter(&opened, &form.next)),
        Err(problem) => {
            let frame = Frame::new(&hub, &actor, "");
            let next = form.next;
            let status = status(&problem);
            let error = page::sentence(&problem.detail);
            page::draw_as(status, &CodePage { frame, error, next })
        }
    }
}

pub(super) async fn password_form(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Asked(Next { next }): Asked<Next>,
) -> Result<Response, Problem> {
    page::draw(&PasswordPage {
        frame: Frame::new(&hub, &actor, "/account"),
        error: String::new(),
        next,
        first: actor.stage == Stage::Password,
    })
}

pub(super) async fn change_password(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    from: Caller,
    Fields(form): Fields<PasswordForm>,
) -> Result<Response, Problem> {
    let changed = if form.new == form.again {
        login::change_password(&hub, from.0.ip(), &actor, &form.old, &form.new).await
    } else {
        Err(Problem::bad_input(
            "the new password was not typed the same twice",
        ))
    };
    match changed {
        Ok(opened) => Ok(enter(&opened, &form.next)),
        Err(problem) => {
            let status = status(&problem);
            let page = PasswordPage {
                frame: Frame::new(&hub, &actor, "/account"),
                error: page::sentence(&problem.detail),
                next: form.next,
                first: actor.stage == Stage::Password,
            };
            page::draw_as(status, &page)
        }
    }
}

pub(super) async fn log_out(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Problem> {
    if let Some(login) = &actor.login {
        let mut tx = hub.db.begin().await?;
        accounts::end_login(&mut tx, login).await?;
        tx.commit().await?;
    }
    let cookie = [(header::SET_COOKIE, cookie(""))];
    Ok((cookie, page::go("/login")).into_response())
}
