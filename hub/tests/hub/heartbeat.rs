//! Sessions, syncs, events, and what the database keeps.

use std::time::{Duration, Instant};

use crate::support::host::{Host, code};
use crate::support::{Site, copy_of, database};
use burin_api::event::{Event, EventKind, Progress};
use burin_api::message::{Phase, SyncAnswer};
use serde_json::json;

fn event(number: u64) -> Event {
    Event {
        id: format!("boot-{number}"),
        sequence: number,
        boot_id: "boot".to_owned(),
        monotonic: 5,
        time: 6,
        operation: "install".to_owned(),
        step: "pull".to_owned(),
        kind: EventKind::Started,
        message: "started".to_owned(),
        causes: Vec::new(),
    }
}

async fn active(site: &Site) -> (Host, String) {
    let token = site.token(json!({})).await;
    let mut host = Host::boot(site, "S1", "b1").await;
    let uid = host.join(site, &token).await;
    host.open(site, &uid).await.unwrap();
    (host, uid)
}

#[tokio::test]
async fn a_sync_shows_in_the_list_and_on_the_page() {
    let site = Site::with(|args| args.interval = Some(7)).await;
    let (mut host, uid) = active(&site).await;
    let mut body = host.sync_body(Phase::Running);
    body.progress = Some(Progress {
        step: "pull os".to_owned(),
        position: 3,
        steps: 9,
        done: 50,
        total: 200,
        left: None,
    });
    body.observed.last_error = Some("<b>cut</b>".to_owned());
    let answer = host.sync(&site, &body).await.unwrap();
    assert_eq!(
        (answer.next, answer.etag, answer.events_stored),
        (7, None, None)
    );

    let seen = site.get(&format!("/api/v1/hosts/{uid}")).await;
    assert_eq!(seen["phase"], "running");
    assert_eq!(seen["progress"]["done"], 50);
    assert_eq!(seen["last_error"], "<b>cut</b>");
    let page = site
        .http
        .get(format!("{}/hosts", site.url))
        .bearer_auth(&site.key)
        .send()
        .await
        .unwrap();
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'none'")
    );
    let page = page.text().await.unwrap();
    for part in [
        "pull os (3 of 9)",
        "25 %",
        "running",
        "unprotected",
        "&#60;b&#62;cut",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
}

#[tokio::test]
async fn each_event_is_stored_once() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let (mut host, uid) = active(&site).await;
    let mut body = host.sync_body(Phase::Installing);
    body.events = vec![event(1), event(2)];
    assert_eq!(
        host.sync(&site, &body).await.unwrap().events_stored,
        Some(2)
    );
    let mut body = host.sync_body(Phase::Installing);
    body.events = vec![event(2), event(3)];
    assert_eq!(
        host.sync(&site, &body).await.unwrap().events_stored,
        Some(3)
    );
    let events = site.get(&format!("/api/v1/events?host={uid}")).await;
    let ids: Vec<_> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["event"]["id"])
        .collect();
    assert_eq!(ids, ["boot-1", "boot-2", "boot-3"]);
}

#[tokio::test]
async fn a_replayed_or_forged_sync_is_refused() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let (mut host, _) = active(&site).await;
    let body = host.sync_body(Phase::Installing);
    let envelope = host.seal_sync(&body);
    host.send::<SyncAnswer>(&site, "sync", &envelope)
        .await
        .unwrap();
    assert_eq!(
        code(host.send::<SyncAnswer>(&site, "sync", &envelope).await),
        "sequence"
    );

    let stranger = Host::boot(&site, "S2", "b").await;
    let body = host.sync_body(Phase::Installing);
    let forged = stranger.seal_sync(&body);
    assert_eq!(
        code(host.send::<SyncAnswer>(&site, "sync", &forged).await),
        "bad_signature"
    );
    let mut unknown = body.clone();
    unknown.session = "00".repeat(16);
    let answer = host.sync(&site, &unknown).await;
    assert_eq!(code(answer), "session_unknown");
}

