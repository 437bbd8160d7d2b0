//! The one guard before every route: who calls, how far the login has come, what the role may,
//! and whether a write was meant.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::login::{IDLE, WHOLE, csrf, stage_now};
use super::scope::Roles;
use super::{Actor, Permission, Role, Stage};
use crate::admin::auth::same;
use crate::admin::problem::Problem;
use crate::clock;
use crate::codes::ProblemCode;
use crate::db::{accounts, projects};
use crate::routes::{Access, Route};
use crate::secret::sha256;
use crate::state::Hub;

/// The `__Host-` prefix makes browsers refuse it without Secure, Path=/ and this very host.
pub(crate) const COOKIE: &str = "__Host-burin";
/// Sent by pages that load themselves again: an open page nobody looks at is no use of a login.
const POLL: &str = "x-burin-poll";
/// A login's time of use is written at most so often, milliseconds.
const TOUCH: i64 = 60_000;
/// Bytes of a form; the largest holds a profile.
const LONGEST_FORM: usize = 1 << 20;

/// The header that sets the login's cookie, or ends it when `value` is empty.
pub(crate) fn cookie(value: &str) -> String {
    let end = if value.is_empty() { "; Max-Age=0" } else { "" };
    format!("{COOKIE}={value}; Path=/; HttpOnly; Secure; SameSite=Strict{end}")
}

/// What the guard knows: the hub, and every route with what it asks for.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    hub: Arc<Hub>,
    table: Arc<HashMap<&'static str, Vec<Route>>>,
}

impl Guard {
    pub(crate) fn new(hub: Arc<Hub>, routes: Vec<Route>) -> Self {
        let mut table: HashMap<&'static str, Vec<Route>> = HashMap::new();
        for route in routes {
            table.entry(route.path).or_default().push(route);
        }
        Self {
            hub,
            table: Arc::new(table),
        }
    }

    /// What a route asks for; a route that the list does not name is closed to everybody.
    fn access(&self, path: &str, method: &Method) -> Option<Access> {
        let method = match method {
            &Method::HEAD => "GET",
            method => method.as_str(),
        };
        let routes = self.table.get(path)?;
        let route = routes.iter().find(|route| route.method == method)?;
        Some(route.access)
    }
}

/// Lets a request through to its route, or says why not.
pub(crate) async fn guard(
    State(guard): State<Guard>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let Some(access) = guard.access(path.as_str(), request.method()) else {
        let detail = format!("{} is not answered here", request.method());
        return Problem::new(StatusCode::METHOD_NOT_ALLOWED, ProblemCode::Method, detail)
            .into_response();
    };
    let (permission, is_page) = match access {
        Access::Open => return next.run(request).await,
        Access::Api(permission) => (permission, false),
        Access::Page(permission) => (permission, true),
    };
    let (actor, sent) = match actor(&guard.hub, request.headers(), permission).await {
        Ok(Some(known)) => known,
        Ok(None) if is_page => return to_login(&request),
        Ok(None) => return unknown_caller(),
        Err(problem) => return problem.into_response(),
    };
    let mut answer = if !actor.stage.may(permission) {
        unfinished(actor.stage, is_page)
    } else if !actor.roles.may(permission) {
        let role = actor.roles.shown();
        let detail = format!("the role {role} may not do this; ask an admin of the hub");
        Problem::new(StatusCode::FORBIDDEN, ProblemCode::Forbidden, detail).into_response()
    } else {
        match meant(request, &actor, sent, is_page).await {
            Ok(mut request) => {
                request.extensions_mut().insert(actor.clone());
                next.run(request).await
            }
            Err(problem) => problem.into_response(),
        }
    };
    // Whoever frames an error page must know whose page it is.
    answer.extensions_mut().insert(actor);
    answer
}

