//! Network settings, and what follows from them for the links that a host has.

mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use crate::host::{Link, LinkBus};
use crate::userdata::Secret;

pub use ways::ways_out;

/// What user-data says of the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Cards, by name or MAC (lower case). Empty together with `devices`: DHCP on every wired link.
    pub interfaces: BTreeMap<String, Interface>,
    /// VLANs, bonds and bridges, by the name that they get.
    pub devices: BTreeMap<String, Device>,
    pub dns: Vec<IpAddr>,
    pub search: Vec<String>,
    /// Host names or addresses.
    pub ntp: Vec<String>,
    pub proxy: Proxy,
    /// PEM of additional roots for every TLS connection of the host.
    pub ca: Vec<String>,
}

/// How to leave the site. The URLs may hold a password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    pub http: Option<Secret>,
    pub https: Option<Secret>,
    /// Hosts, domains and networks that are reached directly.
    pub no: Vec<String>,
}

/// How one interface gets its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interface {
    /// DHCPv4 and IPv6 router advertisements.
    Dhcp { dns: Vec<IpAddr> },
    Static {
        addresses: Vec<Address>,
        gateway: Option<IpAddr>,
        dns: Vec<IpAddr>,
    },
    /// Up and without addresses: something stands on it.
    Bare,
}

impl Interface {
    /// Its own name servers.
    pub fn dns(&self) -> &[IpAddr] {
        match self {
            Self::Dhcp { dns } | Self::Static { dns, .. } => dns,
            Self::Bare => &[],
        }
    }
}

/// An interface that is made, not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub kind: DeviceKind,
    pub interface: Interface,
}

/// What it is made of. Others are named as in user-data: by name or MAC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceKind {
    Vlan {
        /// 1 to 4094.
        id: u16,
        link: String,
    },
    Bond {
        mode: BondMode,
        members: Vec<String>,
    },
    Bridge {
        /// Spanning tree.
        stp: bool,
        members: Vec<String>,
    },
}

impl DeviceKind {
    /// What it stands on.
    pub fn below(&self) -> &[String] {
        match self {
            Self::Vlan { link, .. } => std::slice::from_ref(link),
            Self::Bond { members, .. } | Self::Bridge { members, .. } => members,
        }
    }
}

/// How a bond uses its members (kernel, networking/bonding).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BondMode {
    /// One works, the others wait: any switch will do.
    #[default]
    ActiveBackup,
    BalanceRr,
    BalanceXor,
    Broadcast,
    /// LACP.
    Ieee8023Ad,
    BalanceTlb,
    BalanceAlb,
}

impl BondMode {
    /// All, in the order in which the kernel numbers them.
    pub const ALL: [Self; 7] = [
        Self::BalanceRr,
        Self::ActiveBackup,
        Self::BalanceXor,
        Self::Broadcast,
        Self::Ieee8023Ad,
        Self::BalanceTlb,
        Self::BalanceAlb,
    ];

    /// The kernel's name, which networkd has as well.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BalanceRr => "balance-rr",
            Self::ActiveBackup => "active-backup",
            Self::BalanceXor => "balance-xor",
            Self::Broadcast => "broadcast",
            Self::Ieee8023Ad => "802.3ad",
            Self::BalanceTlb => "balance-tlb",
            Self::BalanceAlb => "balance-alb",
        }
    }
}

impl Network {
    /// The settings of every interface.
    pub fn all(&self) -> impl Iterator<Item = &Interface> {
        let devices = self.devices.values().map(|device| &device.interface);
        self.interfaces.values().chain(devices)
    }

    /// The bond or bridge that has this as a member, by its name or MAC.
    #[must_use]
    pub fn master_of(&self, key: &str) -> Option<&str> {
        let mut devices = self.devices.iter();
        devices.find_map(|(name, device)| {
            let joins = !matches!(device.kind, DeviceKind::Vlan { .. });
            (joins && device.kind.below().iter().any(|one| one == key)).then_some(name.as_str())
        })
    }

    /// The VLANs on this, by its name or MAC.
    pub fn vlans_on<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.devices.iter().filter_map(move |(name, device)| {
            let on = matches!(&device.kind, DeviceKind::Vlan { link, .. } if link == key);
            on.then_some(name.as_str())
        })
    }

    /// Cards that user-data names anywhere, by the name or MAC that it uses.
    #[must_use]
    pub fn cards(&self) -> BTreeSet<&str> {
        let below = self.devices.values().flat_map(|device| device.kind.below());
        let all = self.interfaces.keys().chain(below).map(String::as_str);
        all.filter(|key| !self.devices.contains_key(*key)).collect()
    }
}

/// An address and the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    pub ip: IpAddr,
    pub prefix: u8,
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ip, prefix) = text.split_once('/').ok_or("has no prefix length")?;
        let ip: IpAddr = ip.parse().map_err(|_| "is not an address")?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = prefix.parse().map_err(|_| "has no prefix length")?;
        if prefix == 0 || prefix > most {
            return Err("has a wrong prefix length");
        }
        if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() {
            return Err("is not the address of a host");
        }
        Ok(Self { ip, prefix })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// Prefix length of an IPv4 mask: 255.255.255.0 is 24. None for a mask with holes.
