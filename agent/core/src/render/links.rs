//! The network of the installed host: files of systemd-networkd and the resolver's file.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Access, Input, Link, Rendered};
use crate::network::{DeviceKind, Interface, Network, is_mac};

const NETWORKD: &str = "systemd-networkd.service";
const RESOLVED: &str = "systemd-resolved.service";
const WAIT_ONLINE: &str = "systemd-networkd-wait-online.service";
/// glibc and musl read three (`MAXNS`).
const MOST_SERVERS: usize = 3;
/// Virtual links have a kind: bridges, veth pairs of containers, tunnels (systemd.network(5)).
const WIRED: &str = "Type=ether\nKind=!*\n";

/// Renders what networkd reads, when the image uses it.
pub(super) fn networkd(input: &Input<'_>, out: &mut Rendered) {
    let image = input.image;
    let network = &input.user_data.network;
    if image.has_unit("NetworkManager.service") || !image.has_unit(NETWORKD) {
        if network.all().next().is_some() {
            out.troubles.push(
                "the interfaces of user-data are not rendered: the image has no systemd-networkd \
                 or uses NetworkManager, which configures every wired link by DHCP"
                    .to_owned(),
            );
        }
        return;
    }
    for (path, text) in units(network, &mut out.troubles) {
        out.file(path, text, Access::Public);
    }
    // Routes and rules of the cluster's network are not networkd's to remove.
    out.file(
        "systemd/networkd.conf.d/10-burin.conf",
        "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n".to_owned(),
        Access::Public,
    );
    out.enable(image, NETWORKD, "multi-user.target");
    if image.has_unit("systemd-networkd.socket") {
        out.enable(image, "systemd-networkd.socket", "sockets.target");
    }
    if image.has_unit(WAIT_ONLINE) {
        out.enable(image, WAIT_ONLINE, "network-online.target");
        // A server has sockets without a cable: one link that works is "online".
        out.file(
            format!("systemd/system/{WAIT_ONLINE}.d/10-burin.conf"),
            "[Service]\nExecStart=\n\
             ExecStart=/usr/lib/systemd/systemd-networkd-wait-online --any --timeout=60\n"
                .to_owned(),
            Access::Public,
        );
    }
}

/// Files of networkd by path below `/etc`.
fn units(network: &Network, troubles: &mut Vec<String>) -> BTreeMap<String, String> {
    let search: Vec<&str> = network
        .search
        .iter()
        .map(String::as_str)
        .filter(|domain| {
            let fine = crate::userdata::is_host_name(domain);
            if !fine {
                troubles.push(format!("`{domain}` is not a domain to search"));
            }
            fine
        })
        .collect();
    let mut files = BTreeMap::new();
    let mut add = |key: &str, matching: &str, interface: &Interface| {
        let path = format!("systemd/network/10-burin-{}.network", key.replace(':', "-"));
        files.insert(path, unit(key, matching, interface, network, &search));
    };
    if network.interfaces.is_empty() && network.devices.is_empty() {
        add("wired", WIRED, &Interface::Dhcp { dns: Vec::new() });
    }
    for key in network.cards() {
        let matching = if is_mac(key) {
            // A bond or bridge takes over the MAC of its port; those have a kind. The ports of a bond
            // have its MAC instead of their own.
            let own = if network.master_of(key).is_some() {
                "Permanent"
            } else {
                ""
            };
            format!("{own}MACAddress={key}\n{WIRED}")
        } else {
            format!("Name={key}\n")
        };
        let own = network.interfaces.get(key).unwrap_or(&Interface::Bare);
        add(key, &matching, own);
    }
    for (name, device) in &network.devices {
        add(name, &format!("Name={name}\n"), &device.interface);
    }
    for (name, device) in &network.devices {
        let path = format!("systemd/network/10-burin-{name}.netdev");
        files.insert(path, netdev(name, &device.kind));
        if !matches!(device.kind, DeviceKind::Vlan { .. }) {
            let path = format!("systemd/network/10-burin-{name}.link");
            let text = format!("[Match]\nOriginalName={name}\n\n[Link]\nMACAddressPolicy=none\n");
            files.insert(path, format!("# Rendered by burin at each boot.\n{text}"));
        }
    }
    files
}

