//! Who gets in, and who does not however hard he tries.

use std::time::Duration;

use crate::support::host::{Host, code, reason};
use crate::support::{Site, database};
use burin_api::dsse::Envelope;
use burin_api::event::{Finding, Severity};
use burin_api::message::{
    Enroll, EnrollAnswer, KeyStore, Phase, Refusal, SessionAnswer, SyncAnswer,
};
use burin_api::token::Token;
use burin_hub::cli::Span;
use serde_json::json;

#[tokio::test]
async fn asking_again_uses_nothing_up_and_gives_the_same_host() {
    let site = Site::start().await;
    let token = site
        .token(json!({ "uses": 2, "labels": { "site": "oslo" } }))
        .await;
    let host = Host::boot(&site, "S1", "b").await;
    let uid = host.join(&site, &token).await;
    assert_eq!(host.join(&site, &token).await, uid);
    let tokens = site.get("/api/v1/tokens").await;
    assert_eq!(tokens[0]["used"], 1);
    let seen = site.get(&format!("/api/v1/hosts/{uid}")).await;
    assert_eq!(seen["labels"], json!({ "site": "oslo", "own": "1" }));
    assert_eq!(seen["state"], "accepted");
}

#[tokio::test]
async fn a_replayed_enroll_and_an_old_nonce_are_refused() {
    let site = Site::start().await;
    let token = site.token(json!({ "uses": 2 })).await;
    let host = Host::boot(&site, "S1", "b").await;
    let nonce = host.nonce(&site).await;
    let body = host.enroll_body(nonce.clone(), Some(&token));
    let envelope = host.seal_enroll(&body, Some(&token));
    host.send::<EnrollAnswer>(&site, "enroll", &envelope)
        .await
        .unwrap();
    let again = host.send::<EnrollAnswer>(&site, "enroll", &envelope).await;
    assert_eq!(code(again), "bad_nonce");
    let other = host.enroll_body("00".repeat(56), Some(&token));
    let other = host.seal_enroll(&other, Some(&token));
    let made_up = host.send::<EnrollAnswer>(&site, "enroll", &other).await;
    assert_eq!(code(made_up), "bad_nonce");
}

/// Why a hub that was started again refuses a nonce that was used before its start. Alone it has another
/// key and knows none of the old ones; where hubs share a database the key stays, and the database
/// remembers.
fn over() -> &'static str {
    if database::is_postgres() {
        "the nonce was used before"
    } else {
        "the nonce is not one of this hub"
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Refusal>, code: &str, why: &str) {
    let refusal = answer.unwrap_err();
    assert_eq!(refusal.code, code);
    assert!(refusal.message.contains(why), "{}", refusal.message);
}

#[tokio::test]
async fn a_replay_is_refused_by_a_hub_that_was_started_again() {
    let site = Site::start().await;
    let token = site.token(json!({ "uses": 9 })).await;
    let mut host = Host::boot(&site, "S1", "b").await;
    host.key_store = KeyStore::File;
    let body = host.enroll_body(host.nonce(&site).await, Some(&token));
    let enroll = host.seal_enroll(&body, Some(&token));
    host.send::<EnrollAnswer>(&site, "enroll", &enroll)
        .await
        .unwrap();
    let uid = host.join(&site, &token).await;
    let session = host.seal_session(host.nonce(&site).await, &uid).unwrap();
    let opened: SessionAnswer = host.send(&site, "session", &session).await.unwrap();
    host.begin(&opened);
    let body = host.sync_body(Phase::Running);
    let sync = host.seal_sync(&body);
    host.send::<SyncAnswer>(&site, "sync", &sync).await.unwrap();
    // Given before the start, and used after it for the first time.
    let kept = host.enroll_body(host.nonce(&site).await, Some(&token));
    let kept = host.seal_enroll(&kept, Some(&token));

    let mut site = Site::at(site.stop().await, |_| {}).await;
    let answer = host.send::<EnrollAnswer>(&site, "enroll", &kept).await;
    match database::is_postgres() {
        true => assert_eq!(reason(answer), "accepted"),
        false => refused(answer, "bad_nonce", over()),
    }
    for _ in 0..2 {
        for enroll in [&enroll, &kept] {
            let answer = host.send::<EnrollAnswer>(&site, "enroll", enroll).await;
            refused(answer, "bad_nonce", over());
        }
        let answer = host.send::<SessionAnswer>(&site, "session", &session).await;
        refused(answer, "bad_nonce", over());
        let answer = host.send::<SyncAnswer>(&site, "sync", &sync).await;
        assert_eq!(code(answer), "sequence");
        site = Site::at(site.stop().await, |_| {}).await;
    }
    assert_eq!(site.get("/api/v1/tokens").await[0]["used"], 1);
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_refused_and_does_not_spend_the_nonce() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let site = Site::start().await;
    let token = site.token(json!({})).await;
    let host = Host::boot(&site, "S1", "b").await;
    let body = host.enroll_body(host.nonce(&site).await, Some(&token));
    let good = host.seal_enroll(&body, Some(&token));
    let flipped = |text: &str, at: usize| {
        let mut bytes = STANDARD.decode(text).unwrap();
        bytes[at] ^= 1;
        STANDARD.encode(bytes)
    };
    let position = STANDARD.decode(&good.payload).unwrap();
    // Inside the host ID, so that the body still parses.
    let position = String::from_utf8(position).unwrap().find("ID-S1").unwrap();
    let mut payload = good.clone();
    payload.payload = flipped(&good.payload, position);
    let mut identity = good.clone();
    identity.signatures[0].sig = flipped(&good.signatures[0].sig, 5);
    let mut by_token = good.clone();
    by_token.signatures[1].sig = flipped(&good.signatures[1].sig, 5);
    let mut without = good.clone();
    without.signatures.truncate(1);
    let other = Token::from_seed([9; 16]);
    let foreign = host.seal_enroll(&body, Some(&other));
    for (case, envelope) in [
        ("payload", payload),
        ("identity", identity),
        ("token", by_token),
        ("no token signature", without),
        ("another token's signature", foreign),
    ] {
        let answer = host.send::<EnrollAnswer>(&site, "enroll", &envelope).await;
        assert_eq!(code(answer), "bad_signature", "{case}");
    }
    let answer = host.send::<EnrollAnswer>(&site, "enroll", &good).await;
    assert_eq!(reason(answer), "accepted");
}

