use proptest::prelude::*;

use super::*;
use crate::host::LinkBus;

fn link(name: &str, mac: &str, bus: LinkBus) -> Link {
    Link {
        name: name.to_owned(),
        mac: mac.to_owned(),
        bus,
        ..Link::default()
    }
}

fn links() -> Vec<Link> {
    vec![
        link("lo", "", LinkBus::Virtual),
        link("enp1s0", "a8:a1:59:00:00:01", LinkBus::Onboard),
        link("enp2s0", "a8:a1:59:00:00:02", LinkBus::Onboard),
        Link {
            wireless: true,
            ..link("wlan0", "a8:a1:59:00:00:03", LinkBus::Onboard)
        },
    ]
}

#[test]
fn without_settings_every_wired_link_asks_for_an_address() {
    let (plans, missing) = plan(&Network::default(), &links());
    let names: Vec<_> = plans.iter().map(|p| p.link.as_str()).collect();
    assert_eq!(names, ["enp1s0", "enp2s0"]);
    assert!(missing.is_empty());
}

#[test]
fn named_links_are_found_by_mac_before_name() {
    let fixed = |text: &str| Interface::Static {
        addresses: vec![text.parse().unwrap()],
        gateway: None,
        dns: Vec::new(),
    };
    let network = Network {
        interfaces: BTreeMap::from([
            ("a8:a1:59:00:00:02".to_owned(), fixed("192.0.2.2/24")),
            ("enp2s0".to_owned(), fixed("192.0.2.9/24")),
            ("eth7".to_owned(), Interface::Dhcp { dns: Vec::new() }),
        ]),
        ..Network::default()
    };
    let (plans, missing) = plan(&network, &links());
    assert_eq!(plans.len(), 1);
    assert_eq!(
        (plans[0].link.as_str(), &plans[0].interface),
        ("enp2s0", &fixed("192.0.2.2/24"))
    );
    assert_eq!(missing, ["enp2s0", "eth7"]);
}

fn device(kind: DeviceKind, interface: Interface) -> Device {
    Device { kind, interface }
}

fn stacked() -> Network {
    let bond = DeviceKind::Bond {
        mode: BondMode::ActiveBackup,
        members: vec![
            "a8:a1:59:00:00:01".to_owned(),
            "enp2s0".to_owned(),
            "enp9s0".to_owned(),
        ],
    };
    let vlan = DeviceKind::Vlan {
        id: 7,
        link: "bond0".to_owned(),
    };
    Network {
        devices: BTreeMap::from([
            ("bond0".to_owned(), device(bond, Interface::Bare)),
            (
                "v7".to_owned(),
                device(vlan, Interface::Dhcp { dns: Vec::new() }),
            ),
        ]),
        ..Network::default()
    }
}

#[test]
fn devices_are_made_of_the_cards_that_are_there() {
    let network = stacked();
    let mut links = links();
    links.retain(|link| link.name != "enp2s0");
    // Another kernel name, and the name that udev would give.
    links.push(Link {
        later_names: vec!["enp2s0".to_owned()],
        ..link("eth1", "a8:a1:59:00:00:02", LinkBus::Onboard)
    });
    let made = devices(&network, &links);
    let DeviceKind::Bond { members, .. } = &made[0].1 else {
        panic!()
    };
    assert_eq!(members, &["enp1s0", "eth1"]);
    assert_eq!(made.len(), 1, "the VLAN waits for its bond");
    let (plans, missing) = plan(&network, &links);
    assert_eq!((plans.len(), missing), (0, vec!["enp9s0".to_owned()]));
    links.push(link("bond0", "a8:a1:59:00:00:01", LinkBus::Virtual));
    assert_eq!(
        devices(&network, &links)[1].1,
        DeviceKind::Vlan {
            id: 7,
            link: "bond0".to_owned()
        }
    );
    links.push(link("v7", "a8:a1:59:00:00:01", LinkBus::Virtual));
    let (plans, _) = plan(&network, &links);
    let plans: Vec<_> = plans
        .iter()
        .map(|p| (p.link.as_str(), &p.interface))
        .collect();
    assert_eq!(
        plans,
        [
            ("bond0", &Interface::Bare),
            ("v7", &Interface::Dhcp { dns: Vec::new() })
        ]
    );
}

#[test]
fn a_card_below_a_vlan_is_raised_without_addresses() {
    let vlan = DeviceKind::Vlan {
        id: 7,
        link: "enp1s0".to_owned(),
    };
    let network = Network {
        devices: BTreeMap::from([(
            "v7".to_owned(),
            device(vlan, Interface::Dhcp { dns: Vec::new() }),
        )]),
        ..Network::default()
    };
    let (plans, _) = plan(&network, &links());
    assert_eq!(plans.len(), 1);
    assert_eq!(
        (plans[0].link.as_str(), &plans[0].interface),
        ("enp1s0", &Interface::Bare)
    );
}

#[test]
fn addresses_have_a_prefix_that_fits() {
    for (text, fine) in [
        ("192.0.2.10/24", true),
        ("2001:db8::1/64", true),
        ("192.0.2.10", false),
        ("192.0.2.10/33", false),
        ("192.0.2.10/0", false),
        ("127.0.0.1/8", false),
        ("0.0.0.0/8", false),
        ("224.0.0.1/4", false),
        ("x/24", false),
    ] {
        assert_eq!(text.parse::<Address>().is_ok(), fine, "{text}");
    }
    assert_eq!(
        "192.0.2.10/24".parse::<Address>().unwrap().to_string(),
        "192.0.2.10/24"
    );
}

#[test]
fn masks_without_holes_have_a_prefix() {
    for (mask, want) in [
        ("255.255.255.0", Some(24)),
        ("255.255.252.0", Some(22)),
        ("255.255.255.255", Some(32)),
        ("255.0.255.0", None),
        ("0.0.0.0", None),
        ("24", None),
    ] {
        assert_eq!(prefix_of_mask(mask), want, "{mask}");
    }
}

#[test]
fn the_proxy_is_passed_by_for_what_is_listed() {
    let no: Vec<String> = [
        ".corp.example",
        "hub.site",
        "10.0.0.0/8",
        "192.0.2.7",
        "fd00::/8",
    ]
    .map(String::from)
    .to_vec();
    for (host, want) in [
        ("registry.corp.example", true),
        ("corp.example", true),
        ("notcorp.example", false),
        ("hub.site", true),
        ("a.hub.site", true),
        ("10.1.2.3", true),
        ("11.1.2.3", false),
        ("192.0.2.7", true),
        ("[fd00::1]", true),
        ("fe80::1", false),
        ("HUB.SITE", true),
    ] {
        assert_eq!(bypasses_proxy(&no, host), want, "{host}");
    }
    assert!(bypasses_proxy(&["*".to_owned()], "any.example"));
    assert!(!bypasses_proxy(&[String::new()], "any.example"));
    assert!(bypasses_proxy(&["0.0.0.0/0".to_owned()], "1.2.3.4"));
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(a in "\\PC{0,40}", b in "[0-9./:*a-f]{0,30}") {
        let _ = (b.parse::<Address>(), prefix_of_mask(&b), is_mac(&a));
        let _ = bypasses_proxy(&[a.clone(), b.clone()], &b);
    }
}
