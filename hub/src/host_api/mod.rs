//! `POST /h/1/...`: what hosts call. Every answer is signed, refusals too.

mod admission;
mod caller;
mod desired;
mod enroll;
mod hello;
mod matcher;
mod modalias;
mod refusal;
mod rekey;
mod said;
mod secrets;
mod session;
mod sync;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use burin_api::answer::Answer;
use burin_api::dsse::{Envelope, MAX_ANSWER, MAX_REQUEST, Payload};
use burin_api::message::Refusal;
use futures_util::StreamExt as _;

use crate::codes::HostCode;
use crate::refusals::Noted;
use crate::routes::{Access, Routes};
use crate::state::Hub;
pub(crate) use admission::same_machine;
pub(crate) use matcher::said_by;
use refusal::Refused;
pub(crate) use sync::interval;

/// 64 KiB over the worst of mobile links; who takes longer only holds a connection open.
const SLOWEST_BODY: Duration = Duration::from_secs(30);
/// Bytes of a body that are read at most. What is too long is read on and thrown away up to here: the
/// kernel resets a connection that is closed with bytes unread, and the sender never sees the refusal.
const THROWN_AWAY: usize = 1024 * 1024;

/// The routes of hosts.
pub(crate) fn routes() -> Routes {
    Routes::new(Access::Open)
        .add("POST", "/h/1/hello", post(hello_route))
        .add("POST", "/h/1/enroll", post(enroll_route))
        .add("POST", "/h/1/rekey", post(rekey_route))
        .add("POST", "/h/1/session", post(session_route))
        .add("POST", "/h/1/sync", post(sync_route))
}

type Caller = ConnectInfo<SocketAddr>;

async fn hello_route(State(hub): State<Arc<Hub>>, from: Caller, request: Request) -> Response {
    let ip = from.0.ip();
    let result = async { hello::answer(&hub, ip, &body(request).await?) }.await;
    let result = result.inspect_err(|refused| note(&hub, ip, String::new(), refused));
    // It echoes the host's nonce instead.
    reply(&hub, String::new(), result)
}

async fn enroll_route(State(hub): State<Arc<Hub>>, from: Caller, request: Request) -> Response {
    let ip = from.0.ip();
    let (digest, asked) = match envelope(request).await {
        Ok(asked) => asked,
        Err(refused) => return turn_away(&hub, ip, refused),
    };
    let result = enroll::answer(&hub, ip, &asked).await;
    let result = result.inspect_err(|refused| note(&hub, ip, said::of_enroll(&asked), refused));
    reply(&hub, digest, result)
}

async fn rekey_route(State(hub): State<Arc<Hub>>, from: Caller, request: Request) -> Response {
    let ip = from.0.ip();
    let (digest, asked) = match envelope(request).await {
        Ok(asked) => asked,
        Err(refused) => return turn_away(&hub, ip, refused),
    };
    let result = rekey::answer(&hub, &asked).await;
    let result = result.inspect_err(|refused| note(&hub, ip, said::of_rekey(&asked), refused));
    reply(&hub, digest, result)
}

async fn session_route(State(hub): State<Arc<Hub>>, from: Caller, request: Request) -> Response {
    let ip = from.0.ip();
    let (digest, asked) = match envelope(request).await {
        Ok(asked) => asked,
        Err(refused) => return turn_away(&hub, ip, refused),
    };
    let result = session::answer(&hub, ip, &asked).await;
    let result = result.inspect_err(|refused| note(&hub, ip, said::of_session(&asked), refused));
    reply(&hub, digest, result)
}

async fn sync_route(State(hub): State<Arc<Hub>>, from: Caller, request: Request) -> Response {
    let ip = from.0.ip();
    let (digest, asked) = match envelope(request).await {
        Ok(asked) => asked,
        Err(refused) => return turn_away(&hub, ip, refused),
    };
    let result = sync::answer(&hub, ip, &asked).await;
    let result = result.inspect_err(|refused| note(&hub, ip, String::new(), refused));
    reply(&hub, digest, result)
}

/// For a request that is none.
fn turn_away(hub: &Hub, ip: IpAddr, refused: Refused) -> Response {
    note(hub, ip, String::new(), &refused);
    reply::<Refusal>(hub, String::new(), Err(refused))
}

/// Puts a refusal on the list that people see.
fn note(hub: &Hub, ip: IpAddr, said: String, refused: &Refused) {
    hub.refusals.note(Noted {
        code: refused.code.name(),
        message: refused.body.message.clone(),
        address: crate::limit::caller(ip),
        host_uid: refused.about.clone(),
        said,
        retry_after: refused.body.retry_after,
    });
}

async fn body(request: Request) -> Result<Vec<u8>, Refused> {
    tokio::time::timeout(SLOWEST_BODY, read(request.into_body()))
        .await
        .map_err(|_| {
            let message = format!("the body took longer than {} s", SLOWEST_BODY.as_secs());
            Refused::new(StatusCode::REQUEST_TIMEOUT, HostCode::BadRequest, message).after(5)
        })?
}

/// A body of at most the longest request.
async fn read(body: Body) -> Result<Vec<u8>, Refused> {
    let mut pieces = body.into_data_stream();
    let (mut bytes, mut all) = (Vec::new(), 0_usize);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Refused::bad_request("the body broke off"))?;
        all = all.saturating_add(piece.len());
        if all <= MAX_REQUEST {
            bytes.extend_from_slice(&piece);
        } else if all > THROWN_AWAY {
            break;
        }
    }
    if all > MAX_REQUEST {
        let message = format!("the body is longer than {MAX_REQUEST} bytes");
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Err(Refused::new(status, HostCode::BadRequest, message));
    }
    Ok(bytes)
}

/// What a host asks, and the digest that its answer has to name.
async fn envelope(request: Request) -> Result<(String, Envelope), Refused> {
    let envelope: Envelope = serde_json::from_slice(&body(request).await?)
        .map_err(|err| Refused::bad_request(format!("the body is not a DSSE envelope: {err}")))?;
    let digest = envelope
        .digest()
        .map_err(|err| Refused::bad_request(format!("the body is not a DSSE envelope: {err}")))?;
    Ok((digest, envelope))
}

/// Counts a call of the door's limit.
fn door(hub: &Hub, ip: IpAddr, now: i64) -> Result<(), Refused> {
    hub.limits
        .door
        .take(&crate::limit::caller(ip), now)
        .map_err(Refused::limited)
}

fn reply<T: Payload>(hub: &Hub, request: String, result: Result<T, Refused>) -> Response {
    let online = &hub.keys.online;
    let (status, sealed) = match result {
        Ok(body) => (StatusCode::OK, online.seal(&Answer { request, body })),
        Err(refused) => {
            let body = refused.body;
            (refused.status, online.seal(&Answer { request, body }))
        }
    };
    let bytes = sealed.and_then(|envelope| serde_json::to_vec(&envelope));
    match bytes {
        Ok(bytes) if bytes.len() <= MAX_ANSWER => {
            let json = (header::CONTENT_TYPE, "application/json");
            (status, [json], Body::from(bytes)).into_response()
        }
        Ok(bytes) => {
            // Publishing refuses releases that cannot fit, so this is a fault of the hub.
            tracing::error!(
                "an answer of {} bytes is longer than hosts read",
                bytes.len()
            );
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Err(err) => {
            tracing::error!("an answer does not serialize: {err}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
