//! Hosts that an operator announces, approves, denies, retires, and that come back.

use std::time::Duration;

use burin_api::message::{EnrollAnswer, KeyStore, Phase};
use burin_core::identity::{HostId, Source};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Site;
use crate::support::host::{Host, code, reason, shown};

const UUID: &str = "6a8d0f6c-9d9c-4c0b-8f2e-0d4c6e1b7a55";

/// A host with a real host ID and UUID.
async fn box_of(site: &Site, serial: &str) -> Host {
    let mut host = Host::boot(site, serial, "b").await;
    host.evidence.uuid = UUID.to_owned();
    host.host_id = HostId::derive(Source::SmbiosUuid, UUID).to_string();
    host
}

async fn matcher(site: &Site, host: &Host) -> Value {
    site.get(&format!("/api/v1/hosts/{}", host.host_id)).await["admission"]["matcher"].clone()
}

#[tokio::test]
async fn a_host_announced_with_its_key_is_let_in_however_it_was_named() {
    for (value, kind) in [
        (
            HostId::derive(Source::SmbiosUuid, UUID).to_string(),
            "host_id",
        ),
        (
            HostId::derive(Source::SmbiosUuid, UUID)
                .to_string()
                .to_lowercase(),
            "host_id",
        ),
        ("6A8D0F6C9D9C4C0B8F2E0D4C6E1B7A55".to_owned(), "uuid"),
        // As tools print it that read the fields in the other byte order.
        ("6c0f8d6a-9c9d-0b4c-8f2e-0d4c6e1b7a55".to_owned(), "uuid"),
        ("s4evnx0r".to_owned(), "serial"),
    ] {
        let site = Site::start().await;
        let host = box_of(&site, "S4EVNX0R").await;
        let announced = json!({ "value": value, "key": &host.label()[..8],
            "labels": { "site": "oslo" } });
        let made = site.post("/api/v1/preauths", announced).await;
        assert_eq!(made["kind"], kind, "{value}");
        assert_eq!(
            reason(host.enroll(&site, None).await),
            "accepted",
            "{value}"
        );
        assert_eq!(matcher(&site, &host).await, kind, "{value}");
        let seen = site.get(&format!("/api/v1/hosts/{}", host.host_id)).await;
        assert_eq!(seen["labels"]["site"], "oslo");
        assert_eq!(seen["admission"]["detail"], made["id"]);
        let list = site.get("/api/v1/preauths").await;
        assert_eq!(list[0]["state"], "used");
        assert_eq!(list[0]["host_uid"], seen["uid"]);
    }
}

#[tokio::test]
async fn a_key_alone_lets_exactly_that_key_in() {
    let site = Site::start().await;
    let (host, other) = (box_of(&site, "S1").await, box_of(&site, "S1").await);
    site.post("/api/v1/preauths", json!({ "value": host.label() }))
        .await;
    assert_eq!(reason(other.enroll(&site, None).await), "no_token");
    assert_eq!(reason(host.enroll(&site, None).await), "accepted");
    assert_eq!(matcher(&site, &host).await, "key");
}

#[tokio::test]
async fn a_host_announced_after_it_called_is_sent_back_to_the_door_at_once() {
    let site = Site::start().await;
    let host = box_of(&site, "S1").await;
    let screen = host.shows(&site).await;
    assert_eq!(screen.reason, "no_token");
    let before = tokio::time::Instant::now();
    let announce = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let announced = json!({ "value": host.host_id });
        site.post("/api/v1/preauths", announced).await
    };
    let (held, _) = tokio::join!(host.poll(&site, &screen, 25), announce);
    assert_eq!(reason(held), "no_token");
    assert!(before.elapsed() < Duration::from_secs(10));
    // The host ID names it; the key is still to be compared.
    assert_eq!(host.shows(&site).await.reason, "confirm_key");

    let path = format!("/api/v1/hosts/{}/approve", host.host_id);
    for (key, status, kind) in [
        (json!(null), 422, "bad_input"),
        (json!({ "key": "" }), 422, "bad_input"),
        (json!({ "key": &host.label()[..7] }), 409, "wrong_key"),
        (json!({ "key": "ZZZZ-ZZZZ" }), 409, "wrong_key"),
    ] {
        let answer = site.ask(Method::POST, &path, Some(key.clone())).await;
        assert_eq!(
            (answer.0, &answer.1["type"]),
            (status, &json!(kind)),
            "{key}"
        );
    }
    let screen = host.shows(&site).await;
    let approve = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let typed = host.label()[..8].to_lowercase();
        site.post(&path, json!({ "key": typed })).await
    };
    let (held, _) = tokio::join!(host.poll(&site, &screen, 25), approve);
    assert_eq!(reason(held), "accepted");
    assert_eq!(matcher(&site, &host).await, "host_id");
}

#[tokio::test]
async fn a_host_announced_with_another_key_waits_for_a_person() {
    let site = Site::start().await;
    let host = box_of(&site, "S1").await;
    let announced = json!({ "value": host.host_id, "key": "ZZZZ ZZZZ" });
    site.post("/api/v1/preauths", announced).await;
    assert_eq!(host.shows(&site).await.reason, "other_key");
}

