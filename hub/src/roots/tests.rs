use super::*;

fn rotated(root_key: &Path, new: Option<&Path>, online: bool) -> RootCommand {
    RootCommand::Rotate(Rotation {
        root_key: root_key.to_owned(),
        new_root_key: new.map(Path::to_owned),
        new_online_key: online,
        ..Rotation::default()
    })
}

fn rotation(root_key: &Path, online: bool, overlap: &str) -> Rotation {
    Rotation {
        root_key: root_key.to_owned(),
        new_online_key: online,
        overlap: Overlap::of(overlap.parse().unwrap()),
        ..Rotation::default()
    }
}

#[test]
fn a_replaced_online_key_is_believed_for_the_overlap_and_a_stolen_one_no_longer() {
    let (hub, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (folder, root_key) = (hub.path(), stick.path().join("1"));
    init(folder, &root_key).unwrap();
    let speakers = |now| {
        let keys = HubKeys::load_or_create(folder).unwrap();
        keys.root.speakers(now).len()
    };
    rotate(folder, &rotation(&root_key, true, "30s"), 1_000).unwrap();
    assert_eq!((speakers(30_999), speakers(31_000)), (2, 1));
    rotate(folder, &rotation(&root_key, true, "30s"), 11_000).unwrap();
    assert_eq!((speakers(30_999), speakers(31_000)), (3, 2));
    rotate(folder, &rotation(&root_key, true, "0"), 12_000).unwrap();
    let chain = chain(folder).unwrap();
    let before: RootDocument = chain[2].peek().unwrap();
    let after = newest(&chain).unwrap();
    assert!(!after.speakers(12_000).contains(&&before.online[0]));
    // Those before the stolen key are believed as it was promised.
    assert_eq!((speakers(30_999), speakers(31_000)), (3, 2));
}

#[test]
fn addresses_stay_until_others_are_given() {
    let (hub, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (folder, root_key) = (hub.path(), stick.path().join("1"));
    init(folder, &root_key).unwrap();
    let change = |reach| {
        let rotation = Rotation {
            reach,
            ..rotation(&root_key, false, "0")
        };
        run(folder, &RootCommand::Rotate(rotation))
    };
    let two = ["https://b.example:8443/", "https://a.example"];
    let want = ["https://b.example:8443", "https://a.example"];
    let info = change(Reach::at(&two)).unwrap();
    assert_eq!(
        (info.version, info.addresses),
        (2, want.map(str::to_owned).to_vec())
    );
    let kept = run(folder, &rotated(&root_key, None, true)).unwrap();
    assert_eq!(kept.addresses, want);
    for wrong in [
        vec!["http://a.example"],
        vec!["https://a.example/x"],
        vec!["https://u@a.example"],
        vec!["https://a.example"; root::MOST_ADDRESSES + 1],
    ] {
        assert!(change(Reach::at(&wrong)).is_err(), "{wrong:?}");
    }
    assert!(change(Reach::nowhere()).unwrap().addresses.is_empty());
}

#[test]
fn release_keys_come_and_go_by_the_root_alone() {
    let (hub, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (folder, key) = (hub.path(), |name: &str| stick.path().join(name));
    let root_key = key("root");
    run(folder, &RootCommand::Init { root_key }).unwrap();
    let public = crate::release::key::init(&key("release")).unwrap();
    let change = |add: &[String], remove: &[String]| {
        let release = ReleaseKeys {
            add_release_key: add.to_vec(),
            remove_release_key: remove.to_vec(),
            release_profile: vec!["retail".to_owned()],
        };
        run(
            folder,
            &RootCommand::Rotate(Rotation {
                root_key: key("root"),
                release,
                ..Rotation::default()
            }),
        )
    };
    let file = key("release.pub").to_str().unwrap().to_owned();
    let info = change(std::slice::from_ref(&file), &[]).unwrap();
    assert_eq!((info.version, info.release.len()), (2, 1));
    assert_eq!(info.release[0].key, public);
    assert!(info.release[0].may_sign("retail") && !info.release[0].may_sign("other"));
    assert!(
        change(&[], &["00".repeat(32)]).is_err(),
        "a key that is not listed"
    );
    let info = change(&[], &[public.thumbprint().unwrap()]).unwrap();
    assert_eq!((info.version, info.release), (3, Vec::new()));
    // A document without the root's signature, made by whoever holds the online key.
    let held = newest(&chain(folder).unwrap()[..2]).unwrap();
    let online = HubKeys::load_or_create(folder).unwrap().online;
    let forged = RootDocument {
        version: 3,
        release: Vec::new(),
        ..held.clone()
    };
    let forged = [online.seal(&forged).unwrap()];
    assert!(root::follow(Anchor::Held(&held), &forged).is_err());
}

#[test]
fn a_host_of_the_first_day_follows_every_rotation() {
    let (hub, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (folder, key) = (hub.path(), |name: &str| stick.path().join(name));
    let root_key = key("1");
    let first = run(folder, &RootCommand::Init { root_key }).unwrap();
    assert!(!first.unprotected);
    let before = HubKeys::load_or_create(folder).unwrap();
    assert_eq!(before.pin, first.root);
    run(folder, &rotated(&key("1"), Some(&key("2")), false)).unwrap();
    run(folder, &rotated(&key("2"), None, true)).unwrap();
    let last = run(folder, &rotated(&key("2"), Some(&key("3")), true)).unwrap();
    assert_eq!((last.version, &last.hub_id), (4, &first.hub_id));

    let after = HubKeys::load_or_create(folder).unwrap();
    assert_ne!(after.online.public(), before.online.public());
    for anchor in [Anchor::Pinned(&first.root), Anchor::Held(&before.root)] {
        let found = root::follow(anchor, &after.chain).unwrap();
        assert_eq!(found.version, 4);
        assert_eq!(found.online, [after.online.public()]);
    }
}

#[test]
fn a_trial_hub_becomes_a_protected_one() {
    let (hub, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = hub.path();
    assert!(HubKeys::load_or_create(folder).unwrap().root.unprotected);
    let old = leftover(folder).unwrap();
    let new = stick.path().join("root.key");
    let info = run(folder, &rotated(&old, Some(&new), false)).unwrap();
    assert!(!info.unprotected);
    assert!(!HubKeys::load_or_create(folder).unwrap().root.unprotected);
}

#[test]
fn a_wrong_key_a_file_that_exists_and_the_hubs_own_folder_are_refused() {
    let (hub, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (folder, key) = (hub.path(), |name: &str| stick.path().join(name));
    let init = |root_key: PathBuf| run(folder, &RootCommand::Init { root_key });
    assert!(init(folder.join("root.key")).is_err());
    init(key("1")).unwrap();
    assert!(init(key("2")).is_err());
    SigningKey::create(&key("other")).unwrap();
    for command in [
        rotated(&key("other"), Some(&key("2")), false),
        rotated(&key("none"), Some(&key("2")), false),
        rotated(&key("1"), Some(&key("1")), false),
        rotated(&key("1"), Some(&folder.join("2")), false),
        rotated(&key("1"), None, false),
    ] {
        assert!(run(folder, &command).is_err(), "{command:?}");
    }
    assert_eq!(run(folder, &RootCommand::Show).unwrap().version, 1);
    HubKeys::load_or_create(folder).unwrap();
}
