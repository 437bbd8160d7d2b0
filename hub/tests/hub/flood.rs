//! Very many calls: replays, newcomers, junk.

use std::net::Ipv4Addr;

use burin_api::dsse::Envelope;
use burin_api::message::{EnrollAnswer, KeyStore, Phase, SyncAnswer};
use burin_api::token::Token;
use burin_hub::cli::Span;
use futures_util::future::join_all;
use serde_json::json;

use crate::support::host::{Host, code, reason};
use crate::support::{Site, database};

/// Callers with an address each: the limit of one shall not be what refuses.
fn callers(site: &Site, network: u8, count: u8) -> Vec<reqwest::Client> {
    (1..=count)
        .map(|last| site.client_from(Ipv4Addr::new(127, 0, network, last)))
        .collect()
}

/// Sends bytes as an enroll: status, and the code of the refusal.
async fn throw(site: &Site, from: &reqwest::Client, host: &Host, bytes: Vec<u8>) -> (u16, String) {
    let url = format!("{}/h/1/enroll", site.url);
    let answer = from.post(url).body(bytes).send().await.unwrap();
    let status = answer.status().as_u16();
    let said: Envelope = answer.json().await.unwrap();
    match status {
        200 => (status, String::new()),
        _ => {
            let refusal: burin_api::message::Refusal = host.verified(&said).unwrap();
            (status, refusal.code)
        }
    }
}

#[tokio::test]
async fn the_same_enroll_a_thousand_times_is_one_host_and_one_use() {
    let site = Site::start().await;
    let token = site.token(json!({ "uses": 5 })).await;
    let host = Host::boot(&site, "S1", "b").await;
    let body = host.enroll_body(host.nonce(&site).await, Some(&token));
    let bytes = serde_json::to_vec(&host.seal_enroll(&body, Some(&token))).unwrap();
    let callers = callers(&site, 10, 25);
    let mut accepted = 0;
    for _ in 0..40 {
        let calls = callers
            .iter()
            .map(|from| throw(&site, from, &host, bytes.clone()));
        for (status, code) in join_all(calls).await {
            match status {
                200 => accepted += 1,
                _ => assert_eq!(code, "bad_nonce"),
            }
        }
    }
    assert_eq!(accepted, 1);
    assert_eq!(site.get("/api/v1/tokens").await[0]["used"], 1);
    let hosts = site.get("/api/v1/hosts").await;
    assert_eq!(hosts["items"].as_array().unwrap().len(), 1);

    // The memory of a hub alone is gone after a restart, and so is the key of its nonces; hubs that
    // share a database keep both. `admission` tells the two apart.
    let site = Site::at(site.stop().await, |_| {}).await;
    let (status, code) = throw(&site, &site.http, &host, bytes).await;
    assert_eq!((status, code.as_str()), (403, "bad_nonce"));
}

#[tokio::test]
async fn an_enroll_with_any_one_byte_changed_is_refused() {
    let site = Site::start().await;
    let token = site.token(json!({})).await;
    let host = Host::boot(&site, "S1", "b").await;
    let body = host.enroll_body(host.nonce(&site).await, Some(&token));
    let good = serde_json::to_vec(&host.seal_enroll(&body, Some(&token))).unwrap();
    let callers = callers(&site, 11, 60);
    let throw_flipped = async |(number, from): (usize, &reqwest::Client)| {
        let mut refused = 0;
        for at in (number..good.len()).step_by(60) {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 7);
            let (status, code) = throw(&site, from, &host, bytes).await;
            let known = ["bad_request", "bad_signature", "bad_nonce"].contains(&code.as_str());
            assert!(known, "byte {at}: {status} {code}");
            refused += 1;
        }
        refused
    };
    let refused = join_all(callers.iter().enumerate().map(throw_flipped)).await;
    assert_eq!(refused.iter().sum::<usize>(), good.len());
    assert_eq!(site.get("/api/v1/tokens").await[0]["used"], 0);
    // None of them has used the nonce up.
    let (status, _) = throw(&site, &callers[0], &host, good).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_token_with_any_one_character_changed_is_none_of_the_hubs() {
    let token = Token::from_seed([7; 16]);
    let (text, id) = (token.reveal(), token.id());
    for at in 0..text.len() {
        for c in "0123456789ABCDEFGHJKMNPQRSTVWXYZ".chars() {
            let mut other = text.clone();
            other.replace_range(at..=at, &c.to_string());
            if let Ok(read) = Token::parse(&other) {
                assert_eq!((read.reveal(), read.id()), (text.clone(), id), "{other}");
            }
        }
    }
}

