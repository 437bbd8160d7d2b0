//! Pages for people, behind the login.

mod account;
mod audit;
mod change;
mod claim;
#[cfg(test)]
mod contrast;
mod host;
mod hosts;
mod install;
mod login;
mod machines;
mod oidc;
mod page;
mod people;
mod profiles;
mod projects;
mod refusals;
mod registries;
mod status;
mod tokens;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

use crate::admin::problem::Problem;
use crate::people::{Actor, Permission};
use crate::routes::{Access, Routes};
use crate::state::Hub;
use page::Frame;

/// The page to log in at, and what every page needs.
pub(crate) fn login_routes() -> Routes {
    Routes::new(Access::Open)
        .add("GET", "/login", get(login::form))
        .add("POST", "/login", post(login::log_in))
        .add("GET", "/login/oidc", get(oidc::begin))
        .add("GET", "/login/oidc/done", get(oidc::done))
        .add("GET", "/style.css", get(style))
        .add("GET", "/page.js", get(script))
        .add("GET", "/icon.svg", get(icon))
}

/// Everything behind the login.
pub(crate) fn routes() -> Routes {
    let routes = Routes::new(Access::Page(Permission::Enter))
        .add("GET", "/login/code", get(login::code_form))
        .add("POST", "/login/code", post(login::enter_code))
        .add("POST", "/logout", post(login::log_out))
        .asking(Access::Page(Permission::Renew))
        .add("GET", "/password", get(login::password_form))
        .add("POST", "/password", post(login::change_password))
        .asking(Access::Page(Permission::Secure))
        .add("GET", "/account/codes", get(account::enroll))
        .add("POST", "/account/code/on", post(account::turn_on))
        .asking(Access::Page(Permission::Own))
        .add("GET", "/", get(login::begin))
        .add("GET", "/account", get(account::show))
        .add("POST", "/account/recovery", post(account::renew_recovery))
        .add("POST", "/account/code/off", post(account::turn_off));
    administration(operation(claiming(sight(routes))))
}

fn sight(routes: Routes) -> Routes {
    routes
        .asking(Access::Page(Permission::See))
        .add("GET", "/hosts", get(hosts::list))
        .add("GET", "/hosts/{uid}", get(host::show))
        .add("GET", "/refused", get(refusals::list))
        .add("GET", "/tokens", get(tokens::list))
        .add("GET", "/tokens/{id}", get(tokens::show))
        .add("GET", "/registries", get(registries::list))
        .add("GET", "/profiles", get(profiles::list))
        .add("GET", "/profiles/{name}/{version}", get(profiles::show))
}

fn claiming(routes: Routes) -> Routes {
    routes
        .asking(Access::Page(Permission::Claim))
        .add("GET", "/c", get(claim::form))
        .add("POST", "/c", post(claim::by_code))
        .add("GET", "/c/{key}", get(claim::show))
        .add("POST", "/c/{key}", post(claim::confirm))
        // The path of the QR code: it has no lower-case letters.
        .add("GET", "/R/{link}", get(claim::by_link))
}

fn operation(routes: Routes) -> Routes {
    routes
        .asking(Access::Page(Permission::Operate))
        .add("POST", "/hosts/{uid}/labels", post(change::label))
        .add("POST", "/hosts/{uid}/assignment", post(change::assign))
        .add("POST", "/hosts/{uid}/kubeconfig", post(change::kubeconfig))
        .add("POST", "/hosts/{uid}/{action}", post(change::act))
        .add("POST", "/announce", post(claim::announce))
        .add("POST", "/announce/{id}/withdraw", post(claim::withdraw))
        .add("POST", "/tokens", post(tokens::create))
        .add("POST", "/tokens/{id}/revoke", post(tokens::revoke))
        .add("POST", "/user-data", post(tokens::user_data))
        .add("GET", "/install", get(install::form))
        .add("POST", "/install", post(install::make))
        .add("GET", "/install/{id}", get(install::show))
        .add("GET", "/install/{id}/{file}", get(install::fetch))
        .add("POST", "/profiles", post(profiles::publish))
}

fn administration(routes: Routes) -> Routes {
    routes
        .asking(Access::Page(Permission::Administer))
        .add("POST", "/registries", post(registries::put))
        .add("POST", "/registries/remove", post(registries::remove))
        .add("POST", "/registries/login", post(registries::log_in))
        .add("POST", "/registries/forget", post(registries::forget))
        .add("GET", "/people", get(people::show))
        .add("POST", "/people", post(people::add))
        .add("POST", "/people/change", post(people::change))
        .add("GET", "/projects", get(projects::list))
        .add("POST", "/projects", post(projects::create))
        .add("POST", "/projects/remove", post(projects::remove))
        .add("POST", "/keys", post(people::add_key))
        .add("POST", "/keys/revoke", post(people::revoke_key))
        .add("GET", "/audit", get(audit::show))
        .add("POST", "/audit/verify", post(audit::verify))
}

async fn style() -> Response {
    asset(
        "text/css; charset=utf-8",
        include_str!("../../templates/style.css"),
    )
}

async fn script() -> Response {
    asset(
        "text/javascript; charset=utf-8",
        include_str!("../../templates/page.js"),
    )
}

async fn icon() -> Response {
    asset("image/svg+xml", include_str!("../../templates/icon.svg"))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "private, max-age=300"),
    ];
    (headers, text).into_response()
}

/// Where no route is.
pub(crate) async fn missing(request: Request) -> Problem {
    Problem::not_found(format!("there is nothing at {}", request.uri().path()))
}

#[derive(Debug, Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    status: u16,
    title: &'static str,
    detail: String,
    errors: Vec<String>,
    back: &'static str,
    back_name: &'static str,
}

/// Around every answer: headers against foreign content, frames and guessing of types; and errors
/// drawn as pages for people.
pub(crate) async fn frame(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    let for_people = wants_html(request.headers());
    let mut answer = next.run(request).await;
    if for_people && let Some(problem) = answer.extensions_mut().remove::<Problem>() {
        let actor = answer.extensions_mut().remove::<Actor>();
        answer = draw_problem(&hub, actor, problem);
    }
    add_headers(answer.headers_mut());
    answer
}

fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

fn draw_problem(hub: &Hub, actor: Option<Actor>, problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let frame = actor
        .as_ref()
        .map_or_else(Frame::empty, |actor| Frame::new(hub, actor, ""));
    let page = ErrorPage {
        frame,
        status: problem.status,
        title: match problem.status {
            401 => "Who are you?",
            403 => "Not allowed",
            404 => "Nothing here",
            409 => "That does not go",
            413 | 422 => "That cannot be right",
            423 | 429 => "Not now",
            500.. => "The hub failed",
            _ => "That did not work",
        },
        detail: page::sentence(&problem.detail),
        errors: problem.errors.clone(),
        back: "/",
        back_name: "To the start page",
    };
    match page::draw_as(status, &page) {
        Ok(answer) => answer,
        Err(_) => problem.into_response(),
    }
}

fn add_headers(headers: &mut HeaderMap) {
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
             img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        // For browsers that do not know frame-ancestors.
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}