#[tokio::test]
async fn a_message_cannot_pass_for_another() {
    let site = Site::start().await;
    let host = Host::boot(&site, "S1", "b").await;
    let body = host.enroll_body(host.nonce(&site).await, None);
    let mut envelope = host.seal_enroll(&body, None);
    envelope.payload_type = "application/vnd.burin.session.v1+json".to_owned();
    let answer = host.send::<EnrollAnswer>(&site, "enroll", &envelope).await;
    assert_eq!(code(answer), "bad_signature");
}

#[tokio::test]
async fn a_token_that_is_over_says_why() {
    let site = Site::start().await;
    let host = Host::boot(&site, "S1", "b").await;
    let unknown = Token::from_seed([1; 16]);
    assert_eq!(
        code(host.enroll(&site, Some(&unknown)).await),
        "token_unknown"
    );

    let revoked = site.token(json!({})).await;
    site.post(
        &format!("/api/v1/tokens/{}/revoke", revoked.id()),
        json!(null),
    )
    .await;
    assert_eq!(
        code(host.enroll(&site, Some(&revoked)).await),
        "token_revoked"
    );

    let used = site.token(json!({})).await;
    Host::boot(&site, "S2", "b").await.join(&site, &used).await;
    assert_eq!(code(host.enroll(&site, Some(&used)).await), "token_used");

    let short = site.token(json!({ "lifetime": 1 })).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    // The token itself tells when its second is over.
    while site.get("/api/v1/tokens").await[2]["state"] != "expired" {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the token never expires"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        code(host.enroll(&site, Some(&short)).await),
        "token_expired"
    );
}

#[tokio::test]
async fn a_token_is_good_from_its_networks_only() {
    let site = Site::start().await;
    let host = Host::boot(&site, "S1", "b").await;
    let elsewhere = site.token(json!({ "networks": ["192.0.2.0/24"] })).await;
    let refused = host.enroll(&site, Some(&elsewhere)).await;
    assert_eq!(code(refused), "token_network");
    assert_eq!(site.get("/api/v1/tokens").await[0]["used"], 0);
    let networks = json!({ "networks": ["192.0.2.0/24", "127.0.0.0/8"] });
    let here = site.token(networks).await;
    assert_eq!(reason(host.enroll(&site, Some(&here)).await), "accepted");
}

#[tokio::test]
async fn without_a_token_a_person_decides() {
    let site = Site::start().await;
    let host = Host::boot(&site, "S1", "b").await;
    assert_eq!(reason(host.enroll(&site, None).await), "no_token");
    site.post(
        "/api/v1/hosts/ID-S1/approve",
        json!({ "key": host.label() }),
    )
    .await;
    assert_eq!(reason(host.enroll(&site, None).await), "accepted");

    let other = Host::boot(&site, "S2", "b").await;
    let asks = site.token(json!({ "requires_approval": true })).await;
    assert_eq!(reason(other.enroll(&site, Some(&asks)).await), "approval");
    site.post("/api/v1/hosts/ID-S2/deny", json!(null)).await;
    assert_eq!(reason(other.enroll(&site, Some(&asks)).await), "denied");
}

#[tokio::test]
async fn a_blocked_host_is_seen_and_keeps_its_token() {
    let site = Site::start().await;
    let token = site.token(json!({})).await;
    let mut host = Host::boot(&site, "S1", "b").await;
    host.findings.push(Finding {
        name: "memory.size".to_owned(),
        measured: "4 GB".to_owned(),
        required: "8 GB".to_owned(),
        severity: Severity::Block,
        advice: "add memory".to_owned(),
    });
    assert_eq!(reason(host.enroll(&site, Some(&token)).await), "blocked");
    let seen = site.get("/api/v1/hosts/ID-S1").await;
    assert_eq!(seen["findings"][0]["name"], "memory.size");
    assert_eq!(site.get("/api/v1/tokens").await[0]["used"], 0);
    host.findings.clear();
    assert_eq!(reason(host.enroll(&site, Some(&token)).await), "accepted");
}

