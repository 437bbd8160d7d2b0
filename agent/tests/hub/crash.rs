//! A host's process that is killed before its writes to the disk, by `strace`, and started again: it
//! needs nobody, is one row of the hub, and takes one use of its token. Each run takes other writes;
//! the ignored tests take every one. `boot` does the same with what the next start boots.

mod boot;

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use burin::context::{Hidden, Paths};
use burin::hub::{HubSettings, Identity};
use burin::machine::clock::{Clock as _, Kernel};
use burin::record::Keeper;
use burin_api::message::KeyStore;
use burin_api::token::Token;
use burin_core::record::Record;
use serde_json::{Value, json};

use crate::support::{Disk, Host, Hub};

/// What the process of a host is told, as JSON.
const TOLD: &str = "BURIN_TEST_HOST";
/// A file is written beside its place, synced, renamed, and its folder synced; one that is given up is
/// unlinked. `strace` counts for each call and thread; all these are made by one thread.
const CALLS: [&str; 3] = ["rename", "unlink", "fsync"];
/// More calls of one kind than a host makes until it is where it shall be.
const MOST_WRITES: u32 = 60;
/// Each kill costs two lives of a host: not every write is tried in one run.
const STEP: u32 = 4;

/// When a life ends.
#[derive(Debug, Clone, Copy)]
struct Kill {
    call: &'static str,
    /// Before which of these calls, from 1.
    at: u32,
}

/// Tries every `step`th call of each kind, from one that is drawn, until `survives` says that a host
/// makes no more. How many were tried.
async fn sweep(step: u32, mut survives: impl AsyncFnMut(Kill) -> bool) -> u32 {
    let first = 1 + u32::try_from(Kernel.now() % u64::from(step)).unwrap();
    let mut kills = 0;
    for call in CALLS {
        let mut at = first;
        while survives(Kill { call, at }).await {
            kills += 1;
            at += step;
            assert!(at < MOST_WRITES, "{call}: {at} times and not done");
        }
    }
    println!("killed {kills} times, at every {step}th write from the {first}th on");
    kills
}

/// Runs one of the ignored tests in a process of its own, until it ends or is killed.
fn live(test: &str, told: &Value, killed: Option<Kill>) -> ExitStatus {
    let program = std::env::current_exe().unwrap();
    let mut command = match killed {
        None => Command::new(program),
        Some(Kill { call, at }) => {
            let mut strace = Command::new("strace");
            let inject = format!("inject={call}:signal=SIGKILL:when={at}");
            let trace = format!("trace={call}");
            strace.args(["-f", "-qq", "-o", "/dev/null"]);
            strace.args(["-e", trace.as_str(), "-e", inject.as_str()]);
            strace.arg(program);
            strace
        }
    };
    command
        .args(["--ignored", "--exact", test])
        .env(TOLD, told.to_string())
        .stdout(Stdio::null())
        .status()
        .unwrap()
}

/// One life of a host, in a process of its own: it goes on from what its disk holds.
#[tokio::test]
#[ignore = "the tests below run it in a process of its own"]
async fn a_host_process() {
    // In a run of all tests, the ignored ones too, nobody tells it anything.
    let Ok(told) = std::env::var(TOLD) else {
        return;
    };
    let told: Value = serde_json::from_str(&told).unwrap();
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    let token = text("token");
    let settings = HubSettings {
        url: text("url"),
        root: Some(text("pin")),
        root_version: 0,
        ca: vec![text("ca")],
        token: Token::parse(&token).ok().map(|it| Hidden(Arc::new(it))),
        proxy: None,
    };
    let root = text("root");
    let paths = Paths::under(Path::new(&root));
    let user_data = format!("#cloud-config\nburin:\n  token: {token}\n");
    let found = Identity::find(&paths).unwrap();
    let identity = found.unwrap_or_else(|| Identity::make(&user_data).unwrap());
    let mut host = Host::on(Path::new(&root), settings, &identity, &text("boot"));
    host.until("accepted", |word| word.accepted).await;
    // As the installer does once its disk is ready.
    if identity.store() == KeyStore::Ram {
        if Keeper::find(&paths).unwrap().is_none() {
            Keeper::begin(&paths, "installation").unwrap();
        }
        identity.keep(&paths).unwrap();
    }
    host.until("synced", |word| word.syncs > 0).await;
    let root = told["root_version"].as_u64().unwrap();
    let version = || identity.registration().root.map(|root| root.version);
    assert!(version().is_some_and(|version| u64::from(version) >= root));
    let old = text("old_key");
    if !old.is_empty() {
        host.until_key_is_not(&identity, &old).await;
        let syncs = host.word.borrow().syncs;
        host.until("synced with its new key", |word| word.syncs > syncs)
            .await;
    }
}

/// What a host lives with.
struct Life<'a> {
    hub: &'a HubSettings,
    token: &'a str,
    old_key: &'a str,
    /// The newest root document.
    root_version: u32,
    root: &'a Path,
}

