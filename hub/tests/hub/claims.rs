//! Claims: a technician with a phone, before and after the host calls, and who guesses.

use std::time::Duration;

use burin_core::identity::{HostId, Source};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Site;
use crate::support::host::{Host, reason, shown};

pub(crate) async fn machine(site: &Site, serial: &str) -> Host {
    let mut host = Host::boot(site, serial, "b").await;
    host.host_id = HostId::derive(Source::ProductSerial, serial).to_string();
    host
}

pub(crate) async fn claim(site: &Site, body: Value) -> (u16, Value) {
    site.ask(Method::POST, "/api/v1/claims", Some(body)).await
}

pub(crate) async fn number(site: &Site, host: &Host, number: u8) -> (u16, Value) {
    let path = format!("/api/v1/claims/{}/number", host.label());
    site.ask(Method::POST, &path, Some(json!({ "number": number })))
        .await
}

pub(crate) fn other_than(number: u8) -> u8 {
    if number == 99 { 10 } else { number + 1 }
}

#[tokio::test]
async fn a_scanned_host_is_let_in_by_the_number_on_its_screen() {
    let site = Site::start().await;
    let host = machine(&site, "S4EVNX0R").await;
    let screen = host.shows(&site).await;
    let begun = claim(&site, json!({ "link": host.link(&site) })).await;
    assert_eq!(begun.0, 200, "{begun:?}");
    assert_eq!(begun.1["state"], "number");
    assert_eq!(begun.1["serial"], "S4EVNX0R");
    assert_eq!(begun.1["key"], host.label());
    assert_eq!(begun.1["tries_left"], 3);
    let held = host.shows(&site).await;
    assert_eq!(
        (&held.reason[..], held.number),
        ("confirm_number", screen.number)
    );

    let type_it = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        number(&site, &host, screen.number).await
    };
    let (answer, typed) = tokio::join!(host.poll(&site, &held, 25), type_it);
    assert_eq!(typed.0, 200, "{typed:?}");
    assert_eq!(typed.1["state"], "accepted");
    assert_eq!(reason(answer), "accepted");
    let seen = site.get(&format!("/api/v1/hosts/{}", host.host_id)).await;
    assert_eq!(seen["admission"]["matcher"], "qr");
    assert_eq!(seen["admission"]["detail"], "");
    // A second claim of a claimed host.
    let again = claim(&site, json!({ "link": host.link(&site) })).await;
    assert_eq!((again.0, &again.1["type"]), (409, &json!("claimed")));
}

#[tokio::test]
async fn a_claim_before_the_first_call_admits_nothing_until_the_number() {
    let site = Site::start().await;
    let host = machine(&site, "S1").await;
    let begun = claim(&site, json!({ "link": host.link(&site).to_lowercase() })).await;
    assert_eq!((begun.0, &begun.1["state"]), (200, &json!("waiting")));
    let early = number(&site, &host, 42).await;
    assert_eq!((early.0, &early.1["type"]), (409, &json!("no_contact")));

    let screen = host.shows(&site).await;
    assert_eq!(screen.reason, "confirm_number");
    let path = format!("/api/v1/claims/{}", host.label());
    assert_eq!(site.get(&path).await["state"], "number");
    assert_eq!(number(&site, &host, screen.number).await.0, 200);
    assert_eq!(reason(host.enroll(&site, None).await), "accepted");
}

#[tokio::test]
async fn a_hub_may_let_provisional_claims_in_without_a_number() {
    let site = Site::with(|args| args.claims_without_number = true).await;
    let host = machine(&site, "S1").await;
    claim(&site, json!({ "link": host.link(&site) })).await;
    assert_eq!(reason(host.enroll(&site, None).await), "accepted");
    let seen = site.get(&format!("/api/v1/hosts/{}", host.host_id)).await;
    assert_eq!(seen["admission"]["detail"], "provisional");
    // A claim after the first call asks all the same.
    let late = machine(&site, "S2").await;
    late.shows(&site).await;
    claim(&site, json!({ "link": late.link(&site) })).await;
    assert_eq!(late.shows(&site).await.reason, "confirm_number");
}

