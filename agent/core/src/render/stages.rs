//! What the steps of `stages` ask for: files of `/etc`, lines of tmpfiles.d(5) for places that are
//! mounted later, settings of systemd's early services, and units that run commands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Access, Input, Link, Rendered};
use crate::userdata::{Secret, Step, When};

/// Where the scripts are, below `/etc`.
const SCRIPTS: &str = "burin/stages";
/// How long the commands of a stage may take: they may wait for the network, but not for ever.
const LIMIT: &str = "30min";
/// The same where everything else waits for them. A command that asks systemd to start something
/// there waits for itself.
const EARLY_LIMIT: &str = "2min";

pub(super) fn render(input: &Input<'_>, out: &mut Rendered) {
    let stages = input.user_data.stages.iter();
    let steps: Vec<&Step> = stages
        .filter(|step| is_for(step, &input.image.os))
        .collect();
    let mut lines = String::new();
    for step in &steps {
        files(step, &mut lines, out);
    }
    settings(&steps, out);
    units(&steps, out);
    environment(input, &steps, out);
    if commands(input, &steps, out) {
        // By this file steps find out that they run on an installed host.
        lines.push_str("f /run/cos/active_mode 0644 root root -\n");
    }
    if !lines.is_empty() {
        // Contents of files may be secrets.
        out.file("tmpfiles.d/50-burin-stages.conf", lines, Access::Private);
    }
}

fn is_for(step: &Step, os: &str) -> bool {
    let mut ids = step.only_os.iter();
    step.only_os.is_empty()
        || ids.any(|id| match id.strip_suffix('*') {
            Some(start) => os.starts_with(start),
            None => os == id,
        })
}

fn files(step: &Step, lines: &mut String, out: &mut Rendered) {
    for folder in &step.folders {
        let (user, group) = (&folder.owner.user, &folder.owner.group);
        lines.push_str(&format!(
            "d {} {:04o} {user} {group} -\n",
            folder.path, folder.mode
        ));
    }
    for file in &step.files {
        let (user, group) = (&file.owner.user, &file.owner.group);
        let text = file.content.expose();
        let Some(below) = file.below_etc() else {
            let text = escaped(text);
            lines.push_str(&format!(
                "f+ {} {:04o} {user} {group} - {text}\n",
                file.path, file.mode
            ));
            continue;
        };
        out.file(below, text.to_owned(), Access::Mode(file.mode));
        if !file.owner.is_root() {
            // Names have numbers only once the system reads its own files of accounts.
            lines.push_str(&format!(
                "z {} {:04o} {user} {group} -\n",
                file.path, file.mode
            ));
        }
    }
}

/// An argument of tmpfiles.d(5): backslashes and then specifiers are taken out of it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(char::from(byte)),
            b'_' | b'-' | b'.' | b'/' | b':' | b'=' | b',' => out.push(char::from(byte)),
            b'%' => out.push_str("%%"),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out
}

fn settings(steps: &[&Step], out: &mut Rendered) {
    let mut sysctl = String::new();
    let mut modules = BTreeSet::new();
    let mut timesyncd = BTreeMap::new();
    for step in steps {
        for (key, value) in &step.sysctl {
            sysctl.push_str(&format!("{key} = {value}\n"));
        }
        modules.extend(step.modules.iter().map(String::as_str));
        timesyncd.extend(&step.timesyncd);
    }
    if !sysctl.is_empty() {
        out.file("sysctl.d/90-burin-stages.conf", sysctl, Access::Public);
    }
    if !modules.is_empty() {
        let lines = modules
            .into_iter()
            .map(|module| format!("{module}\n"))
            .collect();
        out.file("modules-load.d/90-burin-stages.conf", lines, Access::Public);
    }
    if !timesyncd.is_empty() {
        let lines: String = timesyncd
            .into_iter()
            .map(|(key, value)| format!("{key}={value}\n"))
            .collect();
        let text = format!("[Time]\n{lines}");
        out.file(
            "systemd/timesyncd.conf.d/20-burin-stages.conf",
            text,
            Access::Public,
        );
    }
}

fn units(steps: &[&Step], out: &mut Rendered) {
    let mut wanted = BTreeSet::new();
    for step in steps {
        wanted.extend(step.enable.iter().map(String::as_str));
        for unit in &step.mask {
            out.links.push(Link {
                path: format!("systemd/system/{unit}"),
                target: "/dev/null".to_owned(),
            });
        }
        for (path, text) in &step.overrides {
            out.file(
                format!("systemd/system/{path}"),
                text.clone(),
                Access::Public,
            );
        }
    }
    if !wanted.is_empty() {
        // Which target a unit itself wants to be wanted by is in the image, which is not read here.
        let wanted: Vec<&str> = wanted.into_iter().collect();
        let text = format!("[Unit]\nWants={}\n", wanted.join(" "));
        out.file(
            "systemd/system/multi-user.target.d/50-burin-stages.conf",
            text,
            Access::Public,
        );
    }
}

