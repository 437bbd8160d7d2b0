//! The writes that decide what the next start boots: the directory of a generation, its state, its entry
//! on the ESP, and the record. Killed before any of them, the host still boots what it booted before,
//! and ends where it would have ended.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::Arc;

use burin::context::{Context, Hidden, Paths};
use burin::events::{Events, Meter};
use burin::hub::Identity;
use burin::installed::generations::{self, Settings};
use burin::record::Keeper;
use burin::steps::{entry, good};
use burin_api::message::Mode;
use burin_core::boot::{ENTRIES, Entry, EntryName};
use burin_core::generations::{Content, Generation, Reason, State};
use burin_core::plan;
use burin_core::record::Record;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Kill, TOLD, live, sweep};

const STEPS: [&str; 3] = ["generation", "entry", "good"];
/// The one that runs, and the one that is made.
const OLD: u64 = 1;
const NEW: u64 = 2;

fn context(paths: &Paths) -> Context {
    let events = Events::new("boot");
    Context {
        paths: paths.clone(),
        mode: Mode::Installed,
        boot_id: "boot".to_owned(),
        operation: "upgrade".to_owned(),
        facts: Arc::default(),
        user_data: Arc::default(),
        user_data_text: Hidden(Arc::from("")),
        desired: None,
        secrets: watch::channel(Arc::default()).1,
        identity: Identity::find(paths).unwrap().unwrap(),
        meter: Meter::new(&events, "", 0, 0, 0),
        events,
        store: Arc::default(),
    }
}

fn create(paths: &Paths, number: u64) {
    let generation = Generation::staged(Content {
        number,
        profile: "retail".to_owned(),
        version: number.to_string(),
        layers: Vec::new(),
        root: "root".to_owned(),
        agent: "agent".to_owned(),
        kernel_release: "6.12".to_owned(),
        kernel: "kernel".to_owned(),
        initramfs: "initramfs".to_owned(),
        cmdline: "quiet".to_owned(),
        kubernetes: String::new(),
        reason: Reason::Upgrade,
        made: 1,
    });
    let release = json!({ "name": "retail", "version": "1", "layers": [], "registries": [] });
    let settings = Settings {
        release: serde_json::from_value(release).unwrap(),
        host_id: "id".to_owned(),
        host_name: "name".to_owned(),
    };
    generations::create(paths, &generation, &settings, "#cloud-config\n").unwrap();
}

/// Makes a generation and what belongs to it, from where an earlier life was.
async fn make(paths: &Paths, number: u64) {
    let ctx = context(paths);
    let found = Keeper::find(paths).unwrap();
    let keeper = Keeper::new(paths, found.unwrap_or_else(|| Record::new("upgrade")));
    for step in STEPS {
        keeper.change(|record| record.begin(step)).unwrap();
        let known = generations::read(paths, number).unwrap();
        match step {
            "generation" if known.is_none() => create(paths, number),
            "entry" if entry::look(paths, number) == plan::Entry::Absent => {
                entry::perform(&ctx, number).await.unwrap();
            }
            "good" if known.is_some_and(|it| it.unproven()) => {
                good::perform(&ctx, number).await.unwrap();
            }
            _ => {}
        }
        keeper.change(|record| record.end(step)).unwrap();
    }
}

#[tokio::test]
#[ignore = "the test below runs it in a process of its own"]
async fn a_process_that_makes_a_generation() {
    // In a run of all tests, the ignored ones too, nobody tells it anything.
    let Ok(told) = std::env::var(TOLD) else {
        return;
    };
    let told: Value = serde_json::from_str(&told).unwrap();
    make(&Paths::under(Path::new(told.as_str().unwrap())), NEW).await;
}

/// Every file of a folder by its name.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let all = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    all.map(|it| {
        let name = it.file_name().into_string().unwrap();
        (name, std::fs::read_to_string(it.path()).unwrap_or_default())
    })
    .collect()
}

/// What a machine that starts now finds: nothing is half, and the old generation is there.
fn boots(paths: &Paths, killed: Kill) {
    let mut bootable = Vec::new();
    for (name, text) in files(&paths.esp.join(ENTRIES)) {
        let Some(name) = EntryName::parse(&name).filter(EntryName::bootable) else {
            continue;
        };
        assert!(Entry::parse(&text).is_ok(), "{killed:?}: {name} is {text}");
        let state = generations::need(paths, name.generation).unwrap().state;
        assert_ne!(state, State::Staged, "{killed:?}: {name}");
        bootable.push(name);
    }
    assert!(bootable.contains(&EntryName::good(OLD)), "{killed:?}");
    let record = std::fs::read_to_string(paths.record()).unwrap();
    assert!(serde_json::from_str::<Record>(&record).is_ok(), "{record}");
}

fn survives(paths: &Paths, killed: Kill) -> bool {
    const NAME: &str = "crash::boot::a_process_that_makes_a_generation";
    let told = json!(paths.root);
    let first = live(NAME, &told, Some(killed));
    if !first.success() {
        // By the signal and nothing else.
        assert_eq!(first.signal(), Some(9), "{killed:?}");
        boots(paths, killed);
        let again = live(NAME, &told, None);
        assert!(again.success(), "{killed:?}: it did not get on");
    }
    boots(paths, killed);
    // Nothing is left of what was half.
    let entries: Vec<String> = files(&paths.esp.join(ENTRIES)).into_keys().collect();
    assert_eq!(entries, ["burin-1.conf", "burin-2.conf"], "{killed:?}");
    let folders: Vec<String> = files(&paths.system.join("generations"))
        .into_keys()
        .collect();
    assert_eq!(folders, ["1", "2"], "{killed:?}");
    let names: Vec<String> = files(&paths.generation(NEW)).into_keys().collect();
    let want = ["generation.json", "settings.json", "user-data"];
    assert_eq!(names, want, "{killed:?}");
    assert!(!generations::need(paths, NEW).unwrap().unproven());
    let record = Keeper::find(paths).unwrap().unwrap();
    assert_eq!(record.under_way, None, "{killed:?}");
    !first.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_at_any_write_of_a_generation_boots_and_ends_the_same() {
    let kills = sweep(1, async |kill| {
        let disk = tempfile::tempdir().unwrap();
        let paths = Paths::under(disk.path());
        std::fs::create_dir_all(&paths.system).unwrap();
        Identity::make("").unwrap().keep(&paths).unwrap();
        make(&paths, OLD).await;
        tokio::task::block_in_place(|| survives(&paths, kill))
    })
    .await;
    // Record, generation, entry and state, each with its folder.
    assert!(kills >= 30, "{kills}");
}
