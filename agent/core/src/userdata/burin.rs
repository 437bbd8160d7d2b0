//! The `burin:` block.

use burin_api::event::Severity;

use super::{Hub, RegistryCredentials, Secret, UserData};
use crate::checks;
use crate::oci::Digest;
use crate::yaml::{Map, Problem, Reader, nearest};

pub(super) fn read(top: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    let Some(mut map) = reader.map_at(top, "burin") else {
        return;
    };
    hub(&mut map, data, reader);
    if let Some(node) = map.get("token")
        && let Some(text) = reader.text_of(node, "burin.token")
    {
        match burin_api::token::Token::parse(&text) {
            Ok(_) => data.token = Some(Secret::new(text)),
            // The token itself never goes into a message.
            Err(err) => reader.error(
                node,
                format!("`burin.token` is not a token: {err}"),
                "BRN1-... as `burin-hub token create` printed it",
            ),
        }
    }
    host(&mut map, data, reader);
    lowered(&mut map, data, reader);
    super::network::read(&mut map, data, reader);
    registries(&mut map, data, reader);
    map.not_honoured(&["allowInsecure"], reader);
    map.finish(reader);
}

fn hub(map: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    let Some(mut hub) = reader.map_at(map, "hub") else {
        return;
    };
    let mut out = Hub::default();
    match hub.get("url") {
        None => {
            if let Some(entry) = map.entry("hub") {
                reader.error(
                    &entry.value,
                    "`burin.hub` has no `url`",
                    "`url: https://...`",
                );
            }
        }
        Some(node) => {
            if let Some(text) = reader.text_of(node, "burin.hub.url") {
                match hub_url(&text) {
                    Ok(url) => out.url = url,
                    Err(why) => {
                        reader.error(node, format!("`burin.hub.url` {why}"), "https://host:port")
                    }
                }
            }
        }
    }
    if let Some(node) = hub.get("root")
        && let Some(text) = reader.text_of(node, "burin.hub.root")
    {
        match text.parse::<Digest>() {
            Ok(digest) => out.root = Some(digest.to_string()),
            Err(err) => reader.error(
                node,
                format!("`burin.hub.root`: {err}"),
                "sha256:<64 hex digits>",
            ),
        }
    }
    out.ca = certificates(&mut hub, "ca", reader);
    hub.finish(reader);
    data.hub = Some(out);
}

/// A base URL over TLS, without path: `https://host[:port]`.
pub(super) fn hub_url(text: &str) -> Result<String, &'static str> {
    let rest = text
        .strip_prefix("https://")
        .ok_or("does not start with https://")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '@']) {
        return Err("has more than a host and a port");
    }
    // The rules for the name of a registry are those of host and port.
    format!("{rest}/x")
        .parse::<crate::oci::Reference>()
        .map(|_| ())
        .or_else(|_| {
            if super::is_host_name(rest) {
                Ok(())
            } else {
                Err("names no host")
            }
        })?;
    Ok(format!("https://{rest}"))
}

/// PEM certificates below a key. A placeholder without a body is a warning, not a certificate.
pub(super) fn certificates(
    map: &mut Map<'_>,
    key: &'static str,
    reader: &mut Reader,
) -> Vec<String> {
    let mut out = Vec::new();
    for (text, node) in reader.texts(map, key) {
        let begins = text.matches("-----BEGIN CERTIFICATE-----").count();
        let ends = text.matches("-----END CERTIFICATE-----").count();
        let long_enough = text.trim().len() > 200;
        if begins > 0 && begins == ends && long_enough {
            out.push(text);
        } else if text.contains("BEGIN CERTIFICATE") {
            reader.warn(
                node,
                format!("`{}` holds no certificate, only its frame", map.name(key)),
            );
        } else {
            let name = map.name(key);
            reader.error(
                node,
                format!("`{name}` is not a certificate"),
                "-----BEGIN CERTIFICATE-----...",
            );
        }
    }
    out
}

fn host(map: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    let Some(mut host) = reader.map_at(map, "host") else {
        return;
    };
    if let Some(id) = reader.text(&mut host, "id") {
        data.host.id = Some(id);
    }
    if let Some(node) = host.get("name")
        && let Some(name) = reader.text_of(node, "burin.host.name")
    {
        if super::is_host_name(&name) {
            data.host.name = Some(name);
        } else {
            reader.error(
                node,
                format!("`{name}` is not a host name"),
                super::HOST_NAME,
            );
        }
    }
    if let Some(labels) = reader.map_at(&mut host, "labels") {
        read_labels(&labels, data, reader);
    }
    host.finish(reader);
}

/// Labels may have any scalar as value: numbers stay as they were written.
pub(super) fn read_labels(labels: &Map<'_>, data: &mut UserData, reader: &mut Reader) {
    for entry in labels.entries() {
        let name = labels.name(&entry.key);
        if entry.key.is_empty() || entry.key.len() > 63 {
            reader.push(
                Problem::error(entry.line, entry.column, format!("`{name}` is not a label"))
                    .expected("1 to 63 characters"),
            );
        } else if let Some(text) = reader.text_of(&entry.value, &name) {
            data.host.labels.insert(entry.key.clone(), text);
        }
    }
}

fn lowered(map: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    let Some(lowered) = reader.map_at(map, "checks") else {
        return;
    };
    for entry in lowered.entries() {
        if !checks::NAMES.contains(&entry.key.as_str()) {
            let expected = nearest(&entry.key, checks::NAMES).map_or_else(
                || checks::NAMES.join(", "),
                |word| format!("`{word}`, perhaps"),
            );
            reader.push(
                Problem::error(
                    entry.line,
                    entry.column,
                    format!("no check is called `{}`", entry.key),
                )
                .expected(expected),
            );
            continue;
        }
        let severity = match entry.value.text() {
            Some("warn") => Severity::Warn,
            Some("ok") => Severity::Ok,
            _ => {
                let message = format!("`{}` is not a severity", lowered.name(&entry.key));
                reader.error(&entry.value, message, "`warn` or `ok`");
                continue;
            }
        };
        data.checks.insert(entry.key.clone(), severity);
    }
}

fn registries(map: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    for node in reader.list(map, "registries") {
        let Some(mut item) = reader.map(node, "burin.registries") else {
            continue;
        };
        let mut out = RegistryCredentials {
            host: reader.text(&mut item, "host").unwrap_or_default(),
            username: reader.text(&mut item, "username"),
            password: reader.text(&mut item, "password").map(Secret),
            plain_http: reader.boolean(&mut item, "plain_http").unwrap_or(false),
            ca: certificates(&mut item, "ca", reader),
            token_realm: None,
        };
        if let Some(realm) = item.get("token_realm")
            && let Some(text) = reader.text_of(realm, "burin.registries.token_realm")
        {
            if text.starts_with("https://") || (out.plain_http && text.starts_with("http://")) {
                out.token_realm = Some(text);
            } else {
                reader.error(
                    realm,
                    "`burin.registries.token_realm` is not safe",
                    "an https:// URL",
                );
            }
        }
        if format!("{}/x", out.host)
            .parse::<crate::oci::Reference>()
            .is_err()
        {
            reader.error(
                node,
                "`burin.registries.host` is missing or not a host",
                "`host: registry.example:5000`",
            );
        }
        if out.username.is_some() != out.password.is_some() {
            reader.error(
                node,
                "a registry has a username without a password or the other way round",
                "both or none",
            );
        }
        if out.plain_http && out.password.is_some() {
            reader.error(
                node,
                "a password would go over the network for everybody to read",
                "`plain_http: false`, or no password",
            );
        }
        item.finish(reader);
        data.registries.push(out);
    }
}
