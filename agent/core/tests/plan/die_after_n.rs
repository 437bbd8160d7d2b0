//! The test of the whole idea: perform the plan of an installation on a machine that dies after its
//! n-th effect, for every n; look, plan and perform again; the end is the same.

use std::collections::BTreeSet;

use burin_core::host::Disk;
use burin_core::layout::{BurinContent, Candidate, Content, Layout, Policy, Selector, choose};
use burin_core::plan::{Entry, Seen, Step, plan};
use burin_core::record::Record;

use crate::sample::{goal, layout};

/// A machine: what is on its disk outlives a power cut, the rest does not.
#[derive(Debug, Clone, Default)]
struct Machine {
    /// The partition table, with the operation that wrote it.
    table: Option<Layout>,
    /// The operation that is about to make the file systems.
    mark: Option<String>,
    /// What was being written when the power went.
    torn: BTreeSet<String>,
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

    /// Something that a power cut can leave half-written.
    fn in_two(&mut self, name: &str) -> Result<(), Died> {
        self.effect(|it| {
            it.torn.insert(name.to_owned());
        })?;
        self.effect(|it| {
            it.torn.remove(name);
            it.files.insert(name.to_owned());
        })
    }

    fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|&name| self.files.contains(name))
    }

    /// The effects of one step, in the order in which the real one makes them.
    fn perform(&mut self, step: &Step) -> Result<(), Died> {
        match step {
            Step::Partition { layout } => {
                self.effect(|it| {
                    *it = Self {
                        left: it.left,
                        effects: it.effects,
                        ..Self::default()
                    };
                })?;
                self.effect(|it| it.mark = Some(layout.disk_guid.clone()))?;
                self.in_two("table")?;
                self.table = Some(layout.clone());
                Ok(())
            }
            Step::MakeFilesystems { .. } => {
                for name in ["mkfs system", "mkfs data", "mkfs esp"] {
                    if name == "mkfs esp" {
                        // Where the mark lies.
                        self.effect(|it| it.mark = None)?;
                    }
                    if !self.has(&[name]) {
                        self.in_two(name)?;
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

    /// What the disk looks like to an installer that starts.
    fn content(&self) -> Content {
        let burin = BurinContent {
            readable: true,
            ..BurinContent::default()
        };
        if let Some(operation) = self.mark.clone() {
            return Content::Burin(BurinContent {
                operation: Some(operation),
                ..burin
            });
        }
        if self.torn.contains("table") {
            return Content::Foreign("mbr".to_owned());
        }
        if self.table.is_none() {
            return Content::Empty;
        }
        Content::Burin(BurinContent {
            identity: self.has(&["key"]),
            installed: self.has(&["entry"]),
            operation: self
                .table
                .as_ref()
                .filter(|_| self.has(&["record"]))
                .map(|it| it.disk_guid.clone()),
            readable: !self.torn.contains("mkfs system"),
            ..burin
        })
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
        let content = self.content();
        if matches!(&content, Content::Burin(burin) if burin.installed) {
            // Sent back to its disk.
            return self.perform(&Step::Reboot);
        }
        let found = self.table.clone().filter(|_| self.has(&["key", "record"]));
        let goal_layout = found.unwrap_or_else(|| layout(operation));
        let candidates = [Candidate {
            disk: Disk {
                name: "vda".to_owned(),
                ..Disk::default()
            },
            content,
        }];
        let policy = Policy {
            operation: Some(goal_layout.disk_guid.clone()),
            ..Policy::default()
        };
        choose(&candidates, &Selector::Auto, &policy)
            .unwrap_or_else(|refusal| panic!("a person is needed: {refusal}; {self:?}"));
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
        ("record", &["mkfs system", "mkfs data", "mkfs esp"]),
    ] {
        assert!(
            !files.contains(later) || machine.has(earlier),
            "{later} without one of {earlier:?}: {files:?}"
        );
    }
    let both = machine.mark.is_some() && files.contains("record");
    assert!(!both, "an installation with a record is still marked");
    assert!(machine.running.is_none() || machine.has(&["entry"]));
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