impl Life<'_> {
    /// Lives until the host is where it shall be, or until it is killed.
    fn live(&self, boot: &str, killed: Option<Kill>) -> ExitStatus {
        let told = json!({
            "url": self.hub.url, "pin": self.hub.root, "ca": self.hub.ca[0],
            "token": self.token, "root": self.root, "boot": boot, "old_key": self.old_key,
            "root_version": self.root_version,
        });
        live("crash::a_host_process", &told, killed)
    }

    /// Is killed at a write, then lives on. False when there were fewer writes than that.
    fn survives(&self, killed: Kill) -> bool {
        tokio::task::block_in_place(|| {
            let Kill { call, at } = killed;
            if self.live(&format!("1-{call}-{at}"), Some(killed)).success() {
                return false;
            }
            let again = self.live(&format!("2-{call}-{at}"), None);
            assert!(again.success(), "{killed:?}: it did not come back");
            true
        })
    }
}

/// The one host of the hub that is not retired.
fn only_host(hub: &Hub) -> Value {
    let listed = hub.client(&["host", "list"]);
    let hosts = listed.as_array().unwrap().iter();
    let live: Vec<&Value> = hosts.filter(|host| host["state"] != "retired").collect();
    assert_eq!(live.len(), 1, "{listed}");
    assert_eq!(live[0]["state"], "accepted");
    live[0].clone()
}

fn holds(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        String::from_utf8_lossy(&bytes).contains(text)
    })
}

/// A hub at which a machine that lost its key in RAM may come with another after a second.
fn hub() -> Hub {
    let folder = tempfile::tempdir().unwrap();
    Hub::at(folder, "127.0.0.1:0", &["--replace-after", "1s"])
}

async fn registers(step: u32) -> u32 {
    let hub = hub();
    let settings = hub.settings(None);
    sweep(step, async |kill| {
        let token = hub.token();
        let disk = tempfile::tempdir().unwrap();
        let paths = Paths::under(disk.path());
        std::fs::create_dir_all(&paths.system).unwrap();
        let life = Life {
            hub: &settings,
            token: &token,
            old_key: "",
            root_version: 1,
            root: disk.path(),
        };
        let killed = life.survives(kill);
        let host = only_host(&hub);
        let tokens = hub.client(&["token", "list"]);
        let id = Token::parse(&token).unwrap().id().to_owned();
        let mut rows = tokens.as_array().unwrap().iter();
        let row = rows.find(|row| row["id"] == id.as_str()).unwrap();
        assert_eq!(row["used"], 1, "{kill:?}: {row}");
        let kept = Identity::find(&paths).unwrap().unwrap();
        let uid = host["uid"].as_str();
        assert_eq!(kept.registration().host_uid.as_deref(), uid, "{kill:?}");
        let record = Keeper::find(&paths).unwrap();
        assert_eq!(record, Some(Record::new("installation")), "{kill:?}");
        let seed = token.rsplit('-').next().unwrap();
        assert!(!holds(&paths.system, seed), "{kill:?}");
        hub.client(&["host", "retire", uid.unwrap()]);
        killed
    })
    .await
}

/// A host that was let in, and has two things to do after it was off: a key of its own to change, and
/// a newer root document to follow.
async fn changes_keys(step: u32) -> u32 {
    let mut hub = hub();
    let settings = hub.settings(None);
    let mut version = 1;
    sweep(step, async |kill| {
        let disk = Disk::joined(&hub).await;
        let uid = disk.identity().registration().host_uid.unwrap();
        let before = disk.identity().thumbprint();
        hub.client(&["host", "rekey", uid.as_str()]);
        hub.stop();
        hub.rotate(&hub.root_key(), &["--new-online-key", "--overlap", "0"]);
        hub.start_again();
        version += 1;
        let life = Life {
            hub: &settings,
            token: "",
            old_key: &before,
            root_version: version,
            root: disk.root(),
        };
        let killed = life.survives(kill);
        let host = only_host(&hub);
        let now = disk.identity().thumbprint();
        let label = burin_api::claim::KeyLabel::of(&now).unwrap();
        assert_ne!(now, before);
        assert_eq!(host["key"], label.to_string(), "{kill:?}");
        assert_eq!((&host["uid"], &host["rekey"]), (&json!(uid), &json!("")));
        let root = disk.identity().registration().root.unwrap();
        assert_eq!(root.version, version, "{kill:?}");
        assert!(!Paths::under(disk.root()).next_identity_key().exists());
        hub.client(&["host", "retire", uid.as_str()]);
        killed
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_at_a_write_of_its_registration_is_let_in_once() {
    let kills = registers(STEP).await;
    assert!(kills >= 3, "{kills}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_while_keys_change_goes_on_with_those_in_force() {
    let kills = changes_keys(STEP).await;
    assert!(kills >= 2, "{kills}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "some minutes: each write of a host's registration"]
async fn a_host_that_is_killed_at_any_write_of_its_registration_is_let_in_once() {
    // Record, user-data, registration and key: each is synced, renamed, and synced with its folder.
    let kills = registers(1).await;
    assert!(kills >= 12, "{kills}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "some minutes: each write of a host whose keys change"]
async fn a_host_that_is_killed_at_any_write_while_keys_change_goes_on_with_those_in_force() {
    // Root document and new key.
    let kills = changes_keys(1).await;
    assert!(kills >= 6, "{kills}");
}
