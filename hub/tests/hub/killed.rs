//! The hub's process, killed with `strace` before one of its writes to files, database or network, and
//! started again on the same data: a host that tries again needs nobody, is one row, and takes one use.
//! Each run takes other writes; the ignored tests take every one.

use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

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

use crate::commands::{program, program_killed_at, run, serve_by, try_to_serve};
use crate::support::{client, database};

/// What files and SQLite are written with, and what both the server of PostgreSQL and hosts are told
/// with. `strace` counts for each call and thread: [`with_one_worker`] has each made by one thread.
const CALLS: [&str; 4] = ["rename", "fsync", "pwrite64", "sendto"];
/// More calls of one kind than a thread of the hub makes.
const MOST_WRITES: u32 = 1_000;
/// Each is a kill, a start and a whole life of a host: not every write is tried in one run.
const STEP: u32 = 10;
/// The same for first starts, which write all tables.
const STEP_OF_STARTS: u32 = 50;
/// How often a host tries one thing; the hub dies once.
const TRIES: u32 = 4;

/// When the hub ends.
#[derive(Debug, Clone, Copy)]
struct Kill {
    call: &'static str,
    /// Before which of these calls of a thread, from 1.
    at: u32,
}

/// Tries every `step`th call of each kind, from one that is drawn, until `survives` says that there are
/// no more. How many were tried.
async fn sweep(step: u32, mut survives: impl AsyncFnMut(Kill) -> bool) -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let first = 1 + now.subsec_millis() % step;
    let mut kills = 0;
    for call in CALLS {
        let mut at = first;
        while survives(Kill { call, at }).await {
            kills += 1;
            at += step;
            assert!(at < MOST_WRITES, "{call}: {at} times and not done");
        }
        println!("{call}: none after {at}, every {step}th from the {first}th on");
    }
    println!("killed {kills} times");
    kills
}

/// All tasks of the hub in one thread, beside the one of SQLite's only writer.
fn with_one_worker(mut hub: Command) -> Command {
    hub.env("TOKIO_WORKER_THREADS", "1");
    hub
}

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
        let (child, ready) = serve_by(with_one_worker(program()), folder.path()).await;
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
        let (child, ready) = serve_by(with_one_worker(program()), self.folder.path()).await;
        self.child = child;
        self.url = ready["url"].as_str().unwrap().to_owned();
    }

    /// Has it killed, counting from now on.
    async fn kill_at(&self, Kill { call, at }: Kill) -> Child {
        let mut strace = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:signal=SIGKILL:when={at}")])
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
async fn survives(hub: &mut Mortal, kill: Kill) -> bool {
    let made = hub.command(&["token", "create"]).await;
    let token = Token::parse(made["token"].as_str().unwrap()).unwrap();
    let Kill { call, at } = kill;
    let (serial, boot) = (format!("S-{call}-{at}"), format!("b-{call}-{at}"));
    let machine = || {
        let mut host = FakeHost::new(&serial, &boot).unwrap();
        host.key_store = KeyStore::File;
        host
    };
    let (mut host, mut new) = (machine(), machine());
    let deaths = hub.deaths;
    let strace = hub.kill_at(kill).await;
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
    assert_eq!(rows.len(), 1, "{kill:?}: {hosts}");
    assert_eq!(
        (&rows[0]["uid"], &rows[0]["state"]),
        (&uid.as_str().into(), &"accepted".into())
    );
    let tokens = hub.command(&["token", "list"]).await;
    let mut tokens = tokens.as_array().unwrap().iter();
    let used = tokens.find(|row| row["id"] == token.id()).unwrap();
    assert_eq!(used["used"], 1, "{kill:?}");
    let events = hub
        .command(&["event", "list", "--host", &uid])
        .await
        .to_string();
    assert_eq!(
        events.matches("the one event of").count(),
        1,
        "{kill:?}: {events}"
    );
    true
}

async fn lives(step: u32) -> u32 {
    let mut hub = Mortal::start().await;
    let kills = sweep(step, async |kill| survives(&mut hub, kill).await).await;
    let audit = hub.command(&["audit", "verify"]).await;
    assert!(audit["whole"] == true, "{audit}");
    kills
}

/// A hub that is killed in its first start comes up in the next, and can be worked with. Here two
/// threads sync, the one of the keys and the one of the tables: the first to come to the count is killed.
async fn starts(kill: Kill) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let dying = with_one_worker(program_killed_at(kill.call, kill.at));
    let (child, ready) = try_to_serve(dying, data).await;
    if ready.is_some() {
        return false;
    }
    // Gone, with what held the folder.
    assert!(!child.wait_with_output().await.unwrap().status.success());
    let (_child, ready) = serve_by(program(), data).await;
    let made = run(data, &["token", "create"]).await;
    let error = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{kill:?}: {error}");
    let root = run(data, &["root", "show"]).await;
    assert!(root.status.success(), "{kill:?}");
    if ready["admin_password"].is_null() {
        // It was made and not told.
        let reset = run(data, &["person", "reset", "admin"]).await;
        assert!(reset.status.success(), "{kill:?}");
    }
    assert_eq!(ready["unprotected"], true, "{kill:?}");
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_killed_at_a_write_leaves_one_row_and_one_use() {
    let kills = lives(STEP).await;
    assert!(kills >= 3, "{kills}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_killed_in_its_first_start_starts_again() {
    let kills = sweep(STEP_OF_STARTS, starts).await;
    // On PostgreSQL few files are written, and most of what is said to the server is at once.
    let least = if database::is_postgres() { 1 } else { 5 };
    assert!(kills >= least, "{kills}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "some minutes: each write of a hub for one host"]
async fn a_hub_that_is_killed_at_any_write_leaves_one_row_and_one_use() {
    let kills = lives(1).await;
    assert!(kills >= 30, "{kills}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "some minutes: each write of a first start"]
async fn a_hub_that_is_killed_at_any_write_of_its_first_start_starts_again() {
    let kills = sweep(1, starts).await;
    assert!(kills >= 30, "{kills}");
}
