//! Many hosts at once.

use std::net::Ipv4Addr;

use burin_api::event::{Event, EventKind};
use burin_api::message::Phase;
use burin_api::token::Token;
use burin_hub::db::Place;
use burin_hub::secret::Secret;
use futures_util::future::join_all;
use serde_json::json;

use crate::support::host::{Host, code};
use crate::support::{Site, copy_of, postgres};

/// Boots machines, each with an address of its own so that no limit of an address is met, spread
/// over the hubs.
async fn machines(sites: &[&Site], count: u8) -> Vec<Host> {
    let boot = async |number: u8| {
        let site = sites[usize::from(number) % sites.len()];
        let http = site.client_from(Ipv4Addr::new(127, 0, 9, number));
        Host::boot_over(site, &format!("S{number}"), "b", http).await
    };
    join_all((1..=count).map(boot)).await
}

async fn race(sites: &[&Site], token: &Token) {
    let hosts = machines(sites, 200).await;
    let calls = hosts.iter().enumerate().map(|(number, host)| {
        // The hub that did not give the nonce, where there are two.
        let site = sites[(number + 1) % sites.len()];
        host.enroll(site, Some(token))
    });
    let answers = join_all(calls).await;
    let (let_in, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    for answer in refused {
        assert_eq!(code(answer), "token_used");
    }
    assert_eq!(let_in.len(), 10);
    let tokens = sites[0].get("/api/v1/tokens").await;
    assert_eq!(
        (&tokens[0]["used"], &tokens[0]["state"]),
        (&json!(10), &json!("used"))
    );
    let hosts = sites[0].get("/api/v1/hosts?limit=500").await;
    let hosts = hosts["items"].as_array().unwrap();
    let accepted = hosts.iter().filter(|host| host["state"] == "accepted");
    assert_eq!(accepted.count(), 10);
}

#[tokio::test]
async fn of_two_hundred_hosts_a_token_lets_in_as_many_as_it_has_uses() {
    let site = Site::start().await;
    let token = site.token(json!({ "uses": 10 })).await;
    race(&[&site], &token).await;
}

#[tokio::test]
#[ignore = "some minutes: fifty times"]
async fn of_two_hundred_hosts_a_token_lets_in_as_many_as_it_has_uses_each_time() {
    for _ in 0..50 {
        let site = Site::start().await;
        let token = site.token(json!({ "uses": 10 })).await;
        race(&[&site], &token).await;
        drop(site.stop().await);
    }
}

#[tokio::test]
async fn two_hubs_on_one_database_let_in_no_more_than_one() {
    let url = Secret::new(postgres::database().await);
    let place = Place::Server(url);
    let one = Site::with(|args| args.database = place.clone()).await;
    let keys = copy_of(one.folder.path());
    let other = Site::at(keys, |args| args.database = place).await;
    let token = one.token(json!({ "uses": 10 })).await;
    race(&[&one, &other], &token).await;
}

#[tokio::test]
async fn syncs_that_come_together_are_all_written_and_a_bad_one_alone_is_refused() {
    let site = Site::with(|args| args.interval = Some(7)).await;
    let token = site.token(json!({ "uses": 40 })).await;
    let mut hosts = machines(&[&site], 40).await;
    let uids = join_all(hosts.iter().map(|host| host.join(&site, &token))).await;
    let opened = hosts
        .iter_mut()
        .zip(&uids)
        .map(|(host, uid)| host.open(&site, uid));
    for answer in join_all(opened).await {
        answer.unwrap();
    }
    let calls = hosts.iter_mut().enumerate().map(|(number, host)| {
        let mut body = host.sync_body(Phase::Running);
        body.observed.last_error = Some(format!("error {number}"));
        body.events = vec![Event {
            id: format!("e-{number}"),
            sequence: 1,
            boot_id: "b".to_owned(),
            monotonic: 1,
            time: 1,
            operation: "install".to_owned(),
            step: "pull".to_owned(),
            kind: EventKind::Started,
            message: "started".to_owned(),
            causes: Vec::new(),
        }];
        if number == 5 {
            // As if it had been used before.
            body.sequence = 0;
        }
        let site = &site;
        async move { host.sync(site, &body).await }
    });
    let answers = join_all(calls).await;
    for (number, answer) in answers.into_iter().enumerate() {
        let seen = site.get(&format!("/api/v1/hosts/{}", uids[number])).await;
        if number == 5 {
            assert_eq!(code(answer), "sequence");
            assert!(seen["phase"].is_null(), "{seen}");
        } else {
            answer.unwrap();
            assert_eq!(seen["last_error"], format!("error {number}"));
        }
    }
    let events = site.get("/api/v1/events?limit=500").await;
    assert_eq!(events["items"].as_array().unwrap().len(), 39);
}
