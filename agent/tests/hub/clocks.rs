//! A host whose clock shows anything, against a real hub over TLS, and against one that lies.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use burin::hub::{HubSettings, Identity};
use burin::machine::clock::{Clock as _, Kernel};
use burin_api::dsse::{Envelope, Payload as _};
use burin_api::message::{Hello, HelloAnswer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{BUILT, Host, Hub, TestClock};

const DAY: u64 = 24 * 3600 * 1000;
const YEAR: u64 = 365 * DAY;
/// 2000-01-01, 2038-01-19 (the end of 32 bits) and 2106-02-07 (their end without a sign).
const Y2000: u64 = 946_684_800_000;
const Y2038: u64 = 2_147_483_648_000;
const Y2106: u64 = 4_294_967_296_000;

fn start_at(settings: HubSettings, millis: u64) -> (Host, Identity) {
    let (_, ways) = tokio::sync::watch::channel([String::from("lo")].into());
    let identity = Identity::make("").unwrap();
    let clock = TestClock::at(millis);
    let host = Host::start_with(settings, &identity, "boot-1", ways, clock);
    (host, identity)
}

#[tokio::test]
async fn a_host_comes_online_with_any_clock_and_has_the_hubs_time_then() {
    for (name, millis) in [
        ("1970", 0),
        ("2000", Y2000),
        ("the build - 1 d", BUILT - DAY),
        ("the build + 1 d", BUILT + DAY),
        ("tomorrow", Kernel.now() + DAY),
        ("2038-01-19", Y2038),
        ("in ten years", Kernel.now() + 10 * YEAR),
        ("2106", Y2106),
    ] {
        let hub = Hub::start();
        let (mut host, identity) = start_at(hub.settings(Some(&hub.token())), millis);
        host.until(&format!("online from {name}"), |word| word.syncs > 0)
            .await;
        let wrong = host.clock.now().abs_diff(Kernel.now());
        assert!(wrong < 60_000, "{name}: the clock is wrong by {wrong} ms");
        let floor = identity.registration().confirmed_time;
        assert!(floor.abs_diff(Kernel.now()) < 60_000, "{name}: {floor}");
        assert_eq!(host.clock.sets.load(Ordering::SeqCst), 1, "{name}");
    }
}

#[tokio::test]
async fn a_host_that_knows_no_root_never_waives_dates() {
    let hub = Hub::start();
    let unpinned = HubSettings {
        root: None,
        ..hub.settings(Some(&hub.token()))
    };
    let (mut host, identity) = start_at(unpinned, 0);
    host.hub_state("not valid at this host's time").await;
    assert_eq!(host.clock.sets.load(Ordering::SeqCst), 0);
    assert_eq!(identity.registration().root, None);
}

#[tokio::test]
async fn dates_are_all_that_is_waived() {
    let (hub, other) = (Hub::start(), Hub::start());
    let good = hub.settings(Some(&hub.token()));
    let foreign = HubSettings {
        ca: other.settings(None).ca,
        ..good.clone()
    };
    let (mut host, _) = start_at(foreign, 0);
    host.hub_state("signed by nobody this host trusts").await;
    assert_eq!(host.clock.sets.load(Ordering::SeqCst), 0);

    let elsewhere = impostor(hub.data.path(), "127.0.0.2", Lie::Unsigned, &good).await;
    let (mut host, _) = start_at(elsewhere, 0);
    host.hub_state("is for another name").await;
    assert_eq!(host.clock.sets.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_hello_that_the_hub_did_not_sign_for_this_host_sets_no_clock() {
    let hub = Hub::start();
    let good = hub.settings(Some(&hub.token()));
    for (lie, said) in [
        (Lie::Unsigned, "not signed as it must be"),
        (Lie::OtherTime, "not signed as it must be"),
        (Lie::OldAnswer, "an answer to another hello"),
    ] {
        let settings = impostor(hub.data.path(), "127.0.0.1", lie, &good).await;
        let (mut host, _) = start_at(settings, 0);
        host.hub_state(said).await;
        assert_eq!(host.clock.sets.load(Ordering::SeqCst), 0, "{lie:?}");
        assert!(host.clock.now() < DAY, "{lie:?}");
    }
}

/// What somebody answers to a hello who has the hub's certificate and nothing else of it.
#[derive(Debug, Clone, Copy)]
enum Lie {
    /// The hub's own words, with nobody's signature.
    Unsigned,
    /// The hub's signature over another time.
    OtherTime,
    /// What the hub once said to somebody else.
    OldAnswer,
}

impl Lie {
    fn told(self, truth: &Envelope) -> Envelope {
        let mut lie = truth.clone();
        match self {
            Self::Unsigned => lie.signatures.clear(),
            Self::OtherTime => {
                let mut answer: HelloAnswer = truth.peek().unwrap();
                answer.time += 5 * YEAR;
                lie = Envelope::seal::<_, serde_json::Error>(&answer, |_| Ok(Vec::new())).unwrap();
                lie.signatures.clone_from(&truth.signatures);
            }
            Self::OldAnswer => {}
        }
        lie
    }
}

/// A server at `address` with the hub's certificate that lies to everybody who says hello, and how a
/// host comes to call it.
async fn impostor(data: &Path, address: &str, lie: Lie, good: &HubSettings) -> HubSettings {
    let lie = serde_json::to_vec(&lie.told(&hello(good).await)).unwrap();
    let door = TcpListener::bind((address, 0)).unwrap();
    let url = format!("https://{}", door.local_addr().unwrap());
    let config = Arc::new(certificate(data));
    std::thread::spawn(move || {
        for stream in door.incoming() {
            let mut tls = StreamOwned::new(
                ServerConnection::new(config.clone()).unwrap(),
                stream.unwrap(),
            );
            // Who does not like the certificate hangs up.
            drop(answer(&mut tls, &lie));
        }
    });
    HubSettings {
        url,
        ..good.clone()
    }
}

/// An answer of the real hub.
async fn hello(settings: &HubSettings) -> Envelope {
    let ca = reqwest::Certificate::from_pem(settings.ca[0].as_bytes()).unwrap();
    drop(rustls::crypto::ring::default_provider().install_default());
    let http = reqwest::Client::builder().tls_certs_only([ca]).no_proxy();
    let hello = Hello {
        host_nonce: "ab".repeat(32),
        protocols: vec![1],
        root_version: 0,
    };
    let request = http.build().unwrap();
    let request = request.post(format!("{}/h/1/hello", settings.url));
    let answer = request.json(&hello).send().await.unwrap();
    let envelope: Envelope = answer.json().await.unwrap();
    assert_eq!(envelope.payload_type, HelloAnswer::TYPE);
    envelope
}

fn certificate(data: &Path) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(data.join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(data.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap()
}

fn answer(
    tls: &mut StreamOwned<ServerConnection, std::net::TcpStream>,
    body: &[u8],
) -> std::io::Result<()> {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    // A hello is one JSON object without another inside: it ends with the brace.
    while !seen.ends_with(b"}") {
        let read = tls.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        seen.extend_from_slice(&piece[..read]);
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    tls.write_all(head.as_bytes())?;
    tls.write_all(body)?;
    tls.flush()
}