/// What networkd makes (systemd.netdev(5)). Bonds and bridges have the MAC of a member, as in the
/// installer, so that the address which DHCP gave there stays; networkd and udev would make one up.
fn netdev(name: &str, kind: &DeviceKind) -> String {
    let (kind, section) = match kind {
        DeviceKind::Vlan { id, .. } => ("vlan", format!("[VLAN]\nId={id}\n")),
        // Without MIIMonitorSec= a bond never notices that a cable is out.
        DeviceKind::Bond { mode, .. } => (
            "bond",
            format!("[Bond]\nMode={}\nMIIMonitorSec=100ms\n", mode.name()),
        ),
        DeviceKind::Bridge { stp, .. } => (
            "bridge",
            format!("[Bridge]\nSTP={}\n", if *stp { "yes" } else { "no" }),
        ),
    };
    let own = if kind == "vlan" {
        ""
    } else {
        "MACAddress=none\n"
    };
    format!(
        "# Rendered by burin at each boot.\n[NetDev]\nName={name}\nKind={kind}\n{own}\n{section}"
    )
}

fn unit(
    key: &str,
    matching: &str,
    interface: &Interface,
    network: &Network,
    search: &[&str],
) -> String {
    let mut text = format!("# Rendered by burin at each boot.\n[Match]\n{matching}\n[Network]\n");
    if let Some(master) = network.master_of(key) {
        let kind = match network.devices.get(master).map(|device| &device.kind) {
            Some(DeviceKind::Bond { .. }) => "Bond",
            _ => "Bridge",
        };
        text.push_str(&format!("{kind}={master}\nLinkLocalAddressing=no\n"));
        return text;
    }
    for vlan in network.vlans_on(key) {
        text.push_str(&format!("VLAN={vlan}\n"));
    }
    let own_dns = match interface {
        Interface::Dhcp { dns } => {
            text.push_str("DHCP=yes\n");
            dns
        }
        Interface::Static {
            addresses,
            gateway,
            dns,
        } => {
            for address in addresses {
                text.push_str(&format!("Address={address}\n"));
            }
            if let Some(gateway) = gateway {
                text.push_str(&format!("Gateway={gateway}\n"));
            }
            dns
        }
        Interface::Bare => {
            text.push_str("LinkLocalAddressing=no\nIPv6AcceptRA=no\n");
            return text;
        }
    };
    let mut servers: Vec<IpAddr> = network.dns.clone();
    servers.extend(own_dns.iter().filter(|one| !network.dns.contains(one)));
    for server in &servers {
        text.push_str(&format!("DNS={server}\n"));
    }
    if !search.is_empty() {
        text.push_str(&format!("Domains={}\n", search.join(" ")));
    }
    if matches!(interface, Interface::Dhcp { .. }) {
        // User-data's servers replace the lease's. The MAC as client ID: as the installer asked, so
        // that the address stays.
        let told = if servers.is_empty() { "yes" } else { "no" };
        text.push_str(&format!(
            "\n[DHCPv4]\nClientIdentifier=mac\nUseDNS={told}\nUseDomains=yes\nUseHostname=no\n\
             \n[IPv6AcceptRA]\nUseDNS={told}\n"
        ));
    }
    text
}

/// The resolver's file: a link to resolved's stub where the image has it, else the servers of
/// user-data, else what the installer was told when it was installed.
pub(super) fn resolver(input: &Input<'_>, out: &mut Rendered) {
    let network = &input.user_data.network;
    if input.image.has_unit(RESOLVED) && !input.image.has_unit("NetworkManager.service") {
        out.enable(input.image, RESOLVED, "sysinit.target");
        out.links.push(Link {
            path: "resolv.conf".to_owned(),
            target: "../run/systemd/resolve/stub-resolv.conf".to_owned(),
        });
        return;
    }
    let mut servers = network.dns.clone();
    for interface in network.all() {
        servers.extend(interface.dns());
    }
    let mut seen = std::collections::BTreeSet::new();
    servers.retain(|server| seen.insert(*server));
    let kept = input.kept_resolver.unwrap_or_default();
    let mut text = String::new();
    if servers.is_empty() {
        servers.extend(told(kept, "nameserver").filter_map(|word| word.parse::<IpAddr>().ok()));
    }
    for server in servers.iter().take(MOST_SERVERS) {
        text.push_str(&format!("nameserver {server}\n"));
    }
    let mut search: Vec<&str> = network.search.iter().map(String::as_str).collect();
    if search.is_empty() {
        search.extend(told(kept, "search"));
    }
    search.retain(|domain| crate::userdata::is_host_name(domain));
    if !search.is_empty() {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    if servers.is_empty() {
        out.troubles
            .push("no name server is known: the image has no systemd-resolved, user-data names no DNS, and none was kept when this host was installed".to_owned());
    }
    out.file("resolv.conf", text, Access::Public);
}

/// The words after a keyword of resolv.conf(5).
fn told<'a>(text: &'a str, keyword: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().flat_map(move |line| {
        let mut words = line.split_whitespace();
        let ours = words.next() == Some(keyword);
        words.filter(move |_| ours)
    })
}
