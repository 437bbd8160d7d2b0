//! A real hub, a host that does nothing but talk, and its clock.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use burin::context::{Hidden, Paths};
use burin::events::Events;
use burin::hub::{HubSettings, Identity, Introduction, Link, Report, Word};
use burin::machine::clock::{Clock, Kernel};
use burin::machine::route;
use burin_api::host::Evidence;
use burin_api::message::{KeyStore, Mode, Observed, Phase};
use burin_api::token::Token;
use burin_core::userdata;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::program::{program, serve};

/// Far above what anything here takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// When the agent of these tests was built: milliseconds since 1970.
pub(crate) const BUILT: u64 = 1_767_225_600_000;

/// A clock that goes as the machine's does, from where it is set.
#[derive(Debug)]
pub(crate) struct TestClock {
    /// Milliseconds before the machine's.
    ahead: AtomicI64,
    /// How often it was set.
    pub(crate) sets: AtomicU32,
}

impl TestClock {
    /// One that shows this now, milliseconds since 1970.
    pub(crate) fn at(millis: u64) -> Arc<Self> {
        let clock = Self::right();
        clock.turn(millis);
        clock
    }

    pub(crate) fn right() -> Arc<Self> {
        Arc::new(Self {
            ahead: AtomicI64::new(0),
            sets: AtomicU32::new(0),
        })
    }

