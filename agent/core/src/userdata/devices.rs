//! `burin.network.vlans`, `bonds` and `bridges`: interfaces that are made.

use std::collections::{BTreeMap, BTreeSet};

use super::network::{INTERFACE, addressing, is_interface, is_interface_name};
use crate::network::{BondMode, Device, DeviceKind, Interface, Network};
use crate::yaml::{Entry, Map, Node, Problem, Reader};

pub(super) fn read(map: &mut Map<'_>, network: &mut Network, reader: &mut Reader) {
    let mut places = BTreeMap::new();
    let kinds: [(&'static str, Parser); 3] =
        [("vlans", vlan), ("bonds", bond), ("bridges", bridge)];
    for (key, parse) in kinds {
        let Some(devices) = reader.map_at(map, key) else {
            continue;
        };
        for entry in devices.entries() {
            let name = devices.name(&entry.key);
            if !is_interface_name(&entry.key) {
                let message = format!("`{}` is not a name for an interface", entry.key);
                reader.push(
                    Problem::error(entry.line, entry.column, message)
                        .expected("at most 15 letters, digits, `.`, `-` and `_`, like `bond0`"),
                );
                continue;
            }
            let taken = network.devices.contains_key(&entry.key)
                || network.interfaces.contains_key(&entry.key.to_lowercase());
            if taken {
                let message = format!("two interfaces are called `{}`", entry.key);
                reader.push(
                    Problem::error(entry.line, entry.column, message).expected("each name once"),
                );
                continue;
            }
            if let Some(device) = device(&entry.value, &name, parse, reader) {
                places.insert(entry.key.clone(), entry);
                network.devices.insert(entry.key.clone(), device);
            }
        }
    }
    check(network, &places, reader);
}

type Parser = fn(&mut Map<'_>, &Node, &str, &mut Reader) -> Option<DeviceKind>;

fn device(node: &Node, name: &str, parse: Parser, reader: &mut Reader) -> Option<Device> {
    let mut map = reader.map(node, name)?;
    let kind = parse(&mut map, node, name, reader);
    let interface = addressing(&mut map, node, name, reader);
    map.finish(reader);
    Some(Device {
        kind: kind?,
        interface: interface?,
    })
}

fn vlan(map: &mut Map<'_>, node: &Node, name: &str, reader: &mut Reader) -> Option<DeviceKind> {
    let link = below(map, "link", name, reader);
    let id = match map.get("id") {
        None => {
            reader.error(node, format!("`{name}` has no `id`"), "`id: 20`");
            None
        }
        Some(at) => {
            let id = at.text().and_then(|text| text.parse().ok());
            let id = id.filter(|id| (1..=4094).contains(id));
            if id.is_none() {
                reader.error(
                    at,
                    format!("`{name}.id` is not the number of a VLAN"),
                    "1 to 4094",
                );
            }
            id
        }
    };
    if map.entry("link").is_none() {
        reader.error(node, format!("`{name}` has no `link`"), "`link: enp1s0`");
    }
    Some(DeviceKind::Vlan {
        id: id?,
        link: link.into_iter().next()?,
    })
}

fn bond(map: &mut Map<'_>, node: &Node, name: &str, reader: &mut Reader) -> Option<DeviceKind> {
    let members = members(map, node, name, reader);
    let mode = match map.get("mode") {
        None => BondMode::default(),
        Some(at) => {
            let mut all = BondMode::ALL.into_iter();
            let Some(mode) = all.find(|mode| at.text() == Some(mode.name())) else {
                reader.error(
                    at,
                    format!("`{name}.mode` is not known"),
                    BondMode::ALL.map(BondMode::name).join(", "),
                );
                return None;
            };
            mode
        }
    };
    Some(DeviceKind::Bond { mode, members })
}

fn bridge(map: &mut Map<'_>, node: &Node, name: &str, reader: &mut Reader) -> Option<DeviceKind> {
    Some(DeviceKind::Bridge {
        stp: reader.boolean(map, "stp").unwrap_or(false),
        members: members(map, node, name, reader),
    })
}

fn members(map: &mut Map<'_>, node: &Node, name: &str, reader: &mut Reader) -> Vec<String> {
    let members = below(map, "members", name, reader);
    if members.is_empty() {
        reader.error(
            node,
            format!("`{name}` has no `members`"),
            "`members: [enp1s0, enp2s0]`",
        );
    }
    members
}

/// What a device stands on, by name or MAC.
fn below(map: &mut Map<'_>, key: &'static str, name: &str, reader: &mut Reader) -> Vec<String> {
    let mut found = Vec::new();
    for (text, at) in reader.texts(map, key) {
        if is_interface(&text) {
            // The names of devices keep their case, MACs have none.
            let mac = crate::network::is_mac(&text);
            found.push(if mac { text.to_lowercase() } else { text });
        } else {
            reader.error(
                at,
                format!("`{name}.{key}`: `{text}` is not an interface"),
                INTERFACE,
            );
        }
    }
    found
}

/// What must hold for all devices together.
fn check(network: &Network, places: &BTreeMap<String, &Entry>, reader: &mut Reader) {
    let mut masters: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, device) in &network.devices {
        let Some(at) = places.get(name) else { continue };
        let mut wrong = |message: String, expected: &str| {
            reader.push(Problem::error(at.line, at.column, message).expected(expected));
        };
        if stands_on(network, name, name, &mut BTreeSet::new()) {
            wrong(format!("`{name}` stands on itself"), "cards at the bottom");
        }
        if matches!(device.kind, DeviceKind::Vlan { .. }) {
            continue;
        }
        for member in device.kind.below() {
            if let Some(other) = masters.insert(member, name) {
                wrong(
                    format!("`{member}` is a member of `{other}` and of `{name}`"),
                    "each member once",
                );
            }
            let own = network.interfaces.get(member);
            let device = network.devices.get(member).map(|device| &device.interface);
            if own.or(device).is_some_and(|own| *own != Interface::Bare) {
                wrong(
                    format!("`{member}` is a member of `{name}` and wants addresses of its own"),
                    "`type: none` with the member",
                );
            }
            let stacked = network.devices.get(member).map(|device| &device.kind);
            let bond = matches!(network.devices[name].kind, DeviceKind::Bond { .. });
            if bond && stacked.is_some() || matches!(stacked, Some(DeviceKind::Bridge { .. })) {
                wrong(
                    format!("`{member}` cannot be a member of `{name}`"),
                    "cards in a bond; cards, bonds and VLANs in a bridge",
                );
            }
        }
    }
}

fn stands_on<'a>(
    network: &'a Network,
    from: &'a str,
    what: &str,
    seen: &mut BTreeSet<&'a str>,
) -> bool {
    let Some(device) = network.devices.get(from).filter(|_| seen.insert(from)) else {
        return false;
    };
    let below = device.kind.below();
    below
        .iter()
        .any(|one| one == what || stands_on(network, one, what, seen))
}
