//! `stages` of Kairos (yip): what its steps ask for, as far as a sealed host can have it. What is
//! declared is rendered into `/etc` at each boot; commands run on the installed host, at each boot;
//! nothing runs in the installer.

mod condition;
mod files;
mod settings;

use std::collections::BTreeMap;

use self::condition::Condition;
use super::{Secret, UserData, users};
use crate::yaml::{Entry, Map, Node, Problem, Reader, Value};

pub use files::{Folder, StageFile};

/// What to do about what a sealed root cannot take.
const LAYER: &str = "a layer that has it, because the root is sealed";

/// When the commands of a step run, at each boot of the installed host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// Before the basic system is up.
    Early,
    #[default]
    Boot,
    /// Once the network is up.
    Network,
    /// Five minutes after the boot, then each hour.
    Reconcile,
}

impl When {
    /// For names of files and units.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::Boot => "boot",
            Self::Network => "network",
            Self::Reconcile => "reconcile",
        }
    }
}

/// One step, checked. Users, host name and name servers are with the other keys of user-data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    pub when: When,
    /// IDs of os-release(5) that it is for, `*` at the end for anything more; empty for all.
    pub only_os: Vec<String>,
    pub files: Vec<StageFile>,
    pub folders: Vec<Folder>,
    pub sysctl: BTreeMap<String, String>,
    pub modules: Vec<String>,
    /// Units that start with the system.
    pub enable: Vec<String>,
    pub mask: Vec<String>,
    /// Drop-ins of units: path below `/etc/systemd/system`, text.
    pub overrides: Vec<(String, String)>,
    /// Variables by file below `/etc`.
    pub environment: BTreeMap<String, Vec<(String, Secret)>>,
    /// Settings of systemd-timesyncd.
    pub timesyncd: BTreeMap<String, String>,
    /// Scripts for `/bin/sh`.
    pub commands: Vec<Secret>,
}

/// Where a stage of Kairos is in the life of a host.
enum Place {
    Runs(When),
    /// Changes the image that is installed.
    Image,
    /// While something is installed, replaced or wiped.
    Installer,
}

fn place(stage: &str) -> Option<Place> {
    // `kairos-install.pre.before` has two of them.
    let stem = [".before", ".after", ".pre"]
        .into_iter()
        .fold(stage, |stem, end| stem.strip_suffix(end).unwrap_or(stem));
    Some(match stem {
        "rootfs" | "initramfs" | "fs" => Place::Runs(When::Early),
        "boot" => Place::Runs(When::Boot),
        "network" => Place::Runs(When::Network),
        "reconcile" => Place::Runs(When::Reconcile),
        "after-install-chroot" | "after-upgrade-chroot" | "after-reset-chroot" => Place::Image,
        "before-install" | "after-install" | "before-upgrade" | "after-upgrade"
        | "before-reset" | "after-reset" | "kairos-install" | "kairos-uki-install"
        | "kairos-uki-upgrade" | "kairos-uki-reset" => Place::Installer,
        _ => return None,
    })
}

/// `stages`, and the keys of cloud-init that mean the same.
pub(super) fn read(top: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    if let Some(stages) = reader.map_at(top, "stages") {
        for entry in stages.entries() {
            stage(entry, &stages.name(&entry.key), data, reader);
        }
    }
    let mut step = Step {
        when: When::Early,
        ..Step::default()
    };
    for node in reader.list(top, "bootcmd") {
        step.commands.extend(run_command(node, "bootcmd", reader));
    }
    keep(step, data);
    let mut step = Step::default();
    let bound = &data.install.bind_mounts;
    for node in reader.list(top, "write_files") {
        step.files
            .extend(files::file(node, "write_files", bound, reader));
    }
    for node in reader.list(top, "runcmd") {
        step.commands.extend(run_command(node, "runcmd", reader));
    }
    keep(step, data);
    refuse(top, reader);
}

fn keep(step: Step, data: &mut UserData) {
    let nothing = Step {
        when: step.when,
        only_os: step.only_os.clone(),
        ..Step::default()
    };
    if step != nothing {
        data.stages.push(step);
    }
}

fn stage(entry: &Entry, name: &str, data: &mut UserData, reader: &mut Reader) {
    let mut idle = |why: &str| {
        let message = format!("`{name}` has no effect: {why}");
        reader.push(Problem::warning(entry.line, entry.column, message));
    };
    let place = match place(&entry.key) {
        None => return idle("a burin host has no such stage"),
        Some(Place::Installer) => return idle("nothing of yours runs while burin installs"),
        Some(place) => place,
    };
    // Some documents leave the list out around a single step.
    let steps = match &entry.value.value {
        Value::Sequence(items) => items.as_slice(),
        _ if entry.value.is_null() => &[],
        _ => std::slice::from_ref(&entry.value),
    };
    for node in steps {
        if let Some(map) = reader.map(node, name) {
            step(map, node, &place, data, reader);
        }
    }
}