/// A write by cookie carries the login's token: in a header, or in the form itself.
async fn meant(
    request: Request,
    actor: &Actor,
    sent: Sent,
    is_page: bool,
) -> Result<Request, Problem> {
    let reads = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if reads || sent == Sent::Bearer {
        return Ok(request);
    }
    let header = request.headers().get("x-csrf-token");
    if let Some(token) = header.and_then(|value| value.to_str().ok()) {
        return if same(token, &actor.csrf) {
            Ok(request)
        } else {
            Err(foreign())
        };
    }
    if !is_page || is_foreign(request.headers()) {
        return Err(foreign());
    }
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, LONGEST_FORM)
        .await
        .map_err(|_| {
            let detail = format!("a form may have at most {LONGEST_FORM} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, ProblemCode::TooLarge, detail)
        })?;
    let field = form_urlencoded::parse(&bytes).find(|(name, _)| name == "csrf");
    if !field.is_some_and(|(_, token)| same(&token, &actor.csrf)) {
        return Err(foreign());
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

fn foreign() -> Problem {
    let detail = "the form is not of this login; load the page again, or send the login's token \
                  in X-CSRF-Token";
    Problem::new(StatusCode::FORBIDDEN, ProblemCode::Csrf, detail)
}

/// Whether a browser says that another site made this request.
pub(crate) fn is_foreign(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin" && site != "none")
}

fn unknown_caller() -> Response {
    let detail = "log in at /api/v1/login, or send an API key as bearer";
    let mut answer =
        Problem::new(StatusCode::UNAUTHORIZED, ProblemCode::Unauthorized, detail).into_response();
    let ask = axum::http::HeaderValue::from_static("Bearer");
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
    answer
}

/// Sends a person to the login, and from there to where they wanted.
fn to_login(request: &Request) -> Response {
    let wanted = request
        .uri()
        .path_and_query()
        .filter(|_| request.method() == Method::GET)
        .map_or("/", |wanted| wanted.as_str());
    let wanted: String = form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
    let target = match wanted.as_str() {
        "%2F" => "/login".to_owned(),
        wanted => format!("/login?next={wanted}"),
    };
    Redirect::to(&target).into_response()
}

/// A login that is not finished leads to its next step.
fn unfinished(stage: Stage, is_page: bool) -> Response {
    let (page, code, detail) = match stage {
        Stage::Enroll => (
            "/account/codes",
            ProblemCode::CodesRequired,
            "this hub asks admins for one-time codes: log in with a browser and set them up",
        ),
        Stage::Code => (
            "/login/code",
            ProblemCode::CodeNeeded,
            "this account has one-time codes; send `code` with the login",
        ),
        Stage::Password | Stage::Whole => (
            "/password",
            ProblemCode::PasswordChange,
            "change the first password before anything else: `burin-hub password`, \
             or POST /api/v1/password",
        ),
    };
    if is_page {
        return Redirect::to(page).into_response();
    }
    Problem::new(StatusCode::FORBIDDEN, code, detail).into_response()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Bearer,
    Cookie,
}

/// Who sends these headers, if anybody we know.
async fn actor(
    hub: &Hub,
    headers: &HeaderMap,
    permission: Permission,
) -> Result<Option<(Actor, Sent)>, Problem> {
    let Some((secret, sent)) = credential(headers) else {
        return Ok(None);
    };
    let hash = sha256(secret.as_bytes());
    // A key in a cookie is not ours.
    if sent == Sent::Bearer
        && let Some(key) = accounts::api_key(&hub.db, &hash).await?
    {
        let roles = roles(hub, &key.role, "key", &key.id).await?;
        let actor = Actor {
            name: key.actor(),
            scope: roles.scope(permission, projects::names(&hub.db).await?),
            roles,
            stage: Stage::Whole,
            csrf: String::new(),
            login: None,
        };
        return Ok(Some((actor, sent)));
    }
    let now = clock::now_ms();
    let Some(login) = accounts::login(&hub.db, &hash).await? else {
        return Ok(None);
    };
    if now - login.seen_at > IDLE || now - login.created_at > WHOLE {
        return Ok(None);
    }
    if now - login.seen_at > TOUCH && !headers.contains_key(POLL) {
        let mut tx = hub.db.begin().await?;
        accounts::touch_login(&mut tx, &hash, now).await?;
        tx.commit().await?;
    }
    let roles = roles(hub, &login.role, "person", &login.person).await?;
    let stage = Stage::parse(&login.stage);
    let actor = Actor {
        stage: stage_now(hub, roles.everywhere, login.has_codes != 0, stage),
        scope: roles.scope(permission, projects::names(&hub.db).await?),
        roles,
        name: login.person,
        csrf: csrf(&secret),
        login: Some(hash),
    };
    Ok(Some((actor, sent)))
}

/// The role in all projects, and those in single ones.
async fn roles(hub: &Hub, everywhere: &str, kind: &str, subject: &str) -> anyhow::Result<Roles> {
    let mut roles = Roles {
        everywhere: role(everywhere)?,
        bound: BTreeMap::new(),
    };
    for row in projects::of(&hub.db, kind, subject).await? {
        let role = role(&row.role)?;
        roles.bound.insert(row.project, role);
    }
    Ok(roles)
}

fn role(name: &str) -> anyhow::Result<Role> {
    Role::parse(name).ok_or_else(|| anyhow::anyhow!("the database names a role `{name}`"))
}

fn credential(headers: &HeaderMap) -> Option<(String, Sent)> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let bearer = value.to_str().ok()?.strip_prefix("Bearer ")?;
        return Some((bearer.trim().to_owned(), Sent::Bearer));
    }
    cookie_value(headers, COOKIE).map(|value| (value, Sent::Cookie))
}

/// The cookie of this name.
pub(crate) fn cookie_value(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
        .map(str::to_owned)
}
