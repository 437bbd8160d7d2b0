//! Very many changed messages: answers to the code of the host that believes or not, requests to the hub.

use burin::hub::Problem;
use burin::hub::verify::{self, Said};
use burin_api::dsse::Envelope;
use burin_api::message::{EnrollAnswer, Hello, RekeyAnswer, SessionAnswer, SyncAnswer};
use burin_api::root::Anchor;
use serde_json::{Value, json};

use super::line::Exchange;
use super::random::{Random, damage};
use super::trick::{PLACES, Plan, TRICKS, Trick};
use super::{Site, http};

/// Changed answers a message.
const ANSWERS: usize = 1_500;
/// Changed requests a message.
const REQUESTS: usize = 1_200;
/// Requests over one connection: fewer than the hellos that one address has at once.
const A_CONNECTION: usize = 50;

/// What the host makes of an answer.
fn read(site: &Site, exchange: &Exchange, said: &Said) -> Result<Value, Problem> {
    fn bound<A: burin_api::dsse::Payload>(
        site: &Site,
        exchange: &Exchange,
        said: &Said,
    ) -> Result<Value, Problem> {
        let request: Envelope = serde_json::from_slice(&exchange.request).unwrap();
        let read: A = verify::answer(&request, said, &site.root, 0)?;
        Ok(json!(read))
    }
    match exchange.name.as_str() {
        "hello" => {
            let hello: Hello = serde_json::from_slice(&exchange.request).unwrap();
            let pin = site.settings.root.as_deref().unwrap();
            let anchor = match hello.root_version {
                0 => Anchor::Pinned(pin),
                _ => Anchor::Held(&site.root),
            };
            let greeting = verify::greeting(anchor, &hello, said, 0)?;
            Ok(json!([greeting.answer, greeting.root]))
        }
        "enroll" => bound::<EnrollAnswer>(site, exchange, said),
        "session" => bound::<SessionAnswer>(site, exchange, said),
        "sync" => bound::<SyncAnswer>(site, exchange, said),
        "rekey" => bound::<RekeyAnswer>(site, exchange, said),
        other => panic!("{other}"),
    }
}

/// Shows changed answers to the host's code; returns how many there were.
pub(crate) fn answers(site: &Site, random: &mut Random) -> usize {
    let mut all = 0;
    for exchange in site.caught.iter().filter(|it| it.name != "refused") {
        let good = Said {
            status: exchange.status,
            body: exchange.answer.clone(),
        };
        let want = read(site, exchange, &good).unwrap();
        let mut refused = 0;
        for _ in 0..ANSWERS {
            let seed = random.next();
            let changed = Said {
                status: [200, 200, 200, 204, 403, 500][random.below(6)],
                body: changed_answer(site, exchange, seed),
            };
            match read(site, exchange, &changed) {
                Err(_) => refused += 1,
                Ok(read) => assert_eq!(read, want, "{}, seed {seed}", exchange.name),
            }
            all += 1;
        }
        // A change that changes nothing is hard to find.
        assert!(
            refused * 100 >= ANSWERS * 99,
            "{}: {refused}",
            exchange.name
        );
    }
    all
}

fn changed_answer(site: &Site, exchange: &Exchange, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    if random.below(2) == 0 {
        return damage(&exchange.answer, &mut random);
    }
    let tricks = [
        Trick::AnswerBit,
        Trick::AnswerField,
        Trick::AnswerForged,
        Trick::AnswerUnsigned,
        Trick::AnswerOtherType,
        Trick::AnswerOfOther,
        Trick::AnswerShort,
    ];
    let plan = plan(site, tricks[random.below(tricks.len())], exchange, seed);
    let mut message = message(&exchange.answer);
    plan.change_answer(&exchange.request, &mut message);
    message.body
}

fn plan(site: &Site, trick: Trick, exchange: &Exchange, seed: u64) -> Plan {
    let place = PLACES.iter().find(|place| place.0 == exchange.name);
    Plan {
        trick,
        place: *place.unwrap(),
        caught: site.caught.clone(),
        seed,
    }
}

fn message(body: &[u8]) -> http::Message {
    http::Message {
        start: String::new(),
        headers: Vec::new(),
        body: body.to_vec(),
        framing: http::Framing::Length,
    }
}

/// A message that a host sent and that the proxy kept: the hub has not seen it.
async fn kept(site: &Site, place: (&'static str, usize)) -> Exchange {
    let name = format!("kept {}", place.0);
    let (_, host, mut line, _network) = site.boot(&name, Trick::Swallowed, place, 0).await;
    line.struck().await;
    drop(host);
    let seen = line.wire.seen();
    let kept = seen.into_iter().rfind(|it| it.status == 0);
    kept.expect("the message was kept")
}

/// What the hub knows of hosts, but for the time that passes.
fn hosts(site: &Site) -> Value {
    let mut listed = site.hub.client(&["host", "list"]);
    for host in listed.as_array_mut().unwrap() {
        host["silent"].take();
    }
    listed
}

/// Sends changed requests to the hub: it refuses each, and takes the true one afterwards, so that none
/// of them used anything up. Returns how many there were.
pub(crate) async fn requests(site: &Site, random: &mut Random) -> usize {
    let mut all = 0;
    for place in [PLACES[1], PLACES[3], PLACES[4], PLACES[5]] {
        let good = kept(site, place).await;
        let before = hosts(site);
        let changed: Vec<Vec<u8>> = (0..REQUESTS)
            .map(|_| changed_request(site, &good, random.next()))
            .collect();
        for some in changed.chunks(A_CONNECTION) {
            let statuses = site.taps.post_all(place.0, some).await.unwrap();
            for (status, sent) in statuses.iter().zip(some) {
                let sent = String::from_utf8_lossy(sent);
                assert!(matches!(status, 400 | 403 | 413), "{status} for {sent}");
            }
            all += statuses.len();
        }
        assert_eq!(hosts(site), before);
        let (status, _) = site.taps.post(place.0, good.request).await.unwrap();
        assert_eq!(status, 200, "the true {}", place.0);
    }
    all
}

fn changed_request(site: &Site, good: &Exchange, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    if random.below(2) == 0 {
        return damage(&good.request, &mut random);
    }
    let tricks = [
        Trick::RequestBit,
        Trick::RequestField,
        Trick::RequestUnsigned,
        Trick::RequestOtherType,
        Trick::RequestShort,
    ];
    let plan = plan(site, tricks[random.below(tricks.len())], good, seed);
    let mut message = message(&good.request);
    plan.on_request(&mut message);
    message.body
}

#[test]
fn every_trick_is_in_the_list_once() {
    let mut names: Vec<String> = TRICKS.iter().map(|it| format!("{it:?}")).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), TRICKS.len());
}
