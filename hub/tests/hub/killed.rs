//! The hub's process, killed with `strace` before one of its writes to database or network, and started
//! again on the same data: a host that tries again needs nobody, is one row, and takes one use.

use std::process::Stdio;

use burin_api::dsse::{Envelope, Payload};
use burin_api::event::{Event, EventKind};
use burin_api::message::{
    EnrollAnswer, KeyStore, Phase, Refusal, Rekey, RekeyAnswer, SessionAnswer, SyncAnswer,
};
use burin_api::token::Token;
use burin_fake_host::FakeHost;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::commands::{run, serve};
use crate::support::client;

/// What SQLite writes with, and what both the server of PostgreSQL and hosts are told with.
const WRITES: &str = "pwrite64,fdatasync,sendto,sendmsg,writev";
/// Far more than a thread of the hub writes for one host.
const MOST_WRITES: u32 = 400;
/// Each is a kill, a start and a whole life of a host: not every write is tried in one run.
const STEP: usize = 5;
/// How often a host tries one thing; the hub dies once.
const TRIES: u32 = 4;

/// A hub that is started again whenever it is gone.
struct Mortal {
    folder: tempfile::TempDir,
    child: Child,
    url: String,
    http: reqwest::Client,
    /// What a host pins.
    pin: String,
    deaths: u32,
}

impl Mortal {
    async fn start() -> Self {
        // A test of the same process may have installed it already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let (child, ready) = serve(folder.path()).await;
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        Self {
            url: text("url"),
            http: client(text("ca").as_ref(), None),
            pin: text("root"),
            folder,
            child,
            deaths: 0,
        }
    }

    /// Waits for the end of a process that does not answer, and starts the next one.
    async fn revive(&mut self) {
        let ended = self.child.wait().await.unwrap();
        assert!(!ended.success(), "it ended by itself: {ended}");
        self.deaths += 1;
        let (child, ready) = serve(self.folder.path()).await;
        self.child = child;
        self.url = ready["url"].as_str().unwrap().to_owned();
    }

    /// Has it killed at the `at`th write of any of its threads from now on.
    async fn kill_at(&self, at: u32) -> Child {
        let mut strace = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", &format!("trace={WRITES}")])
            .args(["-e", &format!("inject={WRITES}:signal=SIGKILL:when={at}")])
            .args(["-p", &self.child.id().unwrap().to_string()])
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(strace.stderr.take().unwrap()).lines();
        let first = said.next_line().await.unwrap().unwrap();
        assert!(first.contains("attached"), "{first}");
        strace
    }

    async fn command(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(arguments);
        let done = run(self.folder.path(), &all).await;
        let error = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{arguments:?}: {error}");
        serde_json::from_slice(&done.stdout).unwrap()
    }

    /// Status and answer; none when the hub died before it had answered.
    async fn post(&self, message: &str, body: Vec<u8>) -> Option<(bool, Envelope)> {
        let url = format!("{}/h/1/{message}", self.url);
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json");
        let answer = request.body(body).send().await.ok()?;
        let good = answer.status().is_success();
        let bytes = answer.bytes().await.ok()?;
        Some((good, serde_json::from_slice(&bytes).unwrap()))
    }

    /// A nonce for the host, from a hub that lives.
    async fn nonce(&mut self, host: &mut FakeHost) -> String {
        for _ in 0..TRIES {
            let hello = serde_json::to_vec(&host.hello()).unwrap();
            if let Some((_, answer)) = self.post("hello", hello).await {
                if !host.knows_a_hub() {
                    host.learn(&answer, &self.pin).unwrap();
                }
                return host.nonce(&answer).unwrap();
            }
            self.revive().await;
        }
        panic!("no answer to hello");
    }

    /// Asks with a fresh nonce until there is an answer.
    async fn ask<T: Payload>(
        &mut self,
        host: &mut FakeHost,
        message: &str,
        envelope: impl Fn(&mut FakeHost, String) -> Envelope,
    ) -> Result<T, Refusal> {
        for _ in 0..TRIES {
            let nonce = self.nonce(host).await;
            let envelope = envelope(host, nonce);
            let body = serde_json::to_vec(&envelope).unwrap();
            if let Some((good, answer)) = self.post(message, body).await {
                return host.read(&envelope, good, &answer).unwrap();
            }
            self.revive().await;
        }
        panic!("no answer to {message}");
    }
}

fn event(boot: &str) -> Event {
    Event {
        id: format!("{boot}-1"),
        sequence: 1,
        boot_id: boot.to_owned(),
        monotonic: 1,
        time: 0,
        operation: String::new(),
        step: String::new(),
        kind: EventKind::Note,
        message: format!("the one event of {boot}"),
        causes: Vec::new(),
    }
}

