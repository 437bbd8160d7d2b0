//! Who is an admin: passwords, logins, API keys, and the guard before every route.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::anyhow;
use argon2::{Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::problem::Problem;
use crate::clock;
use crate::db::Connection;
use crate::db::accounts::{self, ApiKeyRow, LoginRow};
use crate::secret::{Secret, random_text, sha256};
use crate::state::Hub;

/// The one admin of this version.
pub(crate) const ADMIN: &str = "admin";
/// The `__Host-` prefix makes browsers refuse it without Secure, Path=/ and this very host.
pub(crate) const COOKIE: &str = "__Host-burin";
const IDLE: i64 = 30 * 60_000;
const WHOLE: i64 = 12 * 3_600_000;
/// Sent by pages that load themselves again: an open page nobody looks at is no use of a login.
const POLL: &str = "x-burin-poll";
/// A login's time of use is written at most so often, milliseconds.
const TOUCH: i64 = 60_000;

/// Who made a request.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) name: String,
    /// Of the login; empty for API keys, which no browser sends by itself.
    pub(crate) csrf: String,
    /// The login's hash, to end it.
    pub(crate) login: Option<String>,
}

pub(crate) fn hash(password: &str) -> anyhow::Result<String> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash: PasswordHash| hash.to_string())
        .map_err(|err| anyhow!("hashing a password: {err}"))
}

/// Makes an API key and stores its hash.
pub(crate) async fn new_api_key(
    conn: &mut Connection,
    name: &str,
    now: i64,
) -> anyhow::Result<(String, Secret)> {
    let key = format!("brk_{}", random_text()?);
    let row = ApiKeyRow {
        id: hex::encode(crate::secret::random::<6>()?),
        name: name.to_owned(),
        created_at: now,
        revoked_at: None,
    };
    accounts::insert_api_key(conn, &row, &sha256(key.as_bytes())).await?;
    Ok((row.id, Secret::new(key)))
}

/// Checks a password and opens a login. The limit counts every try of an address.
pub(crate) async fn log_in(hub: &Hub, ip: IpAddr, password: &Secret) -> Result<Secret, Problem> {
    let now = clock::now_ms();
    hub.limits
        .login
        .take(&crate::limit::caller(ip), now)
        .map_err(|seconds| {
            let detail = format!("too many logins; come back in {seconds} s");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "limited", detail)
        })?;
    let mut tx = hub.db.begin().await?;
    let stored = accounts::password(&mut tx, ADMIN)
        .await?
        .ok_or_else(|| anyhow!("the database has no admin"))?;
    drop(tx);
    let turn = hub.hashing.acquire().await.map_err(anyhow::Error::from)?;
    let password = password.clone();
    let right = tokio::task::spawn_blocking(move || {
        PasswordHash::new(&stored).map(|hash| {
            Argon2::default()
                .verify_password(password.reveal().as_bytes(), &hash)
                .is_ok()
        })
    })
    .await
    .map_err(anyhow::Error::from)?
    .map_err(|err| anyhow!("the stored password hash is damaged: {err}"))?;
    drop(turn);
    if !right {
        let detail = "the password is wrong";
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            detail,
        ));
    }
    let bearer = random_text()?;
    let row = LoginRow {
        id_hash: sha256(bearer.as_bytes()),
        admin: ADMIN.to_owned(),
        csrf: random_text()?,
        created_at: now,
        seen_at: now,
    };
    let mut tx = hub.db.begin().await?;
    accounts::forget_logins(&mut tx, now - IDLE, now - WHOLE).await?;
    accounts::insert_login(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(Secret::new(bearer))
}

/// Who sends these headers, if anybody we know.
async fn actor(hub: &Hub, headers: &HeaderMap) -> Result<Option<(Actor, Sent)>, Problem> {
    let Some((secret, sent)) = credential(headers) else {
        return Ok(None);
    };
    let hash = sha256(secret.as_bytes());
    if let Some(key) = accounts::api_key(&hub.db, &hash).await? {
        let actor = Actor {
            name: format!("key {}", key.name),
            csrf: String::new(),
            login: None,
        };
        // A key in a cookie is not ours.
        return Ok((sent == Sent::Bearer).then_some((actor, sent)));
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
    let actor = Actor {
        name: login.admin,
        csrf: login.csrf,
        login: Some(hash),
    };
    Ok(Some((actor, sent)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Bearer,
    Cookie,
}

fn credential(headers: &HeaderMap) -> Option<(String, Sent)> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let bearer = value.to_str().ok()?.strip_prefix("Bearer ")?;
        return Some((bearer.trim().to_owned(), Sent::Bearer));
    }
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
        .map(|value| (value.to_owned(), Sent::Cookie))
}

/// The guard before every route of the admin API.
pub(crate) async fn require_admin(
    State(hub): State<Arc<Hub>>,
    mut request: Request,
    next: Next,
) -> Response {
    match actor(&hub, request.headers()).await {
        Err(problem) => problem.into_response(),
        Ok(None) => {
            let detail = "log in at /api/v1/login, or send an API key as bearer";
            let mut answer =
                Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).into_response();
            let ask = axum::http::HeaderValue::from_static("Bearer");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
            answer
        }
        Ok(Some((actor, sent))) => {
            if sent == Sent::Cookie && writes(request.method()) && !has_csrf(&request, &actor) {
                let detail = "a write by cookie needs the login's token in X-CSRF-Token";
                return Problem::new(StatusCode::FORBIDDEN, "csrf", detail).into_response();
            }
            request.extensions_mut().insert(actor);
            next.run(request).await
        }
    }
}

/// The guard before every page: who is not logged in is sent to the login. Forms carry their CSRF
/// token in the body, which the page's handler checks.
pub(crate) async fn require_page(
    State(hub): State<Arc<Hub>>,
    mut request: Request,
    next: Next,
) -> Response {
    match actor(&hub, request.headers()).await {
        Err(problem) => problem.into_response(),
        Ok(None) => Redirect::to("/login").into_response(),
        Ok(Some((actor, _))) => {
            request.extensions_mut().insert(actor);
            next.run(request).await
        }
    }
}

fn writes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn has_csrf(request: &Request, actor: &Actor) -> bool {
    request
        .headers()
        .get("x-csrf-token")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|sent| same(sent, &actor.csrf))
}

/// Compares in a time that does not tell how much was right.
pub(crate) fn same(sent: &str, kept: &str) -> bool {
    !kept.is_empty() && sha256(sent.as_bytes()) == sha256(kept.as_bytes())
}

/// The address behind a connection.
pub(crate) type Caller = ConnectInfo<SocketAddr>;
