//! The test of the whole idea: perform the plan of an installation on a machine that dies after its
//! n-th effect, for every n; look, plan and perform again; the end is the same.

use std::collections::BTreeSet;

use burin_api::desired::{Blob, Health, Layer, LayerFacts, LayerKind, Release};
use burin_core::layout::{Layout, Partition};
use burin_core::plan::{Entry, Goal, Seen, Step, plan};
use burin_core::record::Record;

/// A machine: what is on its disk outlives a power cut, the rest does not.
#[derive(Debug, Clone, Default)]
struct Machine {
    /// The partition table, with the operation that wrote it.
    table: Option<Layout>,
    /// Everything else on the disk.
    files: BTreeSet<String>,
    /// Whether the file systems are mounted: lost with the power.
    mounted: bool,
    running: Option<u64>,
    /// Effects until the power goes; none for never.
    left: Option<usize>,
    effects: usize,
}

/// The power went away.
#[derive(Debug)]
struct Died;

impl Machine {
    fn effect(&mut self, change: impl FnOnce(&mut Self)) -> Result<(), Died> {
        if self.left == Some(0) {
            return Err(Died);
        }
        self.left = self.left.map(|left| left - 1);
        self.effects += 1;
        change(self);
        assert_safe(self);
        Ok(())
    }

    fn write(&mut self, names: &[&str]) -> Result<(), Died> {
        for &name in names {
            self.effect(|it| {
                it.files.insert(name.to_owned());
            })?;
        }
        Ok(())
    }

    fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|&name| self.files.contains(name))
    }

    /// The effects of one step, in the order in which the real one makes them.
    fn perform(&mut self, step: &Step) -> Result<(), Died> {
        match step {
            Step::Partition { layout } => self.effect(|it| {
                it.files.clear();
                it.mounted = false;
                it.table = Some(layout.clone());
            }),
            Step::MakeFilesystems { .. } => {
                for name in ["mkfs esp", "mkfs system", "mkfs data"] {
                    if !self.has(&[name]) {
                        self.write(&[name])?;
                    }
                }
                self.effect(|it| it.mounted = true)
            }
            Step::KeepIdentity => self.write(&["record", "user-data", "host", "key"]),
            Step::InstallRecovery => self.write(&[
                "loader",
                "fallback",
                "installer kernel",
                "installer initrd",
                "recovery",
            ]),
            Step::PullBlob { blob, .. } => {
                let layer = format!("layer {}", blob.diff_id);
                self.write(&["objects", &layer])
            }
            Step::Seal { .. } => self.write(&["root image", "agent image", "sealed"]),
            Step::WriteGeneration { .. } => self.write(&["generation"]),
            Step::WriteKernel { .. } => self.write(&["kernel", "initramfs"]),
            Step::WriteEntry { .. } => self.write(&["armed", "entry"]),
            Step::Reboot => self.effect(|it| it.running = Some(1)),
            Step::StartKubernetes | Step::ProveHealth { .. } | Step::MarkGood { .. } => {
                panic!("an installation has no such step: {step:?}")
            }
        }
    }

    fn look(&self) -> Seen {
        let files = self.mounted;
        let layers = ["a", "b", "c"]
            .into_iter()
            .filter(|id| files && self.has(&[&format!("layer {id}")]))
            .map(str::to_owned)
            .collect();
        Seen {
            blocked: false,
            layout: self.table.clone(),
            filesystems: files,
            identity: files && self.has(&["key"]),
            recovery: files && self.has(&["recovery"]),
            layers,
            sealed: files && self.has(&["sealed"]),
            generation: files && self.has(&["generation"]),
            kernel: files && self.has(&["kernel", "initramfs"]),
            entry: match files && self.has(&["entry"]) {
                true => Entry::Counted,
                false => Entry::Absent,
            },
            running: self.running,
            kubernetes: false,
        }
    }

    /// One power-on of the installer: finds a half-finished installation or starts its own, then
    /// looks, plans and performs until nothing remains.
    fn boot(&mut self, operation: &str) -> Result<(), Died> {
        self.mounted = false;
        let found = self.table.clone().filter(|_| self.has(&["key", "record"]));
        let goal_layout = found.unwrap_or_else(|| layout(operation));
        let record = Record::new(&goal_layout.disk_guid);
        let goal = goal(goal_layout);
        loop {
            let seen = self.look();
            let mut steps = plan(&goal, &seen, &record);
            if steps.is_empty() {
                return Ok(());
            }
            if !seen.filesystems {
                steps.retain(|it| {
                    matches!(it, Step::Partition { .. } | Step::MakeFilesystems { .. })
                });
            }
            for step in &steps {
                self.perform(step)?;
            }
        }
    }

    /// What must be equal in the end: all but who made it.
    fn end(&self) -> (bool, &BTreeSet<String>, Option<u64>) {
        (self.table.is_some(), &self.files, self.running)
    }
}