fn environment(input: &Input<'_>, steps: &[&Step], out: &mut Rendered) {
    let mut files: BTreeMap<&str, Vec<&(String, Secret)>> = BTreeMap::new();
    for step in steps {
        for (path, variables) in &step.environment {
            files.entry(path).or_default().extend(variables);
        }
    }
    for (path, variables) in files {
        let lines: String = variables
            .into_iter()
            .map(|(name, value)| format!("{name}={}\n", quoted(value.expose())))
            .collect();
        let rendered = out.files.iter_mut().find(|file| file.path == path);
        if let Some(file) = rendered {
            file.text = format!("{}\n{lines}", file.text.trim_end());
            continue;
        }
        let image = input
            .image
            .environment
            .as_deref()
            .filter(|_| path == "environment");
        let image = image
            .map(|text| format!("{}\n", text.trim_end()))
            .unwrap_or_default();
        let access = if path == "environment" {
            Access::Public
        } else {
            Access::Private
        };
        out.file(path, format!("{}{lines}", image.trim_start()), access);
    }
}

/// Quotes that pam_env(8) and systemd both understand, where they are needed.
fn quoted(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:=,@+%".contains(&b);
    if value.bytes().all(plain) {
        value.to_owned()
    } else {
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// Units that run the commands; whether there are any.
fn commands(input: &Input<'_>, steps: &[&Step], out: &mut Rendered) -> bool {
    let mut stages: BTreeMap<When, Vec<&Secret>> = BTreeMap::new();
    for step in steps {
        stages.entry(step.when).or_default().extend(&step.commands);
    }
    stages.retain(|_, commands| !commands.is_empty());
    if !stages.is_empty() && !input.image.has("/bin/sh") {
        out.troubles
            .push("the commands of user-data do not run: the image has no /bin/sh".to_owned());
        return false;
    }
    for (when, commands) in &stages {
        let name = when.name();
        let mut text = head(*when);
        for (number, command) in commands.iter().enumerate() {
            // One file for each: a mistake in one must not keep the others from running.
            let path = format!("{SCRIPTS}/{name}-{:03}.sh", number + 1);
            // Writing to a text cannot fail.
            let _infallible = writeln!(text, "ExecStart=-/bin/sh /etc/{path}");
            out.file(path, command.expose().to_owned(), Access::Private);
        }
        let unit = format!("burin-stage-{name}");
        out.file(
            format!("systemd/system/{unit}.service"),
            text,
            Access::Public,
        );
        let (kind, target) = match when {
            When::Early => ("service", "sysinit.target"),
            When::Reconcile => ("timer", "timers.target"),
            When::Boot | When::Network => ("service", "multi-user.target"),
        };
        if *when == When::Reconcile {
            let text = "[Unit]\nDescription=Commands of user-data, each hour\n\n\
                        [Timer]\nOnBootSec=5min\nOnUnitInactiveSec=60min\n";
            out.file(
                format!("systemd/system/{unit}.timer"),
                text.to_owned(),
                Access::Public,
            );
        }
        out.links.push(Link {
            path: format!("systemd/system/{target}.wants/{unit}.{kind}"),
            target: format!("/etc/systemd/system/{unit}.{kind}"),
        });
    }
    !stages.is_empty()
}

/// Everything of a unit but what it runs.
fn head(when: When) -> String {
    let order = match when {
        When::Early => {
            "DefaultDependencies=no\nAfter=local-fs.target systemd-tmpfiles-setup.service\n\
             Before=sysinit.target shutdown.target\nConflicts=shutdown.target\n"
        }
        When::Boot | When::Reconcile => "",
        When::Network => "Wants=network-online.target\nAfter=network-online.target\n",
    };
    let limit = if when == When::Early {
        EARLY_LIMIT
    } else {
        LIMIT
    };
    let stay = if when == When::Reconcile {
        ""
    } else {
        "RemainAfterExit=yes\n"
    };
    format!(
        "# Rendered by burin at each boot.\n[Unit]\nDescription=Commands of user-data, stage {}\n\
         {order}\n[Service]\nType=oneshot\n{stay}TimeoutStartSec={limit}\n",
        when.name()
    )
}
