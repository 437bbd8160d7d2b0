//! Between host and hub stands a proxy whose authority the host trusts: it opens TLS and may change every
//! byte. The host must never take anything from it, the hub must never act on it, and when it passes
//! everything on again the host gets on without a person.

mod bulk;
mod endless;
mod http;
mod line;
mod random;
mod trick;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use burin::context::{Hidden, Paths};
use burin::hub::{HubSettings, Identity};
use burin_api::claim::KeyLabel;
use burin_api::event::EventKind;
use burin_api::message::RootDocument;
use burin_api::token::Token;
use burin_core::identity::{HostId, Source};
use futures_util::stream::{self, StreamExt as _};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::support::{DEADLINE, Host, Hub};
use line::{Exchange, Line, Taps};
use random::Random;
use trick::{Expect, PLACES, Plan, TRICKS, Trick};

/// How often each trick is played at each place over real sockets.
const TIMES: u64 = 3;
/// Hosts that are attacked at one time.
const AT_ONCE: usize = 8;
/// `BURIN_PROXY_SEED` tells another one.
const SEED: u64 = 20_261_121;

/// A hub, the way to it through proxies, and what was caught of two hosts.
pub(crate) struct Site {
    hub: Hub,
    taps: Arc<Taps>,
    settings: HubSettings,
    caught: Vec<Exchange>,
    root: RootDocument,
    seed: u64,
}

impl Site {
    async fn open() -> Self {
        let hub = Hub::start();
        let taps = Taps::before(&hub);
        let made = hub.client(&["token", "create", "--uses", "5000"]);
        let token = Token::parse(made["token"].as_str().unwrap()).unwrap();
        let settings = HubSettings {
            token: Some(Hidden(Arc::new(token))),
            ca: vec![taps.ca.clone()],
            ..hub.settings(None)
        };
        let seed = std::env::var("BURIN_PROXY_SEED");
        let seed = seed.map_or(SEED, |it| it.parse().unwrap());
        let mut site = Self {
            hub,
            taps,
            settings,
            caught: Vec::new(),
            root: serde_json::from_value(json!(
                { "version": 0, "hub_id": "", "root": [], "online": [] }
            ))
            .unwrap(),
            seed,
        };
        // At the place where a host says everything that there is.
        let (identity, host, line, _) = site.boot("a", Trick::Nothing, PLACES[5], 0).await;
        drop(synced(host).await);
        site.caught = line.wire.seen();
        site.root = identity.registration().root.unwrap();
        // What the hub says to a message that was used up.
        let used = site.caught.iter().find(|it| it.name == "enroll").unwrap();
        let again = used.request.clone();
        let (status, answer) = site.taps.post("enroll", again.clone()).await.unwrap();
        assert_eq!(status, 403);
        site.caught.push(Exchange {
            name: "refused".to_owned(),
            request: again,
            status,
            answer,
        });
        site
    }

