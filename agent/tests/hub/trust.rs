//! Keys that change and hubs that move, as a host lives through them.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use burin::hub::{HubSettings, Identity};

use crate::support::{Disk, Host, Hub, run};

fn root_version(identity: &Identity) -> u32 {
    identity.registration().root.unwrap().version
}

#[tokio::test]
async fn a_host_that_was_off_follows_five_rotations() {
    let mut hub = Hub::start();
    let settings = hub.settings(None);
    let disk = Disk::joined(&hub).await;
    hub.stop();
    let stick = tempfile::tempdir().unwrap();
    let (first, second) = (stick.path().join("1"), stick.path().join("2"));
    let online = ["--new-online-key"];
    hub.rotate(&hub.root_key(), &online);
    hub.rotate(
        &hub.root_key(),
        &["--new-root-key", first.to_str().unwrap()],
    );
    hub.rotate(&first, &["--new-online-key", "--overlap", "0"]);
    hub.rotate(&first, &["--new-root-key", second.to_str().unwrap()]);
    let last = hub.rotate(&second, &online);
    assert_eq!(last["version"], 6);
    hub.start_again();

    let identity = disk.identity();
    assert_eq!(root_version(&identity), 1);
    let mut host = disk.boot(settings.clone(), &identity, "boot-2");
    host.until("synced again", |word| word.syncs > 0).await;
    assert_eq!(root_version(&identity), 6);
    // One whose user-data pins the first root key, and that never called before.
    let new = Identity::make("").unwrap();
    let with_token = hub.settings(Some(&hub.token()));
    let pinned = HubSettings {
        root: settings.root,
        ..with_token
    };
    assert_ne!(pinned.root, hub.settings(None).root);
    drop(host);
    let mut host = Host::start(pinned, &new, "boot-3");
    host.hub_state("waiting for the hub").await;
    assert_eq!(root_version(&new), 6);
}

/// Of two hubs with one set of keys the second was not given the new online key yet.
async fn meets_the_old_key(overlap: &[&str]) -> (Host, (Hub, Disk)) {
    let mut hub = Hub::start();
    let settings = hub.settings(None);
    let disk = Disk::joined(&hub).await;
    let keep = tempfile::tempdir().unwrap();
    for name in ["online.key", "root.json"] {
        fs::copy(hub.data.path().join(name), keep.path().join(name)).unwrap();
    }
    let mut arguments = vec!["--new-online-key"];
    arguments.extend(overlap);
    hub.rotate(&hub.root_key(), &arguments);
    hub.stop();
    hub.start_again();
    let identity = disk.identity();
    let mut host = disk.boot(settings.clone(), &identity, "boot-2");
    host.until("synced", |word| word.syncs > 0).await;
    assert_eq!(root_version(&identity), 2);
    drop(host);
    hub.stop();
    for name in ["online.key", "root.json"] {
        fs::copy(keep.path().join(name), hub.data.path().join(name)).unwrap();
    }
    hub.start_again();
    (disk.boot(settings, &identity, "boot-3"), (hub, disk))
}

#[tokio::test]
async fn a_replaced_online_key_is_believed_for_its_overlap() {
    let (mut host, _site) = meets_the_old_key(&[]).await;
    host.until("synced under the old key", |word| word.syncs > 0)
        .await;
}

#[tokio::test]
async fn a_stolen_online_key_is_worth_nothing_to_a_host_that_knows() {
    let (mut host, _site) = meets_the_old_key(&["--overlap", "0"]).await;
    host.hub_state("not signed as it must be").await;
    assert_eq!(host.word.borrow().syncs, 0);
}

/// The folder of a hub at another place: its keys, and its database by way of a file.
fn carried(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name != "lock" && !name.starts_with("hub.db") {
            fs::copy(entry.path(), to.path().join(name)).unwrap();
        }
    }
    let file = to.path().join("export.jsonl");
    let file = file.to_str().unwrap();
    run(from, &["export", file]);
    run(to.path(), &["import", file]);
    to
}

#[tokio::test]
async fn a_host_goes_where_the_root_says_and_nowhere_else() {
    let mut old = Hub::start();
    let settings = old.settings(None);
    let disk = Disk::joined(&old).await;
    let identity = disk.identity();
    let mut host = disk.boot(settings.clone(), &identity, "boot-2");
    host.until("synced at the old place", |word| word.syncs > 0)
        .await;

    let port = burin_ports::free().unwrap();
    let listen = format!("127.0.0.1:{port}");
    let address = format!("https://localhost:{port}");
    old.rotate(&old.root_key(), &["--address", &address]);
    old.stop();
    old.start_again();
    // Nobody is there yet: it tells so, and stays with the address of its user-data.
    host.note("it answers at https://127.0.0.1").await;
    let syncs = host.word.borrow().syncs;
    host.until("synced at the old place again", |word| word.syncs > syncs)
        .await;
    assert_eq!(
        identity.registration().root.unwrap().addresses,
        std::slice::from_ref(&address)
    );

    old.stop();
    let data = carried(old.data.path());
    let _new = Hub::at(data, &listen, &["--public-url", &address]);
    let syncs = host.word.borrow().syncs;
    host.until("synced at the new place", |word| word.syncs > syncs + 1)
        .await;
    assert_eq!(host.events.view().hub, address);
    // The next boot goes there by itself: the document was kept.
    drop(host);
    let mut host = disk.boot(settings, &disk.identity(), "boot-3");
    host.until("synced at the new place", |word| word.syncs > 0)
        .await;
    assert_eq!(host.events.view().hub, address);
    assert_eq!(host.clock.sets.load(Ordering::SeqCst), 0);
}
