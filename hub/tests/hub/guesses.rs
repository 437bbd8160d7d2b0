//! Many accounts, from many addresses, guess the codes and numbers of hosts that wait.

use std::net::Ipv4Addr;

use burin_core::identity::{HostId, Source};
use futures_util::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};

use crate::support::Site;
use crate::support::host::{Host, Shown};

/// Letters of a code.
const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Wrong ones before an account is locked.
const TRIES: usize = 5;
const ACCOUNTS: usize = 40;
const ADDRESSES: u8 = 20;
const HOSTS: usize = 20;
/// `BURIN_GUESSES` tells another number.
const GUESSES: usize = 4_000;

struct Guesser<'a> {
    site: &'a Site,
    bearer: String,
    /// One for each address.
    ways: &'a [Client],
    /// How often this account asked.
    asked: usize,
}

impl Guesser<'_> {
    async fn post(&mut self, path: &str, body: Value) -> (u16, Value) {
        let way = &self.ways[self.asked % self.ways.len()];
        self.asked += 1;
        let request = way
            .post(format!("{}/api/v1/claims{path}", self.site.url))
            .bearer_auth(&self.bearer);
        let answer = request.json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

/// SplitMix64: the same guesses in every run (Steele, Lea, Flood, 2014).
fn scattered(number: usize) -> u64 {
    let mut z = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A code that no host shows: chance is no part of this test.
fn guess(number: usize, shown: &[Shown]) -> String {
    let mut rest = scattered(number);
    let code: Vec<u8> = (0..8)
        .map(|_| {
            let letter = LETTERS[usize::try_from(rest % 20).unwrap()];
            rest /= 20;
            letter
        })
        .collect();
    let code = String::from_utf8(code).unwrap();
    let code = format!("{}-{}", &code[..4], &code[4..]);
    match shown.iter().any(|it| it.code == code) {
        true => "BBBB-BBBB".to_owned(),
        false => code,
    }
}

async fn waiting(site: &Site) -> (Vec<Host>, Vec<Shown>) {
    let mut first = Host::boot(site, "S0", "b").await;
    first.host_id = HostId::derive(Source::ProductSerial, "S0").to_string();
    let mut hosts = vec![first];
    for number in 1..HOSTS {
        let serial = format!("S{number}");
        let mut host = hosts[0].beside(&serial, "b");
        host.host_id = HostId::derive(Source::ProductSerial, &serial).to_string();
        hosts.push(host);
    }
    let mut shown = Vec::new();
    for (low, host) in (1..).zip(&mut hosts) {
        // The hub counts hosts at the door by address.
        host.call_over(site.client_from(Ipv4Addr::new(127, 0, 42, low)));
        shown.push(host.shows(site).await);
    }
    (hosts, shown)
}

async fn guessers<'a>(site: &'a Site, ways: &'a [Client], kind: &str) -> Vec<Guesser<'a>> {
    let mut all = Vec::new();
    for number in 0..ACCOUNTS {
        let made = json!({ "name": format!("{kind}{number}"), "role": "technician" });
        let made = site.post("/api/v1/api-keys", made).await;
        all.push(Guesser {
            site,
            bearer: made["key"].as_str().unwrap().to_owned(),
            ways,
            asked: 0,
        });
    }
    all
}

/// What one account tries: as many wrong codes as it gets, and the right ones once it is locked.
async fn guess_codes(
    guesser: &mut Guesser<'_>,
    from: usize,
    count: usize,
    shown: &[Shown],
) -> usize {
    let mut looked_at = 0;
    for number in 0..count {
        let right = number >= TRIES && number % 10 == 0;
        let code = if right {
            shown[number % shown.len()].code.clone()
        } else {
            guess(from + number, shown)
        };
        let (status, said) = guesser.post("", json!({ "code": code })).await;
        match status {
            404 => looked_at += 1,
            status => assert_eq!((status, &said["type"]), (429, &json!("limited")), "{said}"),
        }
    }
    looked_at
}

#[tokio::test]
async fn guesses_of_codes_end_at_five_for_an_account_whatever_address_they_come_from() {
    let site = Site::start().await;
    let guesses = std::env::var("BURIN_GUESSES").map_or(GUESSES, |it| it.parse().unwrap());
    let (hosts, shown) = waiting(&site).await;
    let ways: Vec<Client> = (1..=ADDRESSES)
        .map(|low| site.client_from(Ipv4Addr::new(127, 0, 41, low)))
        .collect();
    let mut all = guessers(&site, &ways, "codes").await;
    let each = guesses / ACCOUNTS;
    let looked_at = join_all(
        all.iter_mut()
            .enumerate()
            .map(|(number, guesser)| guess_codes(guesser, number * each, each, &shown)),
    );
    assert_eq!(looked_at.await, vec![TRIES; ACCOUNTS]);
    // Nobody was let in, and who waited shows the same as before.
    for (host, before) in hosts.iter().zip(&shown) {
        assert_eq!(&host.shows(&site).await, before);
    }
    let log = site.get("/api/v1/audit").await.to_string();
    assert!(log.contains("claim.wrong_code"), "{log}");
}

#[tokio::test]
async fn guesses_of_numbers_end_at_five_for_an_account_and_the_number_changes() {
    let site = Site::start().await;
    let (hosts, shown) = waiting(&site).await;
    let ways = [site.http.clone()];
    let all = guessers(&site, &ways, "numbers").await;
    let (mut wrong, mut locked, mut redrawn) = (0, 0, 0);
    for (mut guesser, (host, mut screen)) in all.into_iter().zip(hosts.iter().zip(shown).take(10)) {
        let (status, said) = guesser.post("", json!({ "link": host.link(&site) })).await;
        assert_eq!(status, 200, "{said}");
        let path = format!("/{}/number", host.label());
        let mut tried = 0;
        for number in (10..=99).cycle().take(120) {
            if number == screen.number && tried < TRIES {
                continue;
            }
            let (status, said) = guesser.post(&path, json!({ "number": number })).await;
            match (status, said["type"].as_str().unwrap_or_default()) {
                (409, "wrong_number") => tried += 1,
                (429, "limited") => locked += 1,
                other => panic!("{other:?}: {said}"),
            }
            if status == 409 && tried == 3 {
                let next = host.shows(&site).await;
                redrawn += usize::from(next.number != screen.number);
                screen = next;
            }
        }
        // Still waiting: else it would show nothing.
        assert_eq!(host.shows(&site).await.reason, "confirm_number");
        wrong += tried;
    }
    assert_eq!((wrong, redrawn), (10 * TRIES, 10));
    assert!(locked > 1_000, "{locked}");
}