#[tokio::test]
async fn a_live_host_misses_no_sync_among_a_thousand_newcomers() {
    let site = Site::with(|args| {
        args.interval = Some(1);
        args.replace_after = Span(std::time::Duration::ZERO);
    })
    .await;
    let token = site.token(json!({ "uses": 2000 })).await;
    let mut live = Host::boot(&site, "S1", "b").await;
    live.key_store = KeyStore::File;
    let uid = live.join(&site, &token).await;
    live.open(&site, &uid).await.unwrap();
    let body = live.sync_body(Phase::Running);
    live.sync(&site, &body).await.unwrap();

    let callers = callers(&site, 12, 100);
    let mut refused = 0;
    for round in 0..10 {
        let newcomers = callers.iter().enumerate().map(|(number, from)| {
            let mut newcomer = live.beside("S1", &format!("{round}-{number}"));
            newcomer.call_over(from.clone());
            if number % 2 == 1 {
                newcomer.evidence.serial = "other".to_owned();
            }
            let (site, token) = (&site, &token);
            async move { newcomer.enroll(site, Some(token)).await }
        });
        let (answers, synced) = tokio::join!(join_all(newcomers), async {
            let body = live.sync_body(Phase::Running);
            // Once here, once there among them, and no more often than a host may.
            let pause = 800 + round * 137 % 400;
            tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
            live.sync(&site, &body).await
        });
        synced.unwrap();
        for answer in answers {
            match answer {
                Ok(answer) => {
                    let why = reason(Ok(answer));
                    assert!(["rekey", "id_conflict"].contains(&&*why), "{why}");
                }
                Err(refusal) => {
                    assert_eq!(refusal.code, "limited");
                    assert!(refusal.message.contains("ID-S1"), "{refusal:?}");
                    refused += 1;
                }
            }
        }
    }
    // Twenty of one host ID may wait.
    assert_eq!(refused, 980);
    assert_eq!(site.get("/api/v1/tokens").await[0]["used"], 1);
    let seen = site.get(&format!("/api/v1/hosts/{uid}")).await;
    assert_eq!(seen["state"], "accepted");
}

#[tokio::test]
async fn old_messages_cost_the_host_none_of_its_own() {
    let site = Site::start().await;
    let token = site.token(json!({})).await;
    let mut host = Host::boot(&site, "S1", "b").await;
    let uid = host.join(&site, &token).await;
    let opening = host.seal_session(host.nonce(&site).await, &uid).unwrap();
    let answer = host.send(&site, "session", &opening).await.unwrap();
    host.begin(&answer);
    let body = host.sync_body(Phase::Running);
    let old = host.seal_sync(&body);
    host.send::<SyncAnswer>(&site, "sync", &old).await.unwrap();
    for _ in 0..30 {
        let again = host.send::<SyncAnswer>(&site, "sync", &old).await;
        assert_eq!(code(again), "sequence");
        let again = host
            .send::<burin_api::message::SessionAnswer>(&site, "session", &opening)
            .await;
        assert_eq!(code(again), "bad_nonce");
    }
    let body = host.sync_body(Phase::Running);
    host.sync(&site, &body).await.unwrap();
    host.open(&site, &uid).await.unwrap();
}

#[tokio::test]
async fn ten_thousand_junk_hosts_fill_their_list_for_a_day_and_nothing_else() {
    let site = Site::start().await;
    let token = site.token(json!({ "uses": 9 })).await;
    let live = Host::boot(&site, "S1", "b").await;
    let uid = live.join(&site, &token).await;
    database::execute(
        site.folder.path(),
        "WITH RECURSIVE junk (number) AS \
         (SELECT 1 UNION ALL SELECT number + 1 FROM junk WHERE number < 10000) \
         INSERT INTO host (uid, host_id, host_id_source, state, reason, token_id, evidence, \
         findings, labels, arch, created_at, enrolled_at, accepted_at, settled, address) \
         SELECT 'j' || CAST(number AS TEXT), 'J' || CAST(number AS TEXT), 'random', 'pending', \
         'no_token', NULL, host.evidence, '[]', '{}', 'amd64', host.created_at, host.enrolled_at, \
         NULL, 0, '192.0.2.1' FROM junk, host",
    )
    .await;
    let newcomer = live.beside("S2", "b");
    let full = newcomer.enroll(&site, None).await.unwrap_err();
    assert_eq!(
        (full.code.as_str(), full.retry_after),
        ("limited", Some(300))
    );
    assert!(full.message.contains("10000 hosts wait"), "{full:?}");
    // Who is in does not notice, nor who looks at the list.
    assert_eq!(live.join(&site, &token).await, uid);
    assert_eq!(site.get(&format!("/api/v1/hosts/{uid}")).await["uid"], uid);
    site.get("/api/v1/hosts").await;

    database::execute(
        site.folder.path(),
        "UPDATE host SET created_at = created_at - 86400001 WHERE state = 'pending'",
    )
    .await;
    let answer: EnrollAnswer = newcomer.enroll(&site, None).await.unwrap();
    assert_eq!(reason(Ok(answer)), "no_token");
    let pending = database::number(
        site.folder.path(),
        "SELECT COUNT(*) FROM host WHERE state = 'pending'",
    )
    .await;
    assert_eq!(pending, 1);
}

#[tokio::test]
async fn one_address_at_a_high_rate_is_refused_and_others_are_not() {
    let site = Site::start().await;
    let (loud, quiet) = (
        site.client_from(Ipv4Addr::new(127, 0, 13, 1)),
        site.client_from(Ipv4Addr::new(127, 0, 13, 2)),
    );
    let hello = async |from: &reqwest::Client| {
        let url = format!("{}/h/1/hello", site.url);
        let body = json!({ "host_nonce": "ab".repeat(32), "protocols": [1], "root_version": 0 });
        let answer = from.post(url).json(&body).send().await.unwrap();
        answer.status().as_u16()
    };
    let began = std::time::Instant::now();
    let (mut taken, mut calls) = (0, 0);
    for _ in 0..20 {
        let burst = join_all((0..100).map(|_| hello(&loud))).await;
        taken += burst.iter().filter(|status| **status == 200).count();
        assert!(burst.iter().all(|status| matches!(status, 200 | 429)));
        calls += burst.len();
        assert_eq!(hello(&quiet).await, 200);
    }
    let allowed = 61 + usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!(taken <= allowed, "{taken} of {calls}");
}
