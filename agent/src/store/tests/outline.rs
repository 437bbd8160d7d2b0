//! The hub looks for conflicts with core's outline, the host merges with this tree: both must see
//! the same root.

use std::collections::BTreeSet;

use burin_core::merge::{Origin, Outline, OutlineEntry};
use proptest::prelude::*;

use super::super::record::{Content, EntryRecord, LayerRecord, Meta};
use super::super::tree::Tree;
use super::*;

/// Names that collide often, with whiteouts for each and for whole directories.
const NAMES: [&str; 7] = ["a", "b", "c", ".wh.a", ".wh.b", ".wh..wh..opq", "bin"];

fn entry() -> impl Strategy<Value = (String, EntryKind)> {
    let path = proptest::collection::vec(proptest::sample::select(&NAMES[..]), 1..4);
    let kinds = vec![EntryKind::Directory, EntryKind::File, EntryKind::Symlink];
    (path, proptest::sample::select(kinds)).prop_map(|(mut path, kind)| {
        // Whiteouts stand at the end of a path, and are files.
        let last = path.len() - 1;
        for part in &mut path[..last] {
            *part = part
                .strip_prefix(".wh.")
                .filter(|p| p.len() == 1)
                .unwrap_or(*part);
            if part.starts_with(".wh") {
                *part = "c";
            }
        }
        let whiteout = path[last].starts_with(".wh.");
        let kind = if whiteout { EntryKind::File } else { kind };
        (path.join("/"), kind)
    })
}

fn layer() -> impl Strategy<Value = Vec<(String, EntryKind)>> {
    proptest::collection::vec(entry(), 0..8).prop_map(|mut entries| {
        let mut seen = BTreeSet::new();
        entries.retain(|(path, _)| seen.insert(path.clone()));
        entries
    })
}

fn record(entries: &[(String, EntryKind)]) -> LayerRecord {
    let entries = entries.iter().map(|(path, kind)| EntryRecord {
        path: path.clone(),
        meta: Meta {
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: 0,
            xattrs: BTreeMap::new(),
        },
        content: match kind {
            EntryKind::Directory => Content::Directory,
            EntryKind::Symlink => Content::Symlink("x".into()),
            _ => Content::Inline(String::new()),
        },
    });
    LayerRecord::new("test", entries.collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tree_and_outline_agree(
        layers in proptest::collection::vec((layer(), any::<bool>(), any::<bool>()), 1..4),
    ) {
        let (mut tree, mut outline) = (Tree::default(), Outline::default());
        for (entries, new_image, is_os) in layers {
            let kind = if is_os { LayerKind::Os } else { LayerKind::Image };
            let origin = Origin { kind, replaces_system: false };
            if new_image {
                tree.start_image();
                outline.start_image();
            } else {
                outline.start_layer();
            }
            let merged = tree.apply(&record(&entries), origin);
            let outlined = entries.iter().try_for_each(|(path, kind)| {
                let entry = OutlineEntry { path: path.clone().into_bytes(), kind: *kind, size: 0, link: Vec::new() };
                outline.add(&entry, origin).map(drop)
            });
            prop_assert_eq!(merged.is_ok(), outlined.is_ok(), "{:?} {:?}", merged, outlined);
            if merged.is_err() {
                return Ok(());
            }
            let theirs: Vec<_> = outline.entries().map(|(path, kind, _)| (path.to_owned(), kind)).collect();
            prop_assert_eq!(tree.kinds(), theirs);
        }
        prop_assert!(tree.into_file_system().is_ok(), "every parent is there");
    }
}
