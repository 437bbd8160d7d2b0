use proptest::prelude::*;

use super::super::*;
use super::{EXTRA, OS};

fn entry(path: &str, kind: EntryKind) -> OutlineEntry {
    OutlineEntry {
        path: path.as_bytes().to_vec(),
        kind,
        size: 10,
        link: Vec::new(),
    }
}

fn os() -> Outline {
    let mut tree = Outline::default();
    tree.start_image();
    for (path, kind) in [
        ("./", EntryKind::Directory),
        ("bin", EntryKind::Symlink),
        ("usr/bin/sh", EntryKind::File),
        ("opt/a/one", EntryKind::File),
        ("opt/a/two", EntryKind::File),
    ] {
        tree.add(&entry(path, kind), OS).unwrap();
    }
    tree
}

#[test]
fn an_upstream_bin_over_a_merged_usr_is_refused() {
    let mut tree = os();
    tree.start_image();
    assert!(matches!(
        tree.add(&entry("bin", EntryKind::Directory), EXTRA),
        Err(Refusal::Conflict { .. })
    ));
    let mut tree = os();
    tree.start_image();
    assert!(matches!(
        tree.add(&entry("bin/k3s", EntryKind::File), EXTRA),
        Err(Refusal::Parent { .. })
    ));
}

#[test]
fn whiteouts_reach_layers_below_and_never_their_own() {
    let mut tree = os();
    tree.start_image();
    tree.add(&entry("opt/a/new", EntryKind::File), EXTRA)
        .unwrap();
    tree.add(&entry("opt/a/.wh..wh..opq", EntryKind::File), EXTRA)
        .unwrap();
    let left: Vec<&str> = tree
        .entries()
        .map(|(p, ..)| p)
        .filter(|p| p.starts_with("opt"))
        .collect();
    assert_eq!(left, ["opt", "opt/a", "opt/a/new"]);
    tree.start_layer();
    tree.add(&entry(".wh.opt", EntryKind::File), EXTRA).unwrap();
    assert_eq!(tree.kind("opt"), None);
    assert_eq!(tree.kind("opt/a/new"), None);
}

#[test]
fn hard_links_stay_inside_their_layer() {
    let mut tree = os();
    tree.start_image();
    tree.add(&entry("usr/bin/a", EntryKind::File), EXTRA)
        .unwrap();
    let link = |path: &str, target: &str| OutlineEntry {
        link: target.as_bytes().to_vec(),
        ..entry(path, EntryKind::HardLink)
    };
    assert_eq!(
        tree.add(&link("usr/bin/b", "./usr/bin/a"), EXTRA),
        Ok(Decision::Keep)
    );
    for (path, target) in [
        ("x", "usr/bin/sh"),
        ("x", "usr/bin/none"),
        ("x", "usr/bin"),
        ("x", "x"),
    ] {
        assert!(
            matches!(
                tree.clone().add(&link(path, target), EXTRA),
                Err(Refusal::HardLink { .. })
            ),
            "{target}"
        );
    }
    assert!(matches!(
        tree.add(&link("x", "../../etc/shadow"), EXTRA),
        Err(Refusal::Traversal(_))
    ));
}

#[test]
fn one_layer_has_a_file_once() {
    let mut tree = os();
    assert_eq!(
        tree.add(&entry("usr/bin/sh", EntryKind::File), OS),
        Err(Refusal::Duplicate("usr/bin/sh".to_owned()))
    );
    assert_eq!(
        tree.add(&entry("usr/bin", EntryKind::Directory), OS),
        Ok(Decision::Keep)
    );
    tree.start_layer();
    assert_eq!(
        tree.add(&entry("usr/bin/sh", EntryKind::File), OS),
        Ok(Decision::Keep)
    );
    assert_eq!(tree.content(), (30, 3));
}

#[test]
fn a_common_base_is_not_applied_twice() {
    let list = |text: &str| -> Vec<String> { text.chars().map(String::from).collect() };
    for (stack, image, want) in [
        ("abc", "abcd", "d"),
        ("abc", "xabc", "xabc"),
        ("abc", "ab", ""),
        ("", "ab", "ab"),
    ] {
        assert_eq!(
            new_layers(&list(stack), &list(image)),
            list(want),
            "{stack} {image}"
        );
    }
}

proptest! {
    #[test]
    fn no_path_leaves_the_image(path in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(path) = normalize(&path) {
            prop_assert!(!path.starts_with('/') && !path.ends_with('/'));
            prop_assert!(path.split('/').all(|p| p != ".." && p != "."));
            prop_assert_eq!(normalize(format!("/{path}").as_bytes()), Ok(path.clone()));
            let _ = classify(&path, EntryKind::File, EXTRA);
        }
    }

    #[test]
    fn no_extra_image_loses_the_init(paths in proptest::collection::vec("(usr|lib|systemd|\\.wh\\.usr|\\.wh\\.lib|\\.wh\\.\\.wh\\.\\.opq)(/(lib|systemd|\\.wh\\.systemd|\\.wh\\.\\.wh\\.\\.opq)){0,3}", 1..20)) {
        let mut tree = Outline::default();
        tree.start_image();
        tree.add(&entry("usr/lib/systemd/systemd", EntryKind::File), OS).unwrap();
        tree.start_image();
        for path in &paths {
            let _ = tree.add(&entry(path, EntryKind::Directory), EXTRA);
            let _ = tree.add(&entry(path, EntryKind::File), EXTRA);
        }
        prop_assert_eq!(tree.kind("usr/lib/systemd/systemd"), Some(EntryKind::File));
    }
}
