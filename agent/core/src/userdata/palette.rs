//! The published keys of Palette Edge (`stylus:`), as far as they map onto burin's own.

mod names;

use super::network::{address, is_interface_name, proxy_url, split, warn_of_kernel_name};
use super::{Hub, Secret, UserData, foreign, registries};
use crate::network::{Address, Interface};
use crate::yaml::{Map, Node, Reader};

pub(super) fn read(top: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    let Some(mut stylus) = reader.map_at(top, "stylus") else {
        return;
    };
    for (key, with_hub) in [
        ("managementMode", "central"),
        ("installationMode", "connected"),
    ] {
        if let Some(node) = stylus.get(key)
            && node.text() != Some(with_hub)
        {
            reader.error(
                node,
                format!("`stylus.{key}`: a host without a hub is not supported yet"),
                format!("`{with_hub}`"),
            );
        }
    }
    if let Some(node) = stylus.get("registryCredentials") {
        registries::external(node, "stylus.registryCredentials", "domain", data, reader);
    }
    if let Some(mut map) = reader.map_at(&mut stylus, "externalRegistries") {
        for node in reader.list(&mut map, "registries") {
            let name = "stylus.externalRegistries.registries";
            registries::external(node, name, "domain", data, reader);
        }
        registries::mapping(&mut map, "registryMappingRules", data, reader);
        map.finish_foreign(reader);
    }
    if let Some(site) = reader.map_at(&mut stylus, "site") {
        read_site(site, data, reader);
    }
    stylus.idle(&foreign::STYLUS, reader);
    stylus.finish_foreign(reader);
}

fn read_site(mut site: Map<'_>, data: &mut UserData, reader: &mut Reader) {
    endpoint(&mut site, data, reader);
    if let Some(node) = site.get("edgeHostToken")
        && let Some(token) = reader.text_of(node, "stylus.site.edgeHostToken")
    {
        if burin_api::token::Token::parse(&token).is_ok() {
            data.token = Some(Secret::new(token));
        } else {
            reader.warn(node, "`stylus.site.edgeHostToken` is not a token of a burin hub: make one with `burin-hub token create`");
        }
    }
    names::read(&mut site, data, reader);
    if let Some(name) = super::host_name(&mut site, "hostName", reader) {
        data.hostname = Some(name);
    }
    project(&mut site, data, reader);
    if let Some(tags) = reader.map_at(&mut site, "tags") {
        super::burin::read_labels(&tags, data, reader);
    }
    if let Some(network) = reader.map_at(&mut site, "network") {
        read_network(network, data, reader);
    }
    let ntp = reader.texts(&mut site, "ntpServers");
    data.network
        .ntp
        .extend(ntp.into_iter().map(|(text, _)| text));
    let ca = super::burin::certificates(&mut site, "caCerts", reader);
    data.network.ca.extend(ca);
    if let Some(node) = site.get("insecureSkipVerify")
        && node.text() != Some("false")
    {
        reader.error(
            node,
            "`insecureSkipVerify` would let anybody be the hub",
            "the hub's certificate in `burin.hub.ca`",
        );
    }
    super::users::read(&mut site, "users", data, reader);
    site.idle(&foreign::SITE, reader);
    site.finish_foreign(reader);
}

/// A burin hub has no projects: the name becomes a label, unless a tag of that name says more.
fn project(site: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    let uid = reader.text(site, "projectUid");
    let name = reader.text(site, "projectName").or(uid);
    if let Some(name) = name {
        data.host.labels.insert("project".to_owned(), name);
    }
}

/// Host name, with or without scheme and port.
fn endpoint(site: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    let Some(node) = site.get("paletteEndpoint") else {
        return;
    };
    let Some(text) = reader.text_of(node, "stylus.site.paletteEndpoint") else {
        return;
    };
    let bare = text.trim_start_matches("https://").trim_end_matches('/');
    let host = bare.split(':').next().unwrap_or(bare);
    if host == "spectrocloud.com" || host.ends_with(".spectrocloud.com") {
        reader.error(
            node,
            format!("`{host}` is the service of another product, burin cannot register there"),
            "the address of your burin hub",
        );
        return;
    }
    match super::burin::hub_url(&format!("https://{bare}")) {
        Ok(url) => {
            data.hub = Some(Hub {
                url,
                ..Hub::default()
            });
        }
        Err(why) => reader.error(
            node,
            format!("`stylus.site.paletteEndpoint` {why}"),
            "host or host:port",
        ),
    }
}

