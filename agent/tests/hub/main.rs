//! The host's client against the real hub: registration, sync, trust that changes, and everything a
//! hub can refuse.

#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

mod clocks;
mod crash;
mod program;
mod proxied;
mod rekey;
mod support;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use burin::context::Hidden;
use burin::hub::{HubSettings, Identity};
use burin_api::message::Phase;
use burin_api::token::Token;
use tokio::sync::watch;
use tokio::time::timeout;

use support::{DEADLINE, Host, Hub, TestClock};

#[tokio::test]
async fn the_first_contact_waits_for_the_network_and_comes_with_it() {
    let door = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = HubSettings {
        url: format!("https://{}", door.local_addr().unwrap()),
        ca: vec![include_str!("../../fixtures/hub-authority-2020.pem").to_owned()],
        ..HubSettings::default()
    };
    let identity = Identity::make("").unwrap();
    let (network, ways) = watch::channel(std::collections::BTreeSet::new());
    let _host = Host::start_with(settings, &identity, "boot-1", ways, TestClock::right());
    let early = timeout(Duration::from_secs(2), door.accept()).await;
    assert!(early.is_err(), "an attempt without a network");
    network.send_replace([String::from("eth0 00000000")].into());
    assert!(timeout(DEADLINE, door.accept()).await.is_ok());
}

#[tokio::test]
async fn a_host_registers_by_token_and_its_events_arrive_once() {
    let hub = Hub::start();
    let identity = Identity::make("").unwrap();
    let mut host = Host::start(hub.settings(Some(&hub.token())), &identity, "boot-1");
    host.events.note("an event from before the registration");
    let newest = host.events.newest();
    host.until("stored the event", |word| {
        word.accepted && word.stored >= newest
    })
    .await;
    assert!(identity.registration().host_uid.is_some());
    assert!(identity.registration().root.is_some());

    let list = hub.client(&["host", "list"]);
    let text = list.to_string();
    assert!(text.contains("K7QF-2M9X-0TRD-8HWN"), "{text}");
    let events = hub.client(&["event", "list"]).to_string();
    let count = events
        .matches("an event from before the registration")
        .count();
    assert_eq!(count, 1, "{events}");

    host.report
        .send_modify(|report| report.phase = Phase::Running);
    let syncs = host.word.borrow().syncs;
    host.until("synced again", |word| word.syncs > syncs).await;
}

#[tokio::test]
async fn a_restarted_host_needs_no_second_use_of_its_token() {
    let hub = Hub::start();
    let token = hub.token();
    let identity = Identity::make("").unwrap();
    let mut first = Host::start(hub.settings(Some(&token)), &identity, "boot-1");
    first.until("accepted", |word| word.accepted).await;
    drop(first);
    // As after a power cut: the key was kept, what the hub said was not.
    let again = Identity::from_pkcs8(&identity.pkcs8(), "").unwrap();
    let mut second = Host::start(hub.settings(Some(&token)), &again, "boot-2");
    second
        .until("accepted again", |word| word.accepted && word.syncs > 0)
        .await;
    let (was, is) = (identity.registration(), again.registration());
    assert_eq!(is.host_uid, was.host_uid);
    let tokens = hub.client(&["token", "list"]);
    assert_eq!(tokens[0]["used"], 1, "{tokens}");
}

#[tokio::test]
async fn a_host_outlives_its_hub() {
    let mut hub = Hub::start();
    let identity = Identity::make("").unwrap();
    let mut host = Host::start(hub.settings(Some(&hub.token())), &identity, "boot-1");
    host.until("synced", |word| word.syncs > 0).await;
    host.report
        .send_modify(|report| report.phase = Phase::Installing);
    hub.stop();
    let state = host.hub_state("does not answer").await;
    assert!(state.contains("Check that the hub runs"), "{state}");
    let syncs = host.word.borrow().syncs;
    hub.start_again();
    host.until("synced again", |word| word.syncs > syncs).await;
    assert_eq!(host.events.view().hub_state, "");
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let hub = Hub::start();
    let good = hub.settings(Some(&hub.token()));
    let unknown = Token::from_seed([7; 16]).reveal();
    let cases = [
        (
            HubSettings {
                token: Some(Hidden(Arc::new(Token::parse(&unknown).unwrap()))),
                ..good.clone()
            },
            "token create",
        ),
        (
            HubSettings {
                root: Some(format!("sha256:{}", "0".repeat(64))),
                ..good.clone()
            },
            "burin.hub.root",
        ),
        (
            HubSettings {
                ca: Hub::start().settings(None).ca,
                ..good.clone()
            },
            "burin.hub.ca",
        ),
        (
            HubSettings {
                token: None,
                ..good.clone()
            },
            "no token",
        ),
        (
            HubSettings {
                url: good.url.replace("127.0.0.1", "127.0.0.2"),
                ..good.clone()
            },
            "Check that the hub runs",
        ),
    ];
    for (at, (settings, want)) in cases.into_iter().enumerate() {
        let identity = Identity::make("").unwrap();
        let mut host = Host::start(settings, &identity, &format!("boot-{at}"));
        host.hub_state(want).await;
        assert!(!host.word.borrow().accepted, "case {at}");
        assert_eq!(identity.registration().host_uid, None, "case {at}");
    }
}

#[tokio::test]
async fn a_revoked_token_is_said_to_be_revoked() {
    let hub = Hub::start();
    let token = hub.token();
    let id = Token::parse(&token).unwrap().id().to_owned();
    hub.client(&["token", "revoke", &id]);
    let identity = Identity::make("").unwrap();
    let mut host = Host::start(hub.settings(Some(&token)), &identity, "boot-1");
    host.hub_state("An admin revoked the token").await;
}

#[tokio::test]
async fn without_a_token_the_screen_shows_what_a_person_needs_and_the_decision_at_once() {
    let hub = Hub::start();
    let identity = Identity::make("").unwrap();
    let mut host = Host::start(hub.settings(None), &identity, "boot-1");
    host.hub_state("no token").await;
    let view = host.events.view();
    let shown = view.pending.unwrap();
    assert_eq!(shown.reason, "no_token");
    assert_eq!(shown.code.len(), 9, "{shown:?}");
    assert!(
        (10..=99).contains(&shown.match_number.unwrap()),
        "{shown:?}"
    );
    let listed = hub.client(&["host", "list"]);
    let label = burin_api::claim::KeyLabel::of(&identity.thumbprint()).unwrap();
    let key = label.to_string();
    assert_eq!(listed[0]["key"], key);

    // Announced by its UUID after it called: the answer that the hub holds is let go.
    hub.client(&["host", "preauth", "6A8D0F6C9D9C4C0B8F2E0D4C6E1B7A55"]);
    host.hub_state("was announced").await;
    let uid = listed[0]["uid"].as_str().unwrap();
    hub.client(&["host", "approve", uid, "--key", &key]);
    let approved = std::time::Instant::now();
    host.until("accepted", |word| word.accepted).await;
    assert!(approved.elapsed() < Duration::from_secs(10));
    assert_eq!(host.events.view().pending, None);
    let listed = hub.client(&["host", "list"]);
    assert_eq!(listed[0]["admission"]["matcher"], "uuid", "{listed}");
}