    /// A new host behind a proxy of its own, with who it is and what shows it another route.
    async fn boot(
        &self,
        name: &str,
        trick: Trick,
        place: (&'static str, usize),
        seed: u64,
    ) -> (Identity, Host, Line, watch::Sender<BTreeSet<String>>) {
        let root = tempfile::tempdir().unwrap();
        let identity = match place.0 {
            "rekey" => before_its_change(root.path()),
            _ => Identity::make("").unwrap(),
        };
        let plan = Plan {
            trick,
            place,
            caught: self.caught.clone(),
            seed,
        };
        let line = Line::open(&self.taps, plan, &identity).await;
        let settings = HubSettings {
            url: line.url.clone(),
            ..self.settings.clone()
        };
        let (network, ways) = watch::channel([String::from("lo")].into());
        let host_id = id_of(name);
        let host = Host::start_as(root, settings, &identity, &host_id, ways);
        (identity, host, line, network)
    }
}

/// Of a host that died once its next key was on its disk: it shows that to the hub before it opens a
/// session.
fn before_its_change(root: &Path) -> Identity {
    let paths = Paths::under(root);
    std::fs::create_dir_all(&paths.system).unwrap();
    Identity::make("").unwrap().keep(&paths).unwrap();
    let next = Identity::make("").unwrap().pkcs8();
    std::fs::write(paths.next_identity_key(), next).unwrap();
    Identity::find(&paths).unwrap().unwrap()
}

fn id_of(name: &str) -> String {
    HostId::derive(Source::Random, name).to_string()
}

async fn synced(mut host: Host) -> Host {
    host.until("synced", |word| word.syncs > 0).await;
    host
}

/// Waits until the host says that an attempt failed, or has synced: whether it failed.
async fn noticed(host: &mut Host) -> bool {
    let mut changes = host.events.changes();
    let events = host.events.clone();
    let failed = async move {
        while !events
            .after(0, usize::MAX)
            .iter()
            .any(|event| event.kind == EventKind::Retrying)
        {
            changes.changed().await.unwrap();
        }
    };
    let either = async {
        tokio::select! {
            biased;
            () = failed => true,
            _ = host.word.wait_for(|word| word.syncs > 0) => false,
        }
    };
    timeout(DEADLINE, either).await.unwrap()
}

/// One host, one trick; the host's ID, and its name and its key at the hub.
async fn round(site: &Site, number: usize, seed: u64) -> (String, (String, String)) {
    let at = number % (PLACES.len() * TRICKS.len());
    let (place, (trick, expect)) = (PLACES[at / TRICKS.len()], TRICKS[at % TRICKS.len()]);
    let what = format!("{trick:?} at {place:?}, seed {seed}");
    let name = format!("r{number}");
    let (identity, mut host, mut line, network) = site.boot(&name, trick, place, seed).await;
    let key = identity.thumbprint();
    let before = line.struck().await;
    let saw = noticed(&mut host).await;
    assert_eq!(saw, expect == Expect::Notice, "{what}");
    if saw {
        let mut after = identity.registration();
        // The proxy made the hub refuse a signature: the host asks whether it is known still.
        if place.0 == "session" && after.host_uid.is_none() {
            after.host_uid.clone_from(&before.host_uid);
        }
        assert_eq!(
            (after, identity.thumbprint()),
            (before, key.clone()),
            "{what}"
        );
        let word = host.word.borrow().clone();
        assert_eq!(
            (word.syncs, word.etag, word.desired),
            (0, None, None),
            "{what}"
        );
        network.send_replace([String::from("lo"), String::from("eth0")].into());
    }
    let mut host = synced(host).await;
    if place.0 == "rekey" {
        host.until_key_is_not(&identity, &key).await;
    }
    assert_eq!(host.hub_state("").await, "", "{what}");
    let known = identity.registration();
    assert_eq!(known.root.as_ref(), Some(&site.root), "{what}");
    let now = burin::machine::clock::Clock::now(&burin::machine::clock::Kernel);
    assert!(known.confirmed_time <= now, "{what}");
    assert_eq!(host.clock.sets.load(Ordering::SeqCst), 0, "{what}");
    let key = KeyLabel::of(&identity.thumbprint()).unwrap();
    (id_of(&name), (known.host_uid.unwrap(), key.to_string()))
}

/// Plays every trick that fits at every place; returns how many.
async fn rounds(site: &Site, random: &mut Random) -> usize {
    let all = PLACES.len() * TRICKS.len();
    let fits = |number: &usize| {
        let at = number % all;
        TRICKS[at % TRICKS.len()]
            .0
            .fits(PLACES[at / TRICKS.len()].0)
    };
    let times = usize::try_from(TIMES).unwrap();
    let numbers: Vec<(usize, u64)> = (0..all * times)
        .filter(fits)
        .map(|number| (number, random.next()))
        .collect();
    let hosts: BTreeMap<String, (String, String)> = stream::iter(&numbers)
        .map(|(number, seed)| round(site, *number, *seed))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    // Nothing is in the hub but those hosts, each under the name that it knows and with the key it has.
    let listed = site.hub.client(&["host", "list"]);
    let listed = listed.as_array().unwrap();
    assert_eq!(hosts.len(), numbers.len());
    assert_eq!(listed.len(), hosts.len() + 1);
    for host in listed {
        let id = host["host_id"].as_str().unwrap();
        assert_eq!(host["state"], "accepted", "{host}");
        if id != id_of("a") {
            let (uid, key) = &hosts[id];
            assert_eq!(
                (&host["uid"], &host["key"]),
                (&json!(uid), &json!(key)),
                "{host}"
            );
        }
    }
    let tokens = site.hub.client(&["token", "list"]);
    assert_eq!(tokens[0]["used"], listed.len(), "{tokens}");
    numbers.len()
}

#[tokio::test]
async fn ten_thousand_tricks_of_a_proxy_that_opens_tls_win_nothing() {
    let site = Site::open().await;
    let mut random = Random::new(site.seed);
    let hosts = rounds(&site, &mut random).await;
    let answers = bulk::answers(&site, &mut random);
    let requests = bulk::requests(&site, &mut random).await;
    let all = hosts + answers + requests;
    println!(
        "seed {}: {hosts} hosts attacked, {answers} answers and {requests} requests changed",
        site.seed
    );
    assert!(all >= 10_000 && hosts >= 500, "{all}");
}