/// What a power cut may meet at any moment.
fn assert_safe(machine: &Machine) {
    let files = &machine.files;
    for (later, earlier) in [
        (
            "entry",
            &["kernel", "initramfs", "generation", "sealed"][..],
        ),
        ("generation", &["sealed"]),
        (
            "sealed",
            &["root image", "agent image", "layer a", "layer b", "layer c"],
        ),
        (
            "recovery",
            &[
                "key",
                "user-data",
                "installer kernel",
                "installer initrd",
                "loader",
            ],
        ),
        ("layer a", &["recovery"]),
        ("key", &["user-data", "host", "record"]),
    ] {
        assert!(
            !files.contains(later) || machine.has(earlier),
            "{later} without one of {earlier:?}: {files:?}"
        );
    }
    assert!(machine.running.is_none() || machine.has(&["entry"]));
}

fn layout(operation: &str) -> Layout {
    let part = |number: u32| Partition {
        number,
        guid: format!("{operation}-{number}"),
        start: u64::from(number) << 30,
        size: 1 << 30,
    };
    Layout {
        disk: "/dev/vda".to_owned(),
        sector: 512,
        disk_guid: operation.to_owned(),
        esp: part(1),
        system: part(2),
        data: part(3),
    }
}

fn layer(name: &str, diff_ids: &[&str]) -> Layer {
    let blob = |id: &&str| Blob {
        digest: format!("blob-{id}"),
        diff_id: (*id).to_owned(),
        size: 1,
        media_type: String::new(),
        unpacked: 1,
        entries: 1,
    };
    Layer {
        kind: LayerKind::Os,
        name: name.to_owned(),
        registry: "registry".to_owned(),
        repository: name.to_owned(),
        reference: String::new(),
        manifest: String::new(),
        blobs: diff_ids.iter().map(blob).collect(),
        files: std::collections::BTreeMap::new(),
        inline: std::collections::BTreeMap::new(),
        replaces_system: false,
        facts: LayerFacts::default(),
    }
}

fn goal(layout: Layout) -> Goal {
    Goal::Install {
        layout: Box::new(layout),
        release: Box::new(Release {
            name: "retail".to_owned(),
            version: "1.0.0".to_owned(),
            layers: vec![layer("os", &["a", "b"]), layer("k3s", &["c"])],
            kubernetes: None,
            health: Health::default(),
            cmdline: Vec::new(),
            registries: Vec::new(),
        }),
        generation: 1,
    }
}

fn undisturbed() -> Machine {
    let mut machine = Machine::default();
    machine.boot("first").expect("nobody cut the power");
    machine
}

#[test]
fn an_installation_that_dies_after_any_effect_ends_the_same() {
    let whole = undisturbed();
    assert!(whole.effects > 25, "{} effects", whole.effects);
    for n in 0..whole.effects {
        let mut machine = Machine {
            left: Some(n),
            ..Machine::default()
        };
        assert!(
            machine.boot("first").is_err(),
            "effect {n} was not the last"
        );
        machine.left = None;
        machine.boot("second").expect("nobody cut the power");
        assert_eq!(machine.end(), whole.end(), "died after effect {n}");
    }
}

#[test]
fn an_installation_that_dies_twice_ends_the_same() {
    let whole = undisturbed();
    for first in 0..whole.effects {
        for second in 0..whole.effects {
            let mut machine = Machine {
                left: Some(first),
                ..Machine::default()
            };
            assert!(machine.boot("first").is_err());
            machine.left = Some(second);
            if machine.boot("second").is_err() {
                machine.left = None;
                machine.boot("third").expect("nobody cut the power");
            }
            assert_eq!(
                machine.end(),
                whole.end(),
                "died after {first} and {second}"
            );
        }
    }
}

#[test]
fn the_identity_is_never_made_twice_once_it_is_on_the_disk() {
    let whole = undisturbed();
    for n in 0..whole.effects {
        let mut machine = Machine {
            left: Some(n),
            ..Machine::default()
        };
        assert!(machine.boot("first").is_err());
        let kept = machine.has(&["key"]);
        machine.left = None;
        machine.boot("second").expect("nobody cut the power");
        let operation = machine.table.map(|table| table.disk_guid);
        let want = if kept { "first" } else { "second" };
        assert_eq!(operation.as_deref(), Some(want), "died after effect {n}");
    }
}

#[test]
fn a_finished_machine_plans_to_nothing() {
    let machine = undisturbed();
    let goal = goal(layout("first"));
    assert_eq!(plan(&goal, &machine.look(), &Record::new("first")), []);
}