fn read_network(mut map: Map<'_>, data: &mut UserData, reader: &mut Reader) {
    let proxy = &mut data.network.proxy;
    for (key, slot) in [
        ("httpProxy", &mut proxy.http),
        ("httpsProxy", &mut proxy.https),
    ] {
        if let Some(node) = map.get(key)
            && let Some(url) = proxy_url(node, &map.name(key), reader)
        {
            *slot = Some(url);
        }
    }
    if let Some(text) = reader.text(&mut map, "noProxy") {
        proxy.no = split(&text);
    }
    if let Some(node) = map.get("nameserver") {
        data.network
            .dns
            .extend(nameservers(node, &map.name("nameserver"), reader));
    }
    if let Some(interfaces) = reader.map_at(&mut map, "interfaces") {
        for entry in interfaces.entries() {
            let name = interfaces.name(&entry.key);
            if !is_interface_name(&entry.key) {
                reader.error(
                    &entry.value,
                    format!("`{}` is not an interface", entry.key),
                    "a name like `eth0`",
                );
                continue;
            }
            warn_of_kernel_name(entry, reader);
            if let Some(interface) = interface(&entry.value, &name, reader) {
                data.network.interfaces.insert(entry.key.clone(), interface);
            }
        }
    }
    map.finish_foreign(reader);
}

/// One address, or several with commas.
fn nameservers(node: &Node, name: &str, reader: &mut Reader) -> Vec<std::net::IpAddr> {
    let Some(text) = reader.text_of(node, name) else {
        return Vec::new();
    };
    let parts = split(&text);
    let parsed: Vec<_> = parts.iter().filter_map(|part| part.parse().ok()).collect();
    if parsed.len() != parts.len() {
        reader.error(
            node,
            format!("`{name}`: `{text}` is not an address"),
            "for example 192.0.2.53",
        );
    }
    parsed
}

fn interface(node: &Node, name: &str, reader: &mut Reader) -> Option<Interface> {
    let mut map = reader.map(node, name)?;
    let kind = reader
        .text(&mut map, "type")
        .unwrap_or_else(|| "dhcp".to_owned());
    let ip = map.get("ipAddress");
    let mask = reader.text(&mut map, "mask");
    let gateway = map.get("gateway");
    let dns = map
        .get("nameserver")
        .map(|node| nameservers(node, &format!("{name}.nameserver"), reader))
        .unwrap_or_default();
    map.finish_foreign(reader);
    match (kind.as_str(), ip.and_then(Node::text)) {
        ("dhcp", _) => Some(Interface::Dhcp { dns }),
        ("static", Some(text)) => {
            // With a prefix, or with the mask in a key of its own.
            let written = if text.contains('/') {
                text.to_owned()
            } else {
                let mask = mask.unwrap_or_default();
                format!(
                    "{text}/{}",
                    crate::network::prefix_of_mask(&mask).map_or(mask, |p| p.to_string())
                )
            };
            let gateway = gateway.and_then(|n| address(n, &format!("{name}.gateway"), reader));
            match written.parse::<Address>() {
                Ok(address) => Some(Interface::Static {
                    addresses: vec![address],
                    gateway,
                    dns,
                }),
                Err(why) => {
                    reader.error(
                        node,
                        format!("`{name}`: `{written}` {why}"),
                        "`ipAddress: 192.0.2.10/24`, or `mask`",
                    );
                    None
                }
            }
        }
        ("static", None) => {
            reader.error(
                node,
                format!("`{name}` is static and has no `ipAddress`"),
                "`ipAddress: 192.0.2.10/24`",
            );
            None
        }
        (other, _) => {
            reader.error(
                node,
                format!("`{name}.type` is `{other}`"),
                "`dhcp` or `static`",
            );
            None
        }
    }
}
