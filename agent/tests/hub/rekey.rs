//! Another identity key when the hub asks.

use crate::support::{Disk, Hub};

#[tokio::test]
async fn a_host_changes_its_key_when_an_operator_asks_and_goes_on() {
    let hub = Hub::start();
    let (settings, disk) = (hub.settings(None), Disk::joined(&hub).await);
    let identity = disk.identity();
    let first = identity.thumbprint();
    let mut host = disk.boot(settings.clone(), &identity, "boot-2");
    host.until("synced", |word| word.syncs > 0).await;
    for flags in [&[][..], &["--leaked"]] {
        let before = identity.thumbprint();
        let uid = identity.registration().host_uid.unwrap();
        let mut arguments = vec!["host", "rekey", uid.as_str()];
        arguments.extend(flags);
        hub.client(&arguments);
        host.until_key_is_not(&identity, &before).await;
        let syncs = host.word.borrow().syncs;
        host.until("synced with the new key", |word| word.syncs > syncs)
            .await;
        let listed = hub.client(&["host", "show", uid.as_str()]);
        let label = burin_api::claim::KeyLabel::of(&identity.thumbprint()).unwrap();
        assert_eq!(listed["key"], label.to_string());
        assert_eq!(listed["rekey"], "");
        assert_eq!(listed["state"], "accepted");
    }
    drop(host);
    let audit = hub.client(&["audit", "list"]).to_string();
    for line in [
        "host.rekey.asked",
        "host.rekey.leaked",
        "host.rekey by itself, asked",
        "host.rekey by itself, leaked",
    ] {
        assert!(audit.contains(line), "{line}: {audit}");
    }
    let kept = disk.identity();
    assert_eq!(kept.thumbprint(), identity.thumbprint());
    assert_ne!(kept.thumbprint(), first);
    let mut host = disk.boot(settings, &kept, "boot-3");
    host.until("synced in the next boot", |word| word.syncs > 0)
        .await;
}

#[tokio::test]
async fn a_key_that_is_too_old_is_changed_without_anybody() {
    let hub = Hub::at(
        tempfile::tempdir().unwrap(),
        "127.0.0.1:0",
        &["--rekey-after", "0s"],
    );
    let (settings, disk) = (hub.settings(None), Disk::joined(&hub).await);
    let identity = disk.identity();
    let first = identity.thumbprint();
    let mut host = disk.boot(settings, &identity, "boot-2");
    host.until_key_is_not(&identity, &first).await;
    let audit = hub.client(&["audit", "list"]).to_string();
    assert!(audit.contains("host.rekey by itself, age"), "{audit}");
}
