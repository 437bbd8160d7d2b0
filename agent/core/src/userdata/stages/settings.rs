//! Kernel settings, modules, units, variables and time of steps.

use super::Step;
use crate::userdata::Secret;
use crate::yaml::{Map, Node, Reader};

/// What systemd calls a unit by its end.
const KINDS: [&str; 7] = [
    ".service", ".socket", ".timer", ".path", ".target", ".mount", ".swap",
];

pub(super) fn read(map: &mut Map<'_>, step: &mut Step, reader: &mut Reader) {
    sysctl(map, step, reader);
    for (text, node) in reader.texts(map, "modules") {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if !text.is_empty() && text.bytes().all(plain) {
            step.modules.push(text);
        } else {
            reader.error(
                node,
                format!("`{text}` is not a module"),
                "for example `br_netfilter`",
            );
        }
    }
    systemctl(map, step, reader);
    environment(map, step, reader);
    if let Some(settings) = reader.map_at(map, "timesyncd") {
        for entry in settings.entries() {
            let name = settings.name(&entry.key);
            if let Some(value) = line(&entry.value, &name, reader)
                && is_word(&entry.key, &entry.value, &name, reader)
            {
                step.timesyncd.insert(entry.key.clone(), value);
            }
        }
    }
}

fn sysctl(map: &mut Map<'_>, step: &mut Step, reader: &mut Reader) {
    let Some(settings) = reader.map_at(map, "sysctl") else {
        return;
    };
    for entry in settings.entries() {
        let name = settings.name(&entry.key);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/*".contains(&b);
        if entry.key.is_empty() || !entry.key.bytes().all(plain) {
            let message = format!("`{name}` is not a setting of the kernel");
            reader.error(
                &entry.value,
                message,
                "for example `vm.max_map_count: 262144`",
            );
        } else if let Some(value) = line(&entry.value, &name, reader) {
            step.sysctl.insert(entry.key.clone(), value);
        }
    }
}

fn systemctl(map: &mut Map<'_>, step: &mut Step, reader: &mut Reader) {
    let Some(mut units) = reader.map_at(map, "systemctl") else {
        return;
    };
    for key in ["enable", "start"] {
        for (text, node) in reader.texts(&mut units, key) {
            step.enable.extend(unit(&text, node, reader));
        }
    }
    for (text, node) in reader.texts(&mut units, "mask") {
        step.mask.extend(unit(&text, node, reader));
    }
    for node in reader.list(&mut units, "overrides") {
        step.overrides.extend(drop_in(node, reader));
    }
    units.idle(
        &[(
            "disable",
            "write `mask`, or leave the unit out of the layer",
        )],
        reader,
    );
    units.finish_foreign(reader);
}

/// The name of a unit; a service where no kind is named.
fn unit(text: &str, node: &Node, reader: &mut Reader) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b":_.@-".contains(&b);
    if text.is_empty() || text.len() > 200 || text.starts_with('.') || !text.bytes().all(plain) {
        reader.error(
            node,
            format!("`{text}` is not a unit"),
            "for example `ssh.service`",
        );
        return None;
    }
    if text.starts_with("burin") {
        reader.error(node, format!("`{text}` is burin's own"), "another unit");
        return None;
    }
    let has_kind = KINDS.iter().any(|kind| text.ends_with(kind));
    Some(if has_kind {
        text.to_owned()
    } else {
        format!("{text}.service")
    })
}

fn drop_in(node: &Node, reader: &mut Reader) -> Option<(String, String)> {
    let mut map = reader.map(node, "systemctl.overrides")?;
    let service = map.get("service");
    let name = reader
        .text(&mut map, "name")
        .unwrap_or_else(|| "override.conf".to_owned());
    let content = reader.text(&mut map, "content").unwrap_or_default();
    map.finish_foreign(reader);
    let Some(service) = service else {
        reader.error(node, "an override names no `service`", "`service: ssh`");
        return None;
    };
    let unit = unit(service.text().unwrap_or_default(), service, reader)?;
    let stem = name.strip_suffix(".conf").unwrap_or(&name);
    if stem.is_empty()
        || !stem
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    {
        reader.error(
            node,
            format!("`{name}` is not a name for a drop-in"),
            "`10-site.conf`",
        );
        return None;
    }
    Some((format!("{unit}.d/{stem}.conf"), content))
}

fn environment(map: &mut Map<'_>, step: &mut Step, reader: &mut Reader) {
    let file = map.get("environment_file");
    let path = file.and_then(Node::text).unwrap_or("/etc/environment");
    let Some(variables) = reader.map_at(map, "environment") else {
        return;
    };
    let plain = path.bytes().all(|b| b.is_ascii_graphic()) && !path.contains("..");
    let Some(below) = super::files::below_etc(path).filter(|_| plain) else {
        // Kairos itself reads such a file in its initramfs.
        let message =
            format!("`environment` in {path} has no effect: only files below /etc are rendered");
        reader.warn(
            file.unwrap_or_else(|| &variables.entries()[0].value),
            message,
        );
        return;
    };
    for entry in variables.entries() {
        let name = variables.name(&entry.key);
        let key = entry.key.as_str();
        let is_name = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_name {
            reader.error(
                &entry.value,
                format!("`{key}` is not a variable"),
                "`NAME: value`",
            );
        } else if let Some(value) = line(&entry.value, &name, reader) {
            let file = step.environment.entry(below.to_owned()).or_default();
            file.push((entry.key.clone(), Secret::new(value)));
        }
    }
}

/// A value of one line.
fn line(node: &Node, name: &str, reader: &mut Reader) -> Option<String> {
    let text = reader.text_of(node, name)?;
    if text.chars().any(char::is_control) {
        reader.error(node, format!("`{name}` has more than one line"), "one line");
        return None;
    }
    Some(text)
}

fn is_word(key: &str, node: &Node, name: &str, reader: &mut Reader) -> bool {
    let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric());
    if !plain {
        reader.error(
            node,
            format!("`{name}` is not a setting"),
            "for example `NTP`",
        );
    }
    plain
}
