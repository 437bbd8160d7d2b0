//! `burin.network`.

use std::net::IpAddr;

use super::UserData;
use crate::network::{Address, Interface, Proxy};
use crate::yaml::{Entry, Map, Node, Problem, Reader};

pub(super) fn read(map: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    let Some(mut network) = reader.map_at(map, "network") else {
        return;
    };
    if let Some(interfaces) = reader.map_at(&mut network, "interfaces") {
        for entry in interfaces.entries() {
            let name = interfaces.name(&entry.key);
            if !is_interface(&entry.key) {
                let message = format!("`{}` is not an interface", entry.key);
                reader.push(Problem::error(entry.line, entry.column, message).expected(INTERFACE));
                continue;
            }
            warn_of_kernel_name(entry, reader);
            if let Some(interface) = interface(&entry.value, &name, reader) {
                let key = entry.key.to_lowercase();
                data.network.interfaces.insert(key, interface);
            }
        }
    }
    super::devices::read(&mut network, &mut data.network, reader);
    let dns = reader.texts(&mut network, "dns");
    if let Some(addresses) = addresses(&dns, "burin.network.dns", reader) {
        data.network.dns = addresses;
    }
    let search: Vec<String> = reader
        .texts(&mut network, "search")
        .into_iter()
        .map(|(t, _)| t)
        .collect();
    if !search.is_empty() {
        data.network.search = search;
    }
    let ntp: Vec<String> = reader
        .texts(&mut network, "ntp")
        .into_iter()
        .map(|(t, _)| t)
        .collect();
    if !ntp.is_empty() {
        data.network.ntp = ntp;
    }
    if let Some(proxy) = reader.map_at(&mut network, "proxy") {
        read_proxy(proxy, &mut data.network.proxy, reader);
    }
    let ca = super::burin::certificates(&mut network, "ca", reader);
    data.network.ca.extend(ca);
    network.finish(reader);
}

fn read_proxy(mut map: Map<'_>, proxy: &mut Proxy, reader: &mut Reader) {
    for (key, slot) in [("http", &mut proxy.http), ("https", &mut proxy.https)] {
        if let Some(node) = map.get(key)
            && let Some(url) = proxy_url(node, &map.name(key), reader)
        {
            *slot = Some(url);
        }
    }
    let no = reader.texts(&mut map, "no");
    if !no.is_empty() {
        proxy.no = no.iter().flat_map(|(text, _)| split(text)).collect();
    }
    map.finish(reader);
}

/// `http://[user:password@]host:port`; the password makes it a secret.
pub(super) fn proxy_url(node: &Node, name: &str, reader: &mut Reader) -> Option<super::Secret> {
    let text = reader.text_of(node, name)?;
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let fine = rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.chars().any(|c| c.is_whitespace() || c.is_control())
    });
    if fine {
        return Some(super::Secret::new(text));
    }
    // The URL may carry a password: it is not shown.
    reader.error(
        node,
        format!("`{name}` is not a URL of a proxy"),
        "http://proxy.example:3128",
    );
    None
}

/// A comma separated list without empty parts.
pub(super) fn split(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The kernel counts cards in the order in which it finds them; the systems of today rename them.
pub(super) fn warn_of_kernel_name(entry: &Entry, reader: &mut Reader) {
    let digits = entry.key.strip_prefix("eth").unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        let message = format!(
            "`{}` is the kernel's name, which an installed host mostly changes: write the MAC, or a \
             name like `enp1s0`",
            entry.key
        );
        reader.push(Problem::warning(entry.line, entry.column, message));
    }
}

pub(super) const INTERFACE: &str = "a name like `enp1s0` or a MAC like `a8:a1:59:00:00:01`";

pub(super) fn is_interface(name: &str) -> bool {
    crate::network::is_mac(name) || is_interface_name(name)
}

/// What the kernel takes as a name (`dev_valid_name`): at most 15 bytes, no slash, no space, no
/// colon.
pub(super) fn is_interface_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 15
        && !matches!(name, "." | ".." | "lo")
        && name
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':'))
}

fn interface(node: &Node, name: &str, reader: &mut Reader) -> Option<Interface> {
    let mut map = reader.map(node, name)?;
    let found = addressing(&mut map, node, name, reader);
    map.finish(reader);
    found
}

/// The keys that every interface has: `type`, `address`, `addresses`, `gateway`, `dns`.
pub(super) fn addressing(
    map: &mut Map<'_>,
    node: &Node,
    name: &str,
    reader: &mut Reader,
) -> Option<Interface> {
    let kind = reader.text(map, "type");
    let mut written = reader.texts(map, "addresses");
    written.extend(reader.texts(map, "address"));
    let gateway = map.get("gateway");
    let dns = reader.texts(map, "dns");
    let dns = addresses(&dns, &format!("{name}.dns"), reader).unwrap_or_default();
    match (kind.as_deref(), written.is_empty()) {
        (Some("dhcp") | None, true) => Some(Interface::Dhcp { dns }),
        (Some("none"), true) => Some(Interface::Bare),
        (Some("static") | None, none) => {
            if none {
                reader.error(
                    node,
                    format!("`{name}` is static and has no address"),
                    "`address: 192.0.2.10/24`",
                );
            }
            let gateway =
                gateway.and_then(|node| address(node, &format!("{name}.gateway"), reader));
            Some(Interface::Static {
                addresses: with_prefix(&written, reader),
                gateway,
                dns,
            })
        }
        (Some(kind @ ("dhcp" | "none")), false) => {
            reader.error(
                node,
                format!("`{name}` has `type: {kind}` and an address"),
                "`type: static`, or no address",
            );
            None
        }
        (Some(other), _) => {
            reader.error(
                node,
                format!("`{name}.type` is `{other}`"),
                "`dhcp`, `static` or `none`",
            );
            None
        }
    }
}

fn with_prefix(written: &[(String, &Node)], reader: &mut Reader) -> Vec<Address> {
    let mut addresses = Vec::new();
    for (text, at) in written {
        match text.parse::<Address>() {
            Ok(address) => addresses.push(address),
            Err(why) => reader.error(
                at,
                format!("`{text}` {why}"),
                "an address with its prefix, like `192.0.2.10/24`",
            ),
        }
    }
    addresses
}

pub(super) fn address(node: &Node, name: &str, reader: &mut Reader) -> Option<IpAddr> {
    let text = reader.text_of(node, name)?;
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => {
            reader.error(
                node,
                format!("`{name}`: `{text}` is not an address"),
                "for example 192.0.2.1",
            );
            None
        }
    }
}

pub(super) fn addresses(
    texts: &[(String, &Node)],
    name: &str,
    reader: &mut Reader,
) -> Option<Vec<IpAddr>> {
    if texts.is_empty() {
        return None;
    }
    Some(
        texts
            .iter()
            .filter_map(|(_, node)| address(node, name, reader))
            .collect(),
    )
}
