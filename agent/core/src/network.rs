//! Network settings, and what follows from them for the links that a host has.

mod ways;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use crate::host::Link;
use crate::userdata::Secret;

pub use ways::ways_out;

/// What user-data says of the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// By interface name or MAC (lower case). Empty: DHCP on every wired link.
    pub interfaces: BTreeMap<String, Interface>,
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
/// on every wired link where it names none. Also returns the names of user-data that no link has.
pub fn plan(network: &Network, links: &[Link]) -> (Vec<LinkPlan>, Vec<String>) {
    let wired = links.iter().filter(|l| l.is_wired());
    if network.interfaces.is_empty() {
        let all = wired
            .map(|l| LinkPlan {
                link: l.name.clone(),
                interface: Interface::Dhcp { dns: Vec::new() },
            })
            .collect();
        return (all, Vec::new());
    }
    let mut plans = Vec::new();
    let mut missing: Vec<String> = network.interfaces.keys().cloned().collect();
    for link in links
        .iter()
        .filter(|l| l.bus != crate::host::LinkBus::Virtual)
    {
        // A MAC is more particular than a name.
        let found = [&link.mac, &link.name]
            .into_iter()
            .find_map(|key| network.interfaces.get_key_value(&key.to_lowercase()));
        if let Some((key, interface)) = found {
            missing.retain(|m| m != key);
            plans.push(LinkPlan {
                link: link.name.clone(),
                interface: interface.clone(),
            });
        }
    }
    (plans, missing)
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
