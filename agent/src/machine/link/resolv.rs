//! `/etc/resolv.conf`: what user-data says, else what the links were told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use anyhow::Result;
use burin_core::network::Network;

use super::LinkState;
use crate::machine::file::{self, Mode};

/// glibc and musl read three (`MAXNS`); more only cost time when the first ones are dead.
const MOST: usize = 3;

/// The file's text.
pub(super) fn render(network: &Network, links: &BTreeMap<String, LinkState>) -> String {
    let mut servers: Vec<IpAddr> = network.dns.clone();
    let mut search = network.search.clone();
    for state in links.values() {
        if network.dns.is_empty() {
            servers.extend(&state.dns);
        }
        if network.search.is_empty() {
            search.extend(state.search.iter().cloned());
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    servers.retain(|server| seen.insert(*server));
    let mut text = String::new();
    for server in servers.iter().take(MOST) {
        text.push_str(&format!("nameserver {server}\n"));
    }
    search.sort();
    search.dedup();
    if !search.is_empty() {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    text
}

/// Replaces the file, unless it says the same already.
pub(super) fn write(root: &Path, text: &str) -> Result<()> {
    let path = root.join("etc/resolv.conf");
    if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    file::replace(&path, text.as_bytes(), Mode::Public)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(dns: &[&str], search: &str) -> LinkState {
        LinkState {
            dns: dns.iter().map(|text| text.parse().unwrap()).collect(),
            search: vec![search.to_owned()],
            ..LinkState::default()
        }
    }

    #[test]
    fn links_fill_in_what_user_data_leaves_open() {
        let links = BTreeMap::from([
            (
                "eth0".to_owned(),
                link(&["192.0.2.1", "192.0.2.2"], "shop.example"),
            ),
            (
                "eth1".to_owned(),
                link(&["192.0.2.1", "192.0.2.3", "192.0.2.4"], "shop.example"),
            ),
        ]);
        let mut network = Network::default();
        assert_eq!(
            render(&network, &links),
            "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nsearch shop.example\n"
        );
        network.dns = vec!["198.51.100.1".parse().unwrap()];
        assert_eq!(
            render(&network, &links),
            "nameserver 198.51.100.1\nsearch shop.example\n"
        );
    }

    #[test]
    fn no_server_is_no_line() {
        assert_eq!(render(&Network::default(), &BTreeMap::new()), "");
    }
}
