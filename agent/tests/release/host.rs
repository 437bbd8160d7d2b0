//! A host that does nothing but talk and judge.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use burin::context::{Hidden, Paths};
use burin::events::Events;
use burin::hub::{HubSettings, Identity, Introduction, Link, Report, Word};
use burin::machine::clock::Kernel;
use burin_api::desired::Desired;
use burin_api::host::Evidence;
use burin_api::message::{Mode, Observed, Phase};
use burin_api::token::Token;
use burin_core::userdata;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::site::Site;

/// Far above what anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Host {
    pub(crate) identity: Identity,
    events: Events,
    _report: watch::Sender<Report>,
    word: watch::Receiver<Word>,
    task: JoinHandle<()>,
}

impl Host {
    /// A new machine.
    pub(crate) fn start(site: &Site, boot: usize) -> Self {
        let identity = Identity::make("").unwrap();
        let paths = Paths::under(&site.root(&format!("machine-{boot}")));
        std::fs::create_dir_all(&paths.system).unwrap();
        identity.keep(&paths).unwrap();
        Self::boot(site, identity, paths, boot)
    }

    /// The first machine, after a reboot: it knows what its disk knows.
    pub(crate) fn again(site: &Site, boot: usize) -> Self {
        let paths = Paths::under(&site.root("machine-0"));
        let identity = Identity::find(&paths).unwrap().unwrap();
        Self::boot(site, identity, paths, boot)
    }

    fn boot(site: &Site, identity: Identity, paths: Paths, boot: usize) -> Self {
        let boot = format!("boot-{boot}");
        let events = Events::new(&boot);
        let (report, reports) = watch::channel(Report {
            phase: Phase::Installing,
            findings: Vec::new(),
            observed: Observed::default(),
        });
        let (words, word) = watch::channel(Word::default());
        let (_, ways) = watch::channel([String::from("lo")].into());
        let link = Link {
            settings: settings(site),
            introduction: Introduction {
                host_id: "K7QF-2M9X-0TRD-8HWN".to_owned(),
                host_id_source: "smbios-uuid".to_owned(),
                evidence: Evidence {
                    uuid: "6a8d0f6c-9d9c-4c0b-8f2e-0d4c6e1b7a55".to_owned(),
                    ..Evidence::default()
                },
                labels: std::collections::BTreeMap::new(),
                boot_id: boot,
                mode: Mode::Installer,
                arch: "x86_64".to_owned(),
            },
            identity: identity.clone(),
            paths,
            events: events.clone(),
            built: 1_767_225_600_000,
            report: reports,
            word: words,
            secrets: watch::channel(Arc::default()).0,
            clock: Arc::new(Kernel),
            ways,
        };
        Self {
            identity,
            events,
            _report: report,
            word,
            task: tokio::spawn(link.run()),
        }
    }

    async fn until(&mut self, what: &str, fits: impl FnMut(&Word) -> bool) {
        let waited = timeout(DEADLINE, self.word.wait_for(fits)).await;
        let (_, lines) = self.events.lines(0);
        assert!(waited.is_ok(), "never {what}; the host said {lines:#?}");
    }

    pub(crate) async fn accepted(&mut self) {
        self.until("accepted", |word| word.accepted).await;
    }

    pub(crate) fn uid(&self) -> String {
        self.identity.registration().host_uid.unwrap()
    }

    /// Waits until the host would install a version.
    pub(crate) async fn takes(&mut self, version: &str) -> Desired {
        let is = |word: &Word| {
            let desired = word.desired.as_ref();
            desired.is_some_and(|desired| desired.release.version == version)
        };
        self.until(version, is).await;
        let word = self.word.borrow();
        assert_eq!(word.refused, None);
        Desired::clone(word.desired.as_ref().unwrap())
    }

    /// Waits until the host has judged its assignment again after a time, in milliseconds since 1970.
    pub(crate) async fn syncs_after(&mut self, time: u64) {
        let passed = UNIX_EPOCH + Duration::from_millis(time);
        if let Ok(rest) = passed.duration_since(SystemTime::now()) {
            tokio::time::sleep(rest).await;
        }
        // One may have been under way.
        let syncs = self.word.borrow().syncs + 2;
        self.until("synced again", |word| word.syncs >= syncs).await;
    }

    /// Waits until the host says why it installs nothing.
    pub(crate) async fn refuses(&mut self, code: &str) {
        let is = |word: &Word| word.refused.as_ref().is_some_and(|it| it.name == code);
        self.until(code, is).await;
        let state = self.hub_state(code).await;
        assert_eq!(self.word.borrow().desired, None, "{state}");
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
            let (_, lines) = self.events.lines(0);
            panic!("never {part:?}; the host said {lines:#?}")
        })
    }
}

impl Host {
    /// Waits until the hub has heard of a refusal, as a finding and as an event.
    pub(crate) async fn told(&mut self, site: &Site, uid: &str, code: &str) {
        let newest = self.events.newest();
        let syncs = self.word.borrow().syncs;
        let told = |word: &Word| word.stored >= newest && word.syncs > syncs;
        self.until("told the hub", told).await;
        let shown = site.client(&["host", "show", uid]);
        assert_eq!(shown["findings"][0]["name"], code, "{shown}");
        let events = site.client(&["event", "list", "--host", uid]);
        assert!(events.to_string().contains(code), "{events}");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn settings(site: &Site) -> HubSettings {
    let hub = userdata::parse(&site.user_data).unwrap().hub.unwrap();
    HubSettings {
        url: hub.url,
        root: hub.root,
        root_version: hub.root_version,
        ca: hub.ca,
        token: Some(Hidden(Arc::new(Token::parse(&site.token).unwrap()))),
        proxy: None,
    }
}

impl Site {
    /// Where a machine's disk is.
    fn root(&self, name: &str) -> PathBuf {
        self.machines().join(name)
    }
}