#[tokio::test]
async fn what_names_no_machine_is_refused_and_twice_as_well() {
    let site = Site::start().await;
    for value in [
        "03000200-0400-0500-0006-000700080009",
        "00000000-0000-0000-0000-000000000000",
        "To Be Filled By O.E.M.",
        "",
        "K7QF-2M9X-0TRD-8HW0",
    ] {
        let body = Some(json!({ "value": value }));
        let answer = site.ask(Method::POST, "/api/v1/preauths", body).await;
        assert_eq!(answer.0, 422, "{value}: {answer:?}");
    }
    let made = site
        .post("/api/v1/preauths", json!({ "value": UUID }))
        .await;
    let again = Some(json!({ "value": UUID.to_uppercase() }));
    let refused = site
        .ask(Method::POST, "/api/v1/preauths", again.clone())
        .await;
    assert_eq!(refused.0, 409, "{refused:?}");
    let path = format!("/api/v1/preauths/{}", made["id"].as_str().unwrap());
    assert_eq!(site.ask(Method::DELETE, &path, None).await.0, 204);
    let now = site.ask(Method::POST, "/api/v1/preauths", again).await;
    assert_eq!(now.0, 201);
}

#[tokio::test]
async fn denied_revoked_and_retired_hosts_are_told_so() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let host = box_of(&site, "S1").await;
    let screen = host.shows(&site).await;
    let path = |action: &str| format!("/api/v1/hosts/{}/{action}", host.host_id);
    let deny = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        site.post(&path("deny"), json!(null)).await
    };
    let (_, _) = tokio::join!(host.poll(&site, &screen, 25), deny);
    assert_eq!(reason(host.enroll(&site, None).await), "denied");

    for action in ["revoke", "retire"] {
        let mut host = Host::boot(&site, action, "b").await;
        let token = site.token(json!({ "uses": 2 })).await;
        let uid = host.join(&site, &token).await;
        host.open(&site, &uid).await.unwrap();
        site.post(&format!("/api/v1/hosts/{uid}/{action}"), json!(null))
            .await;
        let body = host.sync_body(Phase::Running);
        assert_eq!(code(host.sync(&site, &body).await), "session_unknown");
        assert_eq!(code(host.open(&site, &uid).await), "revoked");
        assert_eq!(
            reason(host.enroll(&site, Some(&token)).await),
            format!("{action}d")
        );
        // The host ID is free for a new key, and the use of the token is its own.
        let new = Host::boot(&site, action, "b2").await;
        assert_ne!(new.join(&site, &token).await, uid);
    }
}

#[tokio::test]
async fn a_wiped_machine_gets_its_name_back_after_one_confirmation() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let token = site.token(json!({})).await;
    let mut old = box_of(&site, "S1").await;
    old.key_store = KeyStore::File;
    let uid = old.join(&site, &token).await;
    old.open(&site, &uid).await.unwrap();
    let body = old.sync_body(Phase::Running);
    old.sync(&site, &body).await.unwrap();

    let mut new = box_of(&site, "S1").await;
    assert_eq!(new.shows(&site).await.reason, "rekey");
    // The old one is not disturbed.
    let body = old.sync_body(Phase::Running);
    old.sync(&site, &body).await.unwrap();

    let list = site.get("/api/v1/hosts").await;
    let pending = list["items"].as_array().unwrap();
    let pending = pending.iter().find(|h| h["state"] == "pending").unwrap();
    let path = format!("/api/v1/hosts/{}/approve", pending["uid"].as_str().unwrap());
    site.post(&path, json!({ "key": new.label() })).await;
    match new.enroll(&site, None).await.unwrap() {
        EnrollAnswer::Accepted { host_uid } => assert_eq!(host_uid, uid),
        other => panic!("{other:?}"),
    }
    new.open(&site, &uid).await.unwrap();
    let body = new.sync_body(Phase::Installing);
    new.sync(&site, &body).await.unwrap();
    // The old key is over: the disk that was taken out opens nothing.
    let body = old.sync_body(Phase::Running);
    assert_eq!(code(old.sync(&site, &body).await), "session_unknown");
    assert_eq!(code(old.open(&site, &uid).await), "bad_signature");
    assert_eq!(reason(old.enroll(&site, Some(&token)).await), "replaced");
    let list = site.get("/api/v1/hosts").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["admission"]["matcher"], "approval");
}

#[tokio::test]
async fn a_full_list_of_one_host_id_makes_room_for_nobody_who_is_not_silent() {
    let site = Site::start().await;
    let first = Host::boot(&site, "S1", "b").await;
    shown(first.enroll(&site, None).await.unwrap());
    for at in 1..20 {
        let host = first.beside("S1", &format!("b{at}"));
        shown(host.enroll(&site, None).await.unwrap());
    }
    let more = first.beside("S1", "more");
    assert_eq!(code(more.enroll(&site, None).await), "limited");
    // Those that are on the list, and other hosts, do not notice.
    assert_eq!(reason(first.enroll(&site, None).await), "no_token");
    let other = first.beside("S2", "b");
    assert_eq!(reason(other.enroll(&site, None).await), "no_token");
}

#[tokio::test]
async fn a_host_that_is_awaited_is_not_unknown() {
    let site = Site::start().await;
    let host_id = HostId::derive(Source::SmbiosUuid, UUID).to_string();
    let approve = async || {
        let path = format!("/api/v1/hosts/{}/approve", host_id.to_lowercase());
        let body = json!({ "key": "3BGT S77Z" });
        let (status, problem) = site.ask(Method::POST, &path, Some(body)).await;
        assert_eq!(status, 404, "{problem}");
        problem["detail"].as_str().unwrap().to_owned()
    };
    assert!(approve().await.contains("no host has"));
    let announced = json!({ "value": host_id });
    let made = site.post("/api/v1/preauths", announced.clone()).await;
    assert!(approve().await.contains("has not called yet"));
    let path = "/api/v1/preauths";
    let (status, again) = site.ask(Method::POST, path, Some(announced)).await;
    assert_eq!(status, 409);
    let want = format!("burin-hub host withdraw {}", made["id"].as_str().unwrap());
    assert!(again["detail"].as_str().unwrap().contains(&want), "{again}");
}