#[tokio::test]
async fn a_live_host_is_never_displaced() {
    let site = Site::with(|args| args.replace_after = Span(Duration::ZERO)).await;
    let token = site.token(json!({ "uses": 9 })).await;
    let mut first = Host::boot(&site, "S1", "b1").await;
    first.key_store = KeyStore::File;
    let uid = first.join(&site, &token).await;
    first.open(&site, &uid).await.unwrap();
    let body = first.sync_body(Phase::Running);
    first.sync(&site, &body).await.unwrap();

    let mut thief = Host::boot(&site, "S1", "b2").await;
    thief.evidence.serial = "S2".to_owned();
    assert_eq!(
        reason(thief.enroll(&site, Some(&token)).await),
        "id_conflict"
    );
    // Nor by an admin's mistake.
    let list = site.get("/api/v1/hosts").await;
    let newcomer = &list["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|h| h["state"] == "pending");
    let newcomer = newcomer.unwrap()["uid"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/hosts/{newcomer}/approve");
    let key = json!({ "key": thief.label() });
    let refused = site.ask(reqwest::Method::POST, &path, Some(key)).await;
    assert_eq!(
        (refused.0, &refused.1["type"]),
        (409, &json!("id_conflict"))
    );

    let body = first.sync_body(Phase::Running);
    first.sync(&site, &body).await.unwrap();
    assert_eq!(first.join(&site, &token).await, uid);
}

#[tokio::test]
async fn a_key_lost_in_a_power_cut_is_replaced_once_a_boot_without_a_second_use() {
    let site = Site::with(|args| args.replace_after = Span(Duration::ZERO)).await;
    let token = site.token(json!({})).await;
    let mut first = Host::boot(&site, "S1", "b1").await;
    let uid = first.join(&site, &token).await;
    first.open(&site, &uid).await.unwrap();
    let body = first.sync_body(Phase::Installing);
    first.sync(&site, &body).await.unwrap();

    let second = Host::boot(&site, "S1", "b2").await;
    assert_eq!(reason(second.enroll(&site, None).await), "rekey");
    assert_eq!(second.join(&site, &token).await, uid);
    assert_eq!(site.get("/api/v1/tokens").await[0]["used"], 1);
    // The old key is over, in its session too.
    let body = first.sync_body(Phase::Installing);
    assert_eq!(code(first.sync(&site, &body).await), "session_unknown");
    assert_eq!(reason(first.enroll(&site, Some(&token)).await), "replaced");
    // A third key in the same boot is somebody else.
    let third = Host::boot(&site, "S1", "b2").await;
    assert_eq!(reason(third.enroll(&site, Some(&token)).await), "rekey");
    let hosts = site.get("/api/v1/hosts").await;
    let accepted = hosts["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|h| h["state"] == "accepted");
    assert_eq!(accepted.count(), 1);
}

#[tokio::test]
async fn a_replacement_waits_until_the_old_key_is_silent() {
    let site = Site::start().await;
    let token = site.token(json!({})).await;
    Host::boot(&site, "S1", "b1")
        .await
        .join(&site, &token)
        .await;
    let second = Host::boot(&site, "S1", "b2").await;
    match second.enroll(&site, Some(&token)).await.unwrap() {
        EnrollAnswer::Pending {
            reason, interval, ..
        } => {
            assert_eq!(reason, "replacement_wait");
            assert!((1..=30).contains(&interval), "{interval}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn bodies_that_are_no_envelopes_get_signed_refusals() {
    let site = Site::start().await;
    let large = vec![b'x'; 65 * 1024];
    for (path, body, status) in [
        ("/h/1/enroll", b"{".to_vec(), 400),
        ("/h/1/hello", b"[]".to_vec(), 400),
        ("/h/1/sync", large, 413),
    ] {
        let url = format!("{}{path}", site.url);
        let answer = site.http.post(url).body(body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        let envelope: Envelope = answer.json().await.unwrap();
        assert_eq!(envelope.signatures.len(), 1, "{path}");
    }
    let host = Host::boot(&site, "S1", "b").await;
    let mut body: Enroll = host.enroll_body(host.nonce(&site).await, None);
    body.host_id = "x".repeat(65);
    let envelope = host.seal_enroll(&body, None);
    assert_eq!(
        code(host.send::<EnrollAnswer>(&site, "enroll", &envelope).await),
        "bad_request"
    );
}

#[tokio::test]
async fn a_flood_from_one_address_is_slowed() {
    let site = Site::start().await;
    let mut limited = 0;
    for _ in 0..70 {
        let url = format!("{}/h/1/hello", site.url);
        let answer = site.http.post(url).body("{}").send().await.unwrap();
        limited += usize::from(answer.status().as_u16() == 429);
    }
    assert!(limited >= 5, "{limited}");
}