    fn turn(&self, millis: u64) {
        let ahead = i64::try_from(millis).unwrap() - i64::try_from(Kernel.now()).unwrap();
        self.ahead.store(ahead, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> u64 {
        Kernel
            .now()
            .saturating_add_signed(self.ahead.load(Ordering::SeqCst))
    }

    fn set(&self, millis: u64) -> anyhow::Result<()> {
        self.turn(millis);
        self.sets.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// A running hub in a folder of its own.
pub(crate) struct Hub {
    pub(crate) data: tempfile::TempDir,
    child: Child,
    pub(crate) listen: String,
    /// Further ones of `serve`.
    arguments: Vec<String>,
}

impl Hub {
    pub(crate) fn start() -> Self {
        // A port that it finds again after a stop.
        let listen = format!("127.0.0.1:{}", burin_ports::free().unwrap());
        Self::at(tempfile::tempdir().unwrap(), &listen, &[])
    }

    /// A hub of this folder, with further arguments of `serve`.
    pub(crate) fn at(data: tempfile::TempDir, listen: &str, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&it| it.to_owned()).collect();
        let (child, listen) = serve(data.path(), listen, &arguments);
        Self {
            data,
            child,
            listen,
            arguments,
        }
    }

    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        let listen = self.listen.clone();
        (self.child, _) = serve(self.data.path(), &listen, &self.arguments);
    }

    pub(crate) fn client(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_slice(&run(self.data.path(), arguments)).unwrap()
    }

    /// Signs the next root document with the root key of the first start, or what followed it.
    pub(crate) fn rotate(&self, root_key: &Path, arguments: &[&str]) -> serde_json::Value {
        let key = root_key.to_str().unwrap();
        let mut all = vec!["root", "rotate", "--root-key", key];
        all.extend(arguments);
        self.client(&all)
    }

    /// Where the first start put the root key.
    pub(crate) fn root_key(&self) -> PathBuf {
        self.data.path().join("root-unprotected.key")
    }

    /// How a host reaches it, from the user-data that the hub itself hands out.
    pub(crate) fn settings(&self, token: Option<&str>) -> HubSettings {
        let printed = self.client(&["user-data"]);
        let data = userdata::parse(printed["user_data"].as_str().unwrap()).unwrap();
        let hub = data.hub.unwrap();
        HubSettings {
            url: hub.url,
            root: hub.root,
            root_version: hub.root_version,
            ca: hub.ca,
            token: token.map(|text| Hidden(Arc::new(Token::parse(text).unwrap()))),
            proxy: None,
        }
    }

    pub(crate) fn token(&self) -> String {
        let made = self.client(&["token", "create"]);
        made["token"].as_str().unwrap().to_owned()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a command on this folder prints.
pub(crate) fn run(data: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program())
        .args(["--json", "--data"])
        .arg(data)
        .args(arguments)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    output.stdout
}

/// Of every host that says nothing else.
const HOST_ID: &str = "K7QF-2M9X-0TRD-8HWN";

/// A host that does nothing but talk.
pub(crate) struct Host {
    /// Its files, unless they are the test's.
    _root: Option<tempfile::TempDir>,
    pub(crate) events: Events,
    pub(crate) report: watch::Sender<Report>,
    pub(crate) word: watch::Receiver<Word>,
    pub(crate) clock: Arc<TestClock>,
    task: JoinHandle<()>,
}

impl Host {
    pub(crate) fn start(settings: HubSettings, identity: &Identity, boot: &str) -> Self {
        let (_, ways) = watch::channel([String::from("lo")].into());
        Self::start_with(settings, identity, boot, ways, TestClock::right())
    }

    pub(crate) fn start_with(
        settings: HubSettings,
        identity: &Identity,
        boot: &str,
        ways: route::Ways,
        clock: Arc<TestClock>,
    ) -> Self {
        let root = tempfile::tempdir().unwrap();
        let names = (HOST_ID, boot);
        let mut host = Self::launch(root.path(), settings, identity, names, ways, clock);
        host._root = Some(root);
        host
    }

    /// Another machine than the others of this hub, with its files.
    pub(crate) fn start_as(
        root: tempfile::TempDir,
        settings: HubSettings,
        identity: &Identity,
        host_id: &str,
        ways: route::Ways,
    ) -> Self {
        let (clock, names) = (TestClock::right(), (host_id, "boot-1"));
        let mut host = Self::launch(root.path(), settings, identity, names, ways, clock);
        host._root = Some(root);
        host
    }

    /// With the files that the host has under `root`.
    pub(crate) fn on(root: &Path, settings: HubSettings, identity: &Identity, boot: &str) -> Self {
        let (_, ways) = watch::channel([String::from("lo")].into());
        let names = (HOST_ID, boot);
        Self::launch(root, settings, identity, names, ways, TestClock::right())
    }

    /// `names` are the host ID and the boot.
    fn launch(
        root: &Path,
        settings: HubSettings,
        identity: &Identity,
        (host_id, boot): (&str, &str),
        ways: route::Ways,
        clock: Arc<TestClock>,
    ) -> Self {
        let events = Events::new(boot);
        let (report, reports) = watch::channel(Report {
            phase: Phase::Installing,
            findings: Vec::new(),
            observed: Observed::default(),
        });
        let (words, word) = watch::channel(Word::default());
        let link = Link {
            settings,
            introduction: Introduction {
                host_id: host_id.to_owned(),
                host_id_source: "smbios-uuid".to_owned(),
                evidence: Evidence {
                    uuid: "6a8d0f6c-9d9c-4c0b-8f2e-0d4c6e1b7a55".to_owned(),
                    ..Evidence::default()
                },
                labels: std::collections::BTreeMap::new(),
                boot_id: boot.to_owned(),
                mode: Mode::Installer,
                arch: "x86_64".to_owned(),
            },
            identity: identity.clone(),
            paths: Paths::under(root),
            events: events.clone(),
            built: BUILT,
            report: reports,
            word: words,
            secrets: watch::channel(Arc::default()).0,
            clock: clock.clone(),
            ways,
        };
        let task = tokio::spawn(link.run());
        Self {
            _root: None,
            events,
            report,
            word,
            clock,
            task,
        }
    }

    pub(crate) async fn until(&mut self, what: &str, fits: impl FnMut(&Word) -> bool) {
        let waited = timeout(DEADLINE, self.word.wait_for(fits)).await;
        let (_, lines) = self.events.lines(0);
        assert!(waited.is_ok(), "never {what}; the host said {lines:#?}");
    }

    /// Waits until the host has another key than this, and has synced with it.
    pub(crate) async fn until_key_is_not(&mut self, identity: &Identity, thumbprint: &str) {
        self.until("another key", |_| identity.thumbprint() != thumbprint)
            .await;
    }

    /// Waits until the host notes something.
    pub(crate) async fn note(&self, part: &str) {
        let mut changes = self.events.changes();
        let waited = timeout(DEADLINE, async {
            while !self
                .events
                .after(0, usize::MAX)
                .iter()
                .any(|event| event.message.contains(part))
            {
                changes.changed().await.unwrap();
            }
        });
        let (_, lines) = self.events.lines(0);
        assert!(
            waited.await.is_ok(),
            "never {part:?}; the host said {lines:#?}"
        );
    }

    /// Waits until the host says something about its hub, and returns it.
    pub(crate) async fn hub_state(&mut self, part: &str) -> String {
        let mut changes = self.events.changes();
        let waited = timeout(DEADLINE, async {
            loop {
                let state = self.events.view().hub_state;
                if state.contains(part) {
                    return state;
                }
                changes.changed().await.unwrap();
            }
        });
        waited.await.unwrap_or_else(|_| {
            panic!(
                "never {part:?}; the host says {:?}",
                self.events.view().hub_state
            )
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The system partition of a host, with its identity.
pub(crate) struct Disk(tempfile::TempDir);

impl Disk {
    fn of(identity: &Identity) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::under(folder.path());
        std::fs::create_dir_all(&paths.system).unwrap();
        identity.keep(&paths).unwrap();
        Self(folder)
    }

    /// Of a host that was let in by a token and synced, and is off now.
    pub(crate) async fn joined(hub: &Hub) -> Self {
        let identity = Identity::make("").unwrap();
        let mut host = Host::start(hub.settings(Some(&hub.token())), &identity, "boot-1");
        host.until("synced", |word| word.syncs > 0).await;
        Self::of(&identity)
    }

    /// The root of the host's files.
    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    /// The identity as the next boot finds it.
    pub(crate) fn identity(&self) -> Identity {
        let found = Identity::find(&Paths::under(self.0.path())).unwrap();
        let found = found.unwrap();
        assert_eq!(found.store(), KeyStore::File);
        found
    }

    pub(crate) fn boot(&self, settings: HubSettings, identity: &Identity, boot: &str) -> Host {
        Host::on(self.0.path(), settings, identity, boot)
    }
}
