//! The webhook: told of a silent host, again after a failure, and of its return.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use burin_api::message::Phase;
use ring::hmac;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::Site;
use crate::support::host::Host;

type Told = (String, String);

/// What the receiver's route needs.
#[derive(Clone)]
struct Receiver {
    told: mpsc::UnboundedSender<Told>,
    calls: Arc<AtomicUsize>,
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> StatusCode {
    let signature = headers["burin-signature"].to_str().unwrap().to_owned();
    receiver.told.send((signature, body)).unwrap();
    match receiver.calls.fetch_add(1, Ordering::SeqCst) {
        0 => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    }
}

/// A program that fails at the first message.
async fn receiver() -> (String, mpsc::UnboundedReceiver<Told>) {
    let (told, receiver) = mpsc::unbounded_channel();
    let calls = Arc::default();
    let router = axum::Router::new()
        .route("/hook", axum::routing::post(take))
        .with_state(Receiver { told, calls });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}/hook"), receiver)
}

async fn next(told: &mut mpsc::UnboundedReceiver<Told>) -> Told {
    let waited = tokio::time::timeout(Duration::from_secs(60), told.recv()).await;
    waited.unwrap().unwrap()
}

fn checked(site: &Site, (signature, body): &Told) -> Value {
    let key = std::fs::read(site.folder.path().join("webhook.key")).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let (time, tag) = signature.split_once(",v1=").unwrap();
    let time = time.strip_prefix("t=").unwrap();
    let signed = format!("{time}.{body}");
    hmac::verify(&key, signed.as_bytes(), &hex::decode(tag).unwrap()).unwrap();
    serde_json::from_str(body).unwrap()
}

#[tokio::test]
async fn a_host_that_falls_silent_is_told_of_once_and_its_return_too() {
    let (url, mut told) = receiver().await;
    let site = Site::with(|args| {
        args.interval = Some(1);
        args.webhook = Some(url);
    })
    .await;
    let token = site.token(json!({})).await;
    let mut host = Host::boot(&site, "S1", "b1").await;
    let uid = host.join(&site, &token).await;
    host.open(&site, &uid).await.unwrap();
    let body = host.sync_body(Phase::Running);
    host.sync(&site, &body).await.unwrap();

    let silent = checked(&site, &next(&mut told).await);
    assert_eq!(silent["event"], "host.silent");
    assert_eq!(silent["host_uid"], uid.as_str());
    // It was refused, so it is told again.
    let again = checked(&site, &next(&mut told).await);
    assert_eq!(again, silent);
    assert_eq!(
        site.get(&format!("/api/v1/hosts/{uid}")).await["silent"],
        true
    );
    let text = site
        .http
        .get(format!("{}/metrics", site.url))
        .bearer_auth(&site.key);
    let text = text.send().await.unwrap().text().await.unwrap();
    assert!(text.contains("burin_hosts_silent 1\n"), "{text}");

    let body = host.sync_body(Phase::Running);
    host.sync(&site, &body).await.unwrap();
    let heard = checked(&site, &next(&mut told).await);
    assert_eq!(heard["event"], "host.heard");
    assert_ne!(heard["id"], silent["id"]);
}