#[tokio::test]
async fn a_host_that_syncs_too_often_is_slowed() {
    let site = Site::start().await;
    let (mut host, _) = active(&site).await;
    let mut refused = None;
    for _ in 0..7 {
        let body = host.sync_body(Phase::Installing);
        if let Err(refusal) = host.sync(&site, &body).await {
            refused = Some(refusal);
            break;
        }
    }
    let refused = refused.expect("the limit of one sync in 5 s is never felt");
    assert_eq!(refused.code, "limited");
    assert!(
        refused.retry_after.is_some_and(|s| (1..=5).contains(&s)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_revoked_host_is_told_so_at_once() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let (mut host, uid) = active(&site).await;
    site.post(&format!("/api/v1/hosts/{uid}/revoke"), json!(null))
        .await;
    let body = host.sync_body(Phase::Running);
    assert_eq!(code(host.sync(&site, &body).await), "session_unknown");
    assert_eq!(code(host.open(&site, &uid).await), "revoked");
}

#[tokio::test]
async fn one_key_in_two_machines_is_locked() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let (mut host, uid) = active(&site).await;
    for (boot, serial) in [("b2", "OTHER"), ("b1", "S1")] {
        host.boot_id = boot.to_owned();
        host.evidence.serial = serial.to_owned();
        let opened = host.open(&site, &uid).await;
        match boot {
            "b2" => drop(opened.unwrap()),
            _ => assert_eq!(code(opened), "quarantined"),
        }
    }
    let seen = site.get(&format!("/api/v1/hosts/{uid}")).await;
    assert_eq!(seen["state"], "quarantined");
    let machine = json!({ "machine": seen["machines"][0]["hardware"] });
    site.post(&format!("/api/v1/hosts/{uid}/release"), machine)
        .await;
    host.open(&site, &uid).await.unwrap();
}

#[tokio::test]
async fn a_long_poll_ends_when_its_time_is_over() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let (mut host, _) = active(&site).await;
    let mut body = host.sync_body(Phase::Waiting);
    body.wait = 1;
    let before = Instant::now();
    let answer = host.sync(&site, &body).await.unwrap();
    assert!(before.elapsed() >= Duration::from_secs(1));
    assert!(answer.desired.is_none());
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let (mut host, uid) = active(&site).await;
    let (root, fingerprint) = (
        site.running.ready.root.clone(),
        site.running.ready.fingerprint.clone(),
    );
    assert!(site.running.ready.admin_password.is_some());
    let folder = site.stop().await;
    let site = Site::at(folder, |args| args.interval = Some(1)).await;
    assert_eq!(site.running.ready.root, root);
    assert_eq!(site.running.ready.fingerprint, fingerprint);
    assert!(site.running.ready.admin_password.is_none());
    let body = host.sync_body(Phase::Running);
    host.sync(&site, &body).await.unwrap();
    assert_eq!(
        site.get(&format!("/api/v1/hosts/{uid}")).await["phase"],
        "running"
    );
}

/// What a hub that died at this moment would have left behind: the files as they are.
fn left_behind(site: &Site) -> tempfile::TempDir {
    let folder = copy_of(site.folder.path());
    database::share(site.folder.path(), folder.path());
    for name in ["hub.db", "hub.db-wal"] {
        let file = site.folder.path().join(name);
        if file.exists() {
            std::fs::copy(&file, folder.path().join(name)).unwrap();
        }
    }
    folder
}

#[tokio::test]
async fn a_hub_that_dies_after_its_answer_has_forgotten_nothing() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let (mut host, uid) = active(&site).await;
    let mut body = host.sync_body(Phase::Installing);
    body.events = vec![event(1)];
    let envelope = host.seal_sync(&body);
    let answer: SyncAnswer = host.send(&site, "sync", &envelope).await.unwrap();
    assert_eq!(answer.events_stored, Some(1));

    let site = Site::at(left_behind(&site), |args| args.interval = Some(1)).await;
    let replayed = host.send::<SyncAnswer>(&site, "sync", &envelope).await;
    assert_eq!(code(replayed), "sequence");
    let seen = site.get(&format!("/api/v1/hosts/{uid}")).await;
    assert_eq!(seen["phase"], "installing");
    let events = site.get(&format!("/api/v1/events?host={uid}")).await;
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
    let body = host.sync_body(Phase::Installing);
    host.sync(&site, &body).await.unwrap();
}
