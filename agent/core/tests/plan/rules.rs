//! Rules of the plan, over every kind of evidence.

use burin_core::layout::Layout;
use burin_core::plan::{Entry, Goal, Seen, Step, plan};
use burin_core::record::Record;
use proptest::prelude::*;

use crate::sample::{self, names};

fn layout() -> Layout {
    sample::layout("operation-1")
}

fn goal() -> Goal {
    sample::goal(layout())
}

#[test]
fn an_empty_disk_needs_everything_in_the_order_of_writes() {
    let steps = plan(&goal(), &Seen::default(), &Record::default());
    assert_eq!(
        names(&steps),
        [
            "partition",
            "filesystems",
            "identity",
            "recovery",
            "pull",
            "pull",
            "pull",
            "seal",
            "generation",
            "kernel",
            "entry",
            "reboot"
        ]
    );
}

#[test]
fn a_layer_that_two_images_share_is_pulled_once() {
    let steps = plan(&goal(), &Seen::default(), &Record::default());
    let pulled: Vec<_> = steps
        .iter()
        .filter_map(|step| match step {
            Step::PullBlob { blob, .. } => Some(blob.diff_id.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(pulled, ["a", "b", "c"]);
}

#[test]
fn a_running_generation_needs_no_installation() {
    let seen = Seen {
        running: Some(1),
        ..Seen::default()
    };
    assert_eq!(plan(&goal(), &seen, &Record::default()), []);
}

#[test]
fn a_good_generation_is_not_judged_again() {
    let goal = Goal::Boot {
        generation: 1,
        kubernetes: true,
    };
    let mut seen = Seen {
        running: Some(1),
        entry: Entry::Good,
        ..Seen::default()
    };
    assert_eq!(
        names(&plan(&goal, &seen, &Record::default())),
        ["kubernetes"]
    );
    seen.kubernetes = true;
    assert_eq!(plan(&goal, &seen, &Record::default()), []);
    seen.entry = Entry::Counted;
    assert_eq!(
        names(&plan(&goal, &seen, &Record::default())),
        ["health", "good"]
    );
}

#[test]
fn the_disk_of_another_operation_is_not_continued() {
    let seen = Seen {
        layout: Some(layout()),
        filesystems: true,
        identity: true,
        recovery: true,
        ..Seen::default()
    };
    let steps = plan(&goal(), &seen, &Record::new("another"));
    assert_eq!(names(&steps)[0], "partition");
    let steps = plan(&goal(), &seen, &Record::new("operation-1"));
    assert_eq!(names(&steps)[0], "pull");
}

fn any_seen() -> impl Strategy<Value = Seen> {
    let flags = proptest::collection::vec(any::<bool>(), 9);
    let layers = proptest::collection::btree_set("[abc]", 0..4);
    (flags, layers, 0..3_u8, proptest::option::of(0..3_u64)).prop_map(
        |(flags, layers, entry, running)| Seen {
            blocked: flags[0],
            layout: flags[1].then(layout),
            filesystems: flags[2],
            identity: flags[3],
            recovery: flags[4],
            layers,
            sealed: flags[5],
            generation: flags[6],
            kernel: flags[7],
            entry: [Entry::Absent, Entry::Counted, Entry::Good][usize::from(entry)],
            running,
            kubernetes: flags[8],
        },
    )
}

/// The order that keeps a machine bootable; a plan may leave steps out but never turn them round.
const ORDER: [&str; 10] = [
    "partition",
    "filesystems",
    "identity",
    "recovery",
    "pull",
    "seal",
    "generation",
    "kernel",
    "entry",
    "reboot",
];

proptest! {
    #[test]
    fn a_blocked_host_writes_nothing(mut seen in any_seen()) {
        seen.blocked = true;
        prop_assert_eq!(plan(&goal(), &seen, &Record::default()), []);
        let boot = Goal::Boot { generation: 1, kubernetes: true };
        prop_assert_eq!(plan(&boot, &seen, &Record::default()), []);
    }

    #[test]
    fn steps_never_come_out_of_order(seen in any_seen()) {
        let steps = plan(&goal(), &seen, &Record::default());
        let ranks: Vec<_> = names(&steps)
            .iter()
            .map(|name| ORDER.iter().position(|known| known == name).unwrap())
            .collect();
        prop_assert!(ranks.is_sorted(), "{:?}", names(&steps));
    }

    #[test]
    fn an_entry_is_written_again_whenever_what_it_boots_is(seen in any_seen()) {
        let steps = names(&plan(&goal(), &seen, &Record::default()));
        for earlier in ["partition", "filesystems", "seal", "generation", "kernel"] {
            if steps.contains(&earlier) {
                prop_assert!(steps.contains(&"entry"), "{steps:?}");
            }
        }
    }

    #[test]
    fn nothing_that_is_there_is_pulled(seen in any_seen()) {
        for step in plan(&goal(), &seen, &Record::default()) {
            if let Step::PullBlob { blob, .. } = step {
                let trusted = seen.layout.is_some() && seen.filesystems;
                prop_assert!(!trusted || !seen.layers.contains(&blob.diff_id));
            }
        }
    }
}
