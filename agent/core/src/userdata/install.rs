//! The `install:` block: disk and what happens around the installation.

use super::{UserData, foreign};
use crate::layout::{DEFAULT_SYSTEM, Existing, Selector, parse_size};
use crate::persistent::may_be_bound;
use crate::profile::check_argument;
use crate::yaml::{Map, Node, Problem, Reader, Value};

/// How to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    pub device: Selector,
    /// What to do with foreign data on the disk.
    pub existing: Existing,
    /// What to do when everything is written.
    pub then: Then,
    /// Bytes of the system partition.
    pub system_size: u64,
    /// More folders that persist, absolute.
    pub bind_mounts: Vec<String>,
    /// More arguments for the kernel of the installed host.
    pub cmdline: Vec<String>,
}

/// What follows an installation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Then {
    #[default]
    Reboot,
    PowerOff,
    /// Stay and wait for a person.
    Stay,
}

impl Default for Install {
    fn default() -> Self {
        Self {
            device: Selector::Auto,
            existing: Existing::Keep,
            then: Then::Reboot,
            system_size: DEFAULT_SYSTEM,
            bind_mounts: Vec::new(),
            cmdline: Vec::new(),
        }
    }
}

pub(super) fn read(top: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    let Some(mut map) = reader.map_at(top, "install") else {
        return;
    };
    let install = &mut data.install;
    if let Some(node) = map.get("device") {
        match selector(node, reader) {
            Ok(selector) => install.device = selector,
            Err(why) => reader.error(
                node,
                format!("`install.device` {why}"),
                "`auto`, /dev/..., or a mapping of serial, wwn, model, bus, min-size, ssd, pick",
            ),
        }
    }
    if reader.boolean(&mut map, "wipe") == Some(true) {
        install.existing = Existing::Wipe;
    }
    install.then = then(&mut map, reader);
    if let Some(node) = map.get("system-size") {
        match node.text().and_then(parse_size) {
            Some(size) if size >= crate::layout::LEAST_SYSTEM => install.system_size = size,
            _ => reader.error(
                node,
                "`install.system-size` is not a size",
                "a size of at least 4GiB, like `24GiB`",
            ),
        }
    }
    for (path, node) in reader.texts(&mut map, "bind_mounts") {
        if is_bind_path(&path) {
            install.bind_mounts.push(path);
        } else {
            reader.error(
                node,
                format!("`{path}` cannot persist"),
                "an absolute path outside of what is verified, like /srv/data",
            );
        }
    }
    grub_options(&mut map, data, reader);
    protection(&mut map, reader);
    map.idle(&foreign::INSTALL, reader);
    map.finish_foreign(reader);
}

/// What makes a host safer may not be passed over: its owner would believe that it is there.
fn protection(map: &mut Map<'_>, reader: &mut Reader) {
    if let Some(node) = map.get("encrypted_partitions")
        && !matches!(&node.value, Value::Sequence(items) if items.is_empty())
    {
        let message = "`install.encrypted_partitions`: burin does not encrypt the disk yet";
        reader.error(node, message, "no such key, when the disk may be readable");
    }
    if let Some(node) = map.get("ssh_hardening")
        && node.text() != Some("false")
    {
        reader.error(
            node,
            "`install.ssh_hardening` is not done by burin",
            "your settings in /etc/ssh/sshd_config.d, as `files` of a step in `stages`",
        );
    }
}

/// What `reboot` and `poweroff` say together.
fn then(map: &mut Map<'_>, reader: &mut Reader) -> Then {
    let reboot = reader.boolean(map, "reboot");
    let power_off = reader.boolean(map, "poweroff");
    match (reboot, power_off) {
        (Some(true), Some(true)) => {
            if let Some(entry) = map.entry("poweroff") {
                reader.push(
                    Problem::error(
                        entry.line,
                        entry.column,
                        "`install.reboot` and `install.poweroff` are both asked for".to_owned(),
                    )
                    .expected("one of them"),
                );
            }
            Then::Reboot
        }
        (_, Some(true)) => Then::PowerOff,
        (Some(false), _) => Then::Stay,
        _ => Then::Reboot,
    }
}

fn grub_options(map: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    let Some(mut options) = reader.map_at(map, "grub_options") else {
        return;
    };
    if let Some(node) = options.get("extra_cmdline")
        && let Some(text) = reader.text_of(node, "install.grub_options.extra_cmdline")
    {
        for argument in text.split_whitespace() {
            match check_argument(argument) {
                Ok(()) => data.install.cmdline.push(argument.to_owned()),
                Err(why) => reader.error(
                    node,
                    format!("`{argument}` {why}"),
                    "another argument, or none",
                ),
            }
        }
    }
    options.idle(&foreign::GRUB, reader);
    options.finish_foreign(reader);
}

/// A path that fits into a mount table and hides nothing that the generation verifies or renders.
fn is_bind_path(path: &str) -> bool {
    may_be_bound(path) && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
}

fn selector(node: &Node, reader: &mut Reader) -> Result<Selector, String> {
    match (&node.value, node.text()) {
        (_, Some("auto")) => Ok(Selector::Auto),
        (_, Some(path)) if path.starts_with("/dev/") && !path.contains("..") => {
            Ok(Selector::Path(path.to_owned()))
        }
        (_, Some(script)) if script.starts_with("script://") => {
            Err("is a script, which is not supported".to_owned())
        }
        (_, Some(other)) => Err(format!("is `{other}`")),
        (Value::Mapping(_), None) => match reader.map(node, "install.device") {
            Some(map) => fields(map, reader),
            None => Err("is not a mapping".to_owned()),
        },
        _ => Err(format!("is {}", node.kind())),
    }
}

fn fields(mut map: Map<'_>, reader: &mut Reader) -> Result<Selector, String> {
    let mut fields = crate::layout::Fields {
        serial: reader.text(&mut map, "serial"),
        wwn: reader.text(&mut map, "wwn"),
        model: reader.text(&mut map, "model"),
        bus: reader.text(&mut map, "bus"),
        ssd: reader.boolean(&mut map, "ssd"),
        ..Default::default()
    };
    if let Some(node) = map.get("min-size") {
        match node.text().and_then(parse_size) {
            Some(size) => fields.min_size = Some(size),
            None => reader.error(
                node,
                "`install.device.min-size` is not a size",
                "for example `200GB`",
            ),
        }
    }
    if let Some(node) = map.get("pick") {
        match node.text() {
            Some("smallest") => fields.pick = Some(crate::layout::Pick::Smallest),
            Some("largest") => fields.pick = Some(crate::layout::Pick::Largest),
            _ => reader.error(
                node,
                "`install.device.pick` is not known",
                "`smallest` or `largest`",
            ),
        }
    }
    map.finish(reader);
    if fields == crate::layout::Fields::default() {
        return Err("selects nothing".to_owned());
    }
    Ok(Selector::Fields(Box::new(fields)))
}
