//! VLANs, bonds and bridges.

use super::super::*;
use super::told;
use crate::network::{BondMode, DeviceKind, Interface};

fn network(text: &str) -> String {
    format!("#cloud-config\nburin:\n  network:\n{text}")
}

#[test]
fn devices_are_read() {
    let text = network(
        "    interfaces:
      enp1s0: { type: none }
    bonds:
      bond0: { members: [enp1s0, A8:A1:59:00:00:02], mode: 802.3ad, type: none }
    vlans:
      bond0.20: { id: 20, link: bond0, address: 192.0.2.10/24, gateway: 192.0.2.1, dns: 192.0.2.53 }
    bridges:
      br0: { members: [enp3s0], stp: true }
",
    );
    let data = parse(&text).unwrap();
    assert_eq!(data.warnings, []);
    let devices = &data.network.devices;
    let bond = &devices["bond0"];
    let members = ["enp1s0".to_owned(), "a8:a1:59:00:00:02".to_owned()];
    assert_eq!(
        bond.kind,
        DeviceKind::Bond {
            mode: BondMode::Ieee8023Ad,
            members: members.to_vec()
        }
    );
    assert_eq!(bond.interface, Interface::Bare);
    let vlan = &devices["bond0.20"];
    assert_eq!(
        vlan.kind,
        DeviceKind::Vlan {
            id: 20,
            link: "bond0".to_owned()
        }
    );
    assert!(matches!(&vlan.interface, Interface::Static { addresses, .. } if addresses.len() == 1));
    let bridge = &devices["br0"];
    assert!(matches!(&bridge.kind, DeviceKind::Bridge { stp: true, .. }));
    assert_eq!(bridge.interface, Interface::Dhcp { dns: Vec::new() });
}

const MISTAKES: [(&str, &str); 11] = [
    (
        "    vlans: { v: { id: 4095, link: enp1s0 } }",
        "4:23: error: `burin.network.vlans.v.id` is not the number of a VLAN; expected 1 to 4094",
    ),
    (
        "    vlans: { v: { id: 2 } }",
        "4:17: error: `burin.network.vlans.v` has no `link`; expected `link: enp1s0`",
    ),
    (
        "    vlans: { v: { link: enp1s0 } }",
        "4:17: error: `burin.network.vlans.v` has no `id`; expected `id: 20`",
    ),
    (
        "    vlans: { much-too-long-name: { id: 2, link: enp1s0 } }",
        "4:14: error: `much-too-long-name` is not a name for an interface; expected at most 15 letters, digits, `.`, `-` and `_`, like `bond0`",
    ),
    (
        "    bonds: { b: { members: [x], mode: lacp } }",
        "4:39: error: `burin.network.bonds.b.mode` is not known; expected balance-rr, active-backup, balance-xor, broadcast, 802.3ad, balance-tlb, balance-alb",
    ),
    (
        "    bonds: { b: {} }",
        "4:17: error: `burin.network.bonds.b` has no `members`; expected `members: [enp1s0, enp2s0]`",
    ),
    (
        "    bonds: { b: { members: [x] }, c: { members: [x] } }",
        "4:35: error: `x` is a member of `b` and of `c`; expected each member once",
    ),
    (
        "    interfaces: { x: {} }\n    bridges: { b: { members: [x] } }",
        "5:16: error: `x` is a member of `b` and wants addresses of its own; expected `type: none` with the member",
    ),
    (
        "    vlans: { v: { id: 2, link: w }, w: { id: 3, link: v } }",
        "4:14: error: `v` stands on itself; expected cards at the bottom",
    ),
    (
        "    bonds: { b: { members: [x] } }\n    vlans: { b: { id: 2, link: x } }",
        "4:14: error: two interfaces are called `b`; expected each name once",
    ),
    (
        "    interfaces: { eth0: {} }\n    vlan: {}",
        "5:5: error: unknown key `burin.network.vlan`; expected `vlans`, perhaps",
    ),
];

#[test]
fn mistakes_in_devices_are_told() {
    for (text, want) in MISTAKES {
        let told = told(&network(text));
        assert!(told.iter().any(|t| t == want), "{text}\n{told:#?}\n{want}");
    }
}

#[test]
fn a_name_that_changes_is_warned_about() {
    let told = told(&network("    interfaces: { eth0: {}, ethernet: {} }"));
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("4:19: warning: `eth0` is the kernel's name"),
        "{told:?}"
    );
}
