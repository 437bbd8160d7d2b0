//! A host's process that is killed before each of its writes to the disk, by `strace`, and started
//! again: it needs nobody, is one row of the hub, and takes one use of its token.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use burin::context::{Hidden, Paths};
use burin::hub::{HubSettings, Identity};
use burin::record::Keeper;
use burin_api::message::KeyStore;
use burin_api::token::Token;
use burin_core::record::Record;
use serde_json::{Value, json};

use crate::support::{Disk, Host, Hub};

/// What the process of a host is told, as JSON.
const TOLD: &str = "BURIN_TEST_HOST";
/// Every file is replaced by a rename, and given up by an unlink.
const WRITES: &str = "rename,renameat,renameat2,unlink,unlinkat";
/// More than a host writes until it is where it shall be.
const MOST_WRITES: u32 = 40;

/// One life of a host, in a process of its own: it goes on from what its disk holds.
#[tokio::test]
#[ignore = "the tests below run it in a process of its own"]
async fn a_host_process() {
    let told: Value = serde_json::from_str(&std::env::var(TOLD).unwrap()).unwrap();
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
    root: &'a Path,
}

impl Life<'_> {
    /// Lives until the host is where it shall be, or until it is killed at its `killed_at`th write.
    fn live(&self, boot: &str, killed_at: Option<u32>) -> ExitStatus {
        let told = json!({
            "url": self.hub.url, "pin": self.hub.root, "ca": self.hub.ca[0],
            "token": self.token, "root": self.root, "boot": boot, "old_key": self.old_key,
        });
        let program = std::env::current_exe().unwrap();
        let mut command = match killed_at {
            None => Command::new(program),
            Some(at) => {
                let mut strace = Command::new("strace");
                let inject = format!("inject={WRITES}:signal=SIGKILL:when={at}");
                let trace = format!("trace={WRITES}");
                strace.args(["-f", "-qq", "-o", "/dev/null"]);
                strace.args(["-e", trace.as_str(), "-e", inject.as_str()]);
                strace.arg(program);
                strace
            }
        };
        command
            .args(["--ignored", "--exact", "crash::a_host_process"])
            .env(TOLD, told.to_string())
            .stdout(Stdio::null())
            .status()
            .unwrap()
    }

    /// Is killed at a write, then lives on. False when there were fewer writes than that.
    fn survives(&self, killed_at: u32) -> bool {
        if self
            .live(&format!("first-{killed_at}"), Some(killed_at))
            .success()
        {
            return false;
        }
        let again = self.live(&format!("second-{killed_at}"), None);
        assert!(
            again.success(),
            "killed at write {killed_at}, it did not come back"
        );
        true
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

#[test]
fn a_host_that_is_killed_at_any_write_of_its_registration_is_let_in_once() {
    let hub = hub();
    let settings = hub.settings(None);
    for at in 1..MOST_WRITES {
        let token = hub.token();
        let disk = tempfile::tempdir().unwrap();
        let paths = Paths::under(disk.path());
        std::fs::create_dir_all(&paths.system).unwrap();
        let life = Life {
            hub: &settings,
            token: &token,
            old_key: "",
            root: disk.path(),
        };
        let killed = life.survives(at);
        let host = only_host(&hub);
        let tokens = hub.client(&["token", "list"]);
        let id = Token::parse(&token).unwrap().id().to_owned();
        let mut rows = tokens.as_array().unwrap().iter();
        let row = rows.find(|row| row["id"] == id.as_str()).unwrap();
        assert_eq!(row["used"], 1, "killed at write {at}: {row}");
        let kept = Identity::find(&paths).unwrap().unwrap();
        assert_eq!(
            kept.registration().host_uid.as_deref(),
            host["uid"].as_str()
        );
        assert_eq!(
            Keeper::find(&paths).unwrap(),
            Some(Record::new("installation"))
        );
        let seed = token.rsplit('-').next().unwrap();
        assert!(!holds(&paths.system, seed), "killed at write {at}");
        if !killed {
            assert!(
                at > 4,
                "fewer writes than record, user-data, registration, key"
            );
            return;
        }
        hub.client(&["host", "retire", host["uid"].as_str().unwrap()]);
    }
    panic!("a host writes {MOST_WRITES} times and is not done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_at_any_write_of_its_rekey_goes_on_with_the_key_in_force() {
    let hub = hub();
    let settings = hub.settings(None);
    for at in 1..MOST_WRITES {
        let disk = Disk::joined(&hub).await;
        let uid = disk.identity().registration().host_uid.unwrap();
        let before = disk.identity().thumbprint();
        hub.client(&["host", "rekey", uid.as_str()]);
        let life = Life {
            hub: &settings,
            token: "",
            old_key: &before,
            root: disk.root(),
        };
        let killed = tokio::task::block_in_place(|| life.survives(at));
        let host = only_host(&hub);
        let now = disk.identity().thumbprint();
        let label = burin_api::claim::KeyLabel::of(&now).unwrap();
        assert_ne!(now, before);
        assert_eq!(host["key"], label.to_string(), "killed at write {at}");
        assert_eq!((&host["uid"], &host["rekey"]), (&json!(uid), &json!("")));
        assert!(!Paths::under(disk.root()).next_identity_key().exists());
        if !killed {
            assert!(at > 2, "fewer writes than the new key, and into its place");
            return;
        }
        hub.client(&["host", "retire", uid.as_str()]);
    }
    panic!("a host writes {MOST_WRITES} times and is not done");
}