pub fn prefix_of_mask(mask: &str) -> Option<u8> {
    let bits = u32::from(mask.trim().parse::<Ipv4Addr>().ok()?);
    let prefix = bits.leading_ones();
    (bits.count_ones() == prefix && prefix > 0).then_some(prefix as u8)
}

/// Whether a text is a MAC: six pairs of hex digits with colons.
pub fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() == 6
        && parts
            .iter()
            .all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What to do with one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkPlan {
    /// Kernel name.
    pub link: String,
    pub interface: Interface,
}

/// What to configure on the links that a host has: by MAC or name where user-data names them, DHCP
/// on every wired link where it names none. Members of bonds and bridges are not among them. Also
/// returns the cards of user-data that the host does not have.
pub fn plan(network: &Network, links: &[Link]) -> (Vec<LinkPlan>, Vec<String>) {
    if network.interfaces.is_empty() && network.devices.is_empty() {
        let all = links.iter().filter(|link| link.is_wired());
        let all = all.map(|link| LinkPlan {
            link: link.name.clone(),
            interface: Interface::Dhcp { dns: Vec::new() },
        });
        return (all.collect(), Vec::new());
    }
    let mut plans = Vec::new();
    let mut missing = Vec::new();
    for key in network.cards() {
        let Some(link) = card(key, network, links) else {
            missing.push(key.to_owned());
            continue;
        };
        if network.master_of(key).is_none() {
            let interface = network.interfaces.get(key).unwrap_or(&Interface::Bare);
            plans.push(LinkPlan {
                link: link.name.clone(),
                interface: interface.clone(),
            });
        }
    }
    for (name, device) in &network.devices {
        let made = links.iter().any(|link| link.name == *name);
        if made && network.master_of(name).is_none() {
            plans.push(LinkPlan {
                link: name.clone(),
                interface: device.interface.clone(),
            });
        }
    }
    (plans, missing)
}

/// The devices that can be made of the links that a host has, by name; what they stand on is named
/// as the kernel has it.
pub fn devices(network: &Network, links: &[Link]) -> Vec<(String, DeviceKind)> {
    let found = |key: &String| {
        let made = links.iter().find(|link| link.name == *key);
        let own = made.filter(|_| network.devices.contains_key(key));
        let link = own.or_else(|| card(key, network, links))?;
        Some(link.name.clone())
    };
    let present = |members: &[String]| members.iter().filter_map(found).collect();
    let all = network.devices.iter().filter_map(|(name, device)| {
        let kind = match &device.kind {
            DeviceKind::Vlan { id, link } => DeviceKind::Vlan {
                id: *id,
                link: found(link)?,
            },
            DeviceKind::Bond { mode, members } => DeviceKind::Bond {
                mode: *mode,
                members: present(members),
            },
            DeviceKind::Bridge { stp, members } => DeviceKind::Bridge {
                stp: *stp,
                members: present(members),
            },
        };
        Some((name.clone(), kind))
    });
    all.collect()
}

/// The card that user-data means. A MAC is more particular than a name: what is named by its MAC
/// somewhere is not looked for by its name elsewhere.
fn card<'a>(key: &str, network: &Network, links: &'a [Link]) -> Option<&'a Link> {
    let cards = network.cards();
    let mut hardware = links.iter().filter(|link| link.bus != LinkBus::Virtual);
    if is_mac(key) {
        return hardware.find(|link| link.mac == key);
    }
    hardware.find(|link| {
        let named = link.name == key || link.later_names.iter().any(|name| name == key);
        named && !cards.contains(link.mac.as_str())
    })
}

/// Whether a host is reached without the proxy. `entry` of the list may be `*`, a domain (with or
/// without a leading dot, itself and all below), an address, or a network with a prefix.
pub fn bypasses_proxy(no: &[String], host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).to_lowercase();
    let ip: Option<IpAddr> = host.parse().ok();
    no.iter().any(|entry| {
        let entry = entry.trim().to_lowercase();
        if entry == "*" || entry == host {
            return true;
        }
        if let (Some(ip), Some((net, prefix))) = (ip, entry.split_once('/')) {
            return net
                .parse()
                .is_ok_and(|net| prefix.parse().is_ok_and(|p| in_network(ip, net, p)));
        }
        let domain = entry.trim_start_matches("*.").trim_start_matches('.');
        !domain.is_empty()
            && ip.is_none()
            && host
                .strip_suffix(domain)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

fn in_network(ip: IpAddr, net: IpAddr, prefix: u32) -> bool {
    match (ip, net) {
        (IpAddr::V4(a), IpAddr::V4(b)) if prefix <= 32 => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            u32::from(a) & mask == u32::from(b) & mask
        }
        (IpAddr::V6(a), IpAddr::V6(b)) if prefix <= 128 => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            u128::from(a) & mask == u128::from(b) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