#[tokio::test]
async fn three_wrong_numbers_draw_another_and_five_lock_the_account() {
    let site = Site::start().await;
    let host = machine(&site, "S1").await;
    let screen = host.shows(&site).await;
    claim(&site, json!({ "link": host.link(&site) })).await;
    for left in ["2 tries", "1 try left", "another"] {
        let wrong = number(&site, &host, other_than(screen.number)).await;
        assert_eq!((wrong.0, &wrong.1["type"]), (409, &json!("wrong_number")));
        assert!(
            wrong.1["detail"].as_str().unwrap().contains(left),
            "{wrong:?}"
        );
    }
    let next = host.shows(&site).await;
    assert_ne!(next.number, screen.number);
    // The number of before is worth nothing now.
    assert_eq!(number(&site, &host, screen.number).await.0, 409);
    assert_eq!(number(&site, &host, other_than(next.number)).await.0, 409);
    let locked = number(&site, &host, next.number).await;
    assert_eq!((locked.0, &locked.1["type"]), (429, &json!("limited")));
    let typed = claim(&site, json!({ "code": next.code })).await;
    assert_eq!(typed.0, 429, "{typed:?}");
    assert_eq!(host.shows(&site).await.reason, "confirm_number");
}

#[tokio::test]
async fn a_code_finds_its_host_and_guessing_ends_after_five() {
    let site = Site::start().await;
    let host = machine(&site, "S1").await;
    let screen = host.shows(&site).await;
    assert_eq!(screen.code.len(), 9, "{}", screen.code);
    // It stays while the host asks again.
    assert_eq!(host.shows(&site).await.code, screen.code);
    let typed = screen.code.to_lowercase().replace('-', " ");
    let found = claim(&site, json!({ "code": typed })).await;
    assert_eq!(found.0, 200, "{found:?}");
    assert_eq!(found.1["key"], host.label());
    assert_eq!(number(&site, &host, screen.number).await.0, 200);
    assert_eq!(reason(host.enroll(&site, None).await), "accepted");
    let seen = site.get(&format!("/api/v1/hosts/{}", host.host_id)).await;
    assert_eq!(seen["admission"]["matcher"], "code");
    // Used up: it finds nothing now.
    for at in 0..5 {
        let guess = ["BCDF-GHJK", &screen.code, "nonsense", "", "ZZZZ-ZZZZ"][at];
        let wrong = claim(&site, json!({ "code": guess })).await;
        assert_eq!((wrong.0, &wrong.1["type"]), (404, &json!("unknown_code")));
    }
    let waiting = machine(&site, "S2").await;
    let right = waiting.shows(&site).await.code;
    assert_eq!(claim(&site, json!({ "code": right })).await.0, 429);
}

#[tokio::test]
async fn links_that_are_none_and_claims_of_others_are_refused() {
    let site = Site::start().await;
    let host = machine(&site, "S1").await;
    let good = host.link(&site);
    for link in ["", "https://hub.example/R/", &good[..good.len() - 1], "é"] {
        let answer = claim(&site, json!({ "link": link })).await;
        assert_eq!(answer.0, 422, "{link}: {answer:?}");
    }
    assert_eq!(claim(&site, json!({})).await.0, 422);
    // The host ID of another machine with this machine's key.
    host.shows(&site).await;
    let mut mixed = machine(&site, "S2").await;
    std::mem::swap(&mut mixed.host_id, &mut machine(&site, "S3").await.host_id);
    let link = good.replace(
        &host.host_id.replace('-', ""),
        &mixed.host_id.replace('-', ""),
    );
    let answer = claim(&site, json!({ "link": link })).await;
    assert_eq!((answer.0, &answer.1["type"]), (409, &json!("wrong_host")));
    // Nobody has claimed this one.
    let path = format!("/api/v1/claims/{}", mixed.label());
    assert_eq!(site.ask(Method::GET, &path, None).await.0, 404);
    assert_eq!(number(&site, &mixed, 42).await.0, 404);
}

#[tokio::test]
async fn a_blocked_host_is_not_let_in_by_a_claim() {
    use burin_api::event::{Finding, Severity};
    let site = Site::start().await;
    let mut host = machine(&site, "S1").await;
    host.findings.push(Finding {
        name: "memory.size".to_owned(),
        measured: "4 GB".to_owned(),
        required: "8 GB".to_owned(),
        severity: Severity::Block,
        advice: "add memory".to_owned(),
    });
    let screen = shown(host.enroll(&site, None).await.unwrap());
    assert_eq!(screen.reason, "blocked");
    let begun = claim(&site, json!({ "link": host.link(&site) })).await;
    assert_eq!(begun.1["state"], "stopped");
    let refused = number(&site, &host, screen.number).await;
    assert_eq!((refused.0, &refused.1["type"]), (409, &json!("blocked")));
    assert_eq!(refused.1["errors"][0], "memory.size: add memory");
}