async fn enroll(hub: &mut Mortal, host: &mut FakeHost, token: &Token) -> String {
    let asked = hub.ask(host, "enroll", |host, nonce| {
        let body = host.enroll_body(nonce, Some(token));
        host.seal_enroll(&body, Some(token)).unwrap()
    });
    match asked.await.unwrap() {
        EnrollAnswer::Accepted { host_uid } => host_uid,
        other => panic!("{other:?}"),
    }
}

async fn open(hub: &mut Mortal, host: &mut FakeHost, uid: &str) {
    let opened = hub.ask(host, "session", |host, nonce| {
        host.seal_session(nonce, uid).unwrap()
    });
    let opened: SessionAnswer = opened.await.unwrap();
    host.begin(&opened);
}

/// Reports the event; when it was not told whether that arrived, in another session.
async fn report(hub: &mut Mortal, host: &mut FakeHost, uid: &str) {
    open(hub, host, uid).await;
    for _ in 0..TRIES {
        let mut body = host.sync_body(Phase::Running);
        body.events = vec![event(&host.boot_id)];
        let envelope = host.seal_sync(&body).unwrap();
        match hub
            .post("sync", serde_json::to_vec(&envelope).unwrap())
            .await
        {
            Some((good, answer)) => {
                let answer = host.read::<SyncAnswer>(&envelope, good, &answer).unwrap();
                assert_eq!(answer.unwrap().events_stored, Some(1));
                return;
            }
            None => {
                hub.revive().await;
                open(hub, host, uid).await;
            }
        }
    }
    panic!("no answer to sync");
}

async fn rekey(hub: &mut Mortal, old: &mut FakeHost, new: &FakeHost, uid: &str) {
    let asked = hub.ask(old, "rekey", |old, nonce| {
        let body = Rekey {
            nonce,
            host_uid: uid.to_owned(),
            public_key: new.public_key(),
            reason: "asked".to_owned(),
        };
        let both = |message: &[u8]| Ok([old.sign(message)?, new.sign(message)?].to_vec());
        Envelope::seal::<_, anyhow::Error>(&body, both).unwrap()
    });
    let answer: RekeyAnswer = asked.await.unwrap();
    assert_eq!(answer.thumbprint, new.public_key().thumbprint().unwrap());
}

/// A whole life of a host, with the hub killed at one of its writes. False when it wrote less.
async fn survives(hub: &mut Mortal, at: u32) -> bool {
    let made = hub.command(&["token", "create"]).await;
    let token = Token::parse(made["token"].as_str().unwrap()).unwrap();
    let (serial, boot) = (format!("S{at}"), format!("b{at}"));
    let machine = || {
        let mut host = FakeHost::new(&serial, &boot).unwrap();
        host.key_store = KeyStore::File;
        host
    };
    let (mut host, mut new) = (machine(), machine());
    let deaths = hub.deaths;
    let strace = hub.kill_at(at).await;
    let uid = enroll(hub, &mut host, &token).await;
    report(hub, &mut host, &uid).await;
    rekey(hub, &mut host, &new, &uid).await;
    new.trust_as(&host);
    open(hub, &mut new, &uid).await;
    drop(strace);
    if hub.deaths == deaths {
        return false;
    }

    let hosts = hub.command(&["host", "list"]).await;
    let rows = hosts.as_array().unwrap().iter();
    let rows: Vec<_> = rows
        .filter(|row| row["host_id"] == host.host_id.as_str())
        .collect();
    assert_eq!(rows.len(), 1, "killed at write {at}: {hosts}");
    assert_eq!(
        (&rows[0]["uid"], &rows[0]["state"]),
        (&uid.as_str().into(), &"accepted".into())
    );
    let tokens = hub.command(&["token", "list"]).await;
    let mut tokens = tokens.as_array().unwrap().iter();
    let used = tokens.find(|row| row["id"] == token.id()).unwrap();
    assert_eq!(used["used"], 1, "killed at write {at}");
    let events = hub
        .command(&["event", "list", "--host", &uid])
        .await
        .to_string();
    assert_eq!(
        events.matches("the one event of").count(),
        1,
        "killed at write {at}: {events}"
    );
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_killed_at_any_write_leaves_one_row_and_one_use() {
    let mut hub = Mortal::start().await;
    for (kills, at) in (1..MOST_WRITES).step_by(STEP).enumerate() {
        if !survives(&mut hub, at).await {
            assert!(
                kills >= 3,
                "a hub writes more often than {at} times for a host"
            );
            let audit = hub.command(&["audit", "verify"]).await;
            assert!(audit["whole"] == true, "{audit}");
            return;
        }
    }
    panic!("a hub writes {MOST_WRITES} times and is not done with one host");
}