fn step(mut map: Map<'_>, node: &Node, place: &Place, data: &mut UserData, reader: &mut Reader) {
    let called = map.get("name").and_then(Node::text).unwrap_or_default();
    if called.starts_with("skip-copy-") {
        reader.error(
            node,
            format!("`{called}` must not get onto the disk, and burin would keep it there"),
            "no such step; give the secret another way",
        );
        return;
    }
    let condition = match condition::read(&mut map, node, reader) {
        Condition::Never(why) => {
            reader.warn(node, format!("this step has no effect: {why}"));
            return;
        }
        other => other,
    };
    let mut step = Step::default();
    if let Place::Runs(when) = place {
        step.when = *when;
    }
    if let Condition::OnlyOs(ids) = &condition {
        step.only_os.clone_from(ids);
    }
    commands(&mut map, place, &condition, &mut step, reader);
    if matches!(condition, Condition::Shell(_)) {
        undecided(map, reader);
    } else {
        if matches!(condition, Condition::Always) {
            for_host(&mut map, data, reader);
        }
        files::read(&mut map, &mut step, &data.install.bind_mounts, reader);
        settings::read(&mut map, &mut step, reader);
        refuse(&mut map, reader);
        map.idle(&IDLE, reader);
        map.finish_foreign(reader);
    }
    keep(step, data);
}

/// Kinds of steps that change what is sealed.
const SEALED: [&str; 4] = ["packages", "package_pins", "unpack_images", "git"];
const IDLE: [(&str, &str); 8] = [
    ("after", "steps come in the order of the file"),
    (
        "downloads",
        "nothing says what the content must be; put it in a layer",
    ),
    ("ensure_entities", "write `users`"),
    ("delete_entities", "leave the user out of the layer"),
    (
        "layout",
        "a disk has three partitions, the last takes the rest",
    ),
    ("systemd_firstboot", "write `hostname`"),
    ("datasource", "user-data comes with the ISO"),
    ("if_files", "write `if` with `[ -e path ]`"),
];

fn refuse(map: &mut Map<'_>, reader: &mut Reader) {
    for key in SEALED {
        if let Some(node) = map.get(key) {
            let message = format!("`{}` cannot be done on an installed host", map.name(key));
            reader.error(node, message, LAYER);
        }
    }
}

/// What hangs on a condition that only a shell can decide: `/etc` is rendered before there is one.
fn undecided(map: Map<'_>, reader: &mut Reader) {
    for entry in map.entries() {
        if matches!(entry.key.as_str(), "name" | "if" | "commands" | "after") {
            continue;
        }
        let message = format!(
            "`{}` has no effect: `if` is decided when commands run, and this is rendered before",
            map.name(&entry.key)
        );
        reader.push(Problem::warning(entry.line, entry.column, message));
    }
}

/// Users, keys, host name, name servers: what user-data has keys of its own for.
fn for_host(map: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    users::of_stage(map, data, reader);
    if let Some(name) = super::host_name(map, "hostname", reader) {
        data.hostname.get_or_insert(name);
    }
    if let Some(mut dns) = reader.map_at(map, "dns") {
        let servers = reader.texts(&mut dns, "nameservers");
        let name = dns.name("nameservers");
        let servers = super::network::addresses(&servers, &name, reader).unwrap_or_default();
        for server in servers {
            if !data.network.dns.contains(&server) {
                data.network.dns.push(server);
            }
        }
        let search = reader.texts(&mut dns, "search");
        data.network
            .search
            .extend(search.into_iter().map(|(text, _)| text));
        dns.idle(
            &[
                ("options", "the resolver has its defaults"),
                ("path", "the resolver's file is where the system has it"),
            ],
            reader,
        );
        dns.finish_foreign(reader);
    }
}

fn commands(
    map: &mut Map<'_>,
    place: &Place,
    condition: &Condition,
    step: &mut Step,
    reader: &mut Reader,
) {
    for (text, node) in reader.texts(map, "commands") {
        if matches!(place, Place::Image) {
            let message = "a command cannot change the image of an installed host";
            reader.error(node, message, LAYER);
            continue;
        }
        if text.contains("{{") && text.contains("}}") {
            reader.warn(
                node,
                "templates are not filled in: the command runs as it stands",
            );
        }
        let script = match condition {
            Condition::Shell(test) => format!("if {test}\nthen\n{text}\nfi\n"),
            _ => format!("{}\n", text.trim_end()),
        };
        step.commands.push(Secret::new(script));
    }
}

/// A text, or a list of words that no shell takes apart.
fn run_command(node: &Node, name: &str, reader: &mut Reader) -> Option<Secret> {
    if let Some(text) = node.text() {
        return Some(Secret::new(format!("{}\n", text.trim_end())));
    }
    let Value::Sequence(words) = &node.value else {
        reader.error(node, "this is not a command", "a text, or a list of words");
        return None;
    };
    let words = words.iter().filter_map(|word| reader.text_of(word, name));
    let words: Vec<String> = words
        .map(|word| format!("'{}'", word.replace('\'', "'\\''")))
        .collect();
    Some(Secret::new(format!("{}\n", words.join(" "))))
}
