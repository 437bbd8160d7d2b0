//! The `burin:` block.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use burin_api::event::Severity;

use super::{Hub, Secret, UserData};
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
    super::registries::read(&mut map, data, reader);
    super::image_keys::read(&mut map, data, reader);
    map.idle(
        &[("allowInsecure", "a certificate is checked, always")],
        reader,
    );
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
    if let Some(node) = hub.get("root_version") {
        match node.text().map(str::parse) {
            Some(Ok(version)) => out.root_version = version,
            _ => reader.error(
                node,
                "`burin.hub.root_version` is not a number",
                "the number that `burin-hub user-data` prints",
            ),
        }
    }
    out.ca = certificates(&mut hub, "ca", reader);
    hub.finish(reader);
    data.hub = Some(out);
}

/// A base URL over TLS, without path: `https://host[:port]`.
///
/// # Errors
/// What is wrong with it, to follow the name of the key.
pub fn hub_url(text: &str) -> Result<String, &'static str> {
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
        // Some documents want the PEM in base64 once more.
        let text = unpacked(&text).unwrap_or(text);
        let begins = text.matches("-----BEGIN CERTIFICATE-----").count();
        let ends = text.matches("-----END CERTIFICATE-----").count();
        let long_enough = text.trim().len() > 200;
        let name = map.name(key);
        if begins > 0 && begins == ends && long_enough {
            out.push(text);
        } else if text.contains("BEGIN CERTIFICATE") {
            reader.warn(
                node,
                format!("`{name}` holds no certificate, only its frame"),
            );
        } else {
            reader.error(
                node,
                format!("`{name}` is not a certificate"),
                "-----BEGIN CERTIFICATE-----...",
            );
        }
    }
    out
}

fn unpacked(text: &str) -> Option<String> {
    let plain: String = text.split_whitespace().collect();
    let bytes = BASE64.decode(plain).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.contains("BEGIN CERTIFICATE").then_some(text)
}

fn host(map: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    let Some(mut host) = reader.map_at(map, "host") else {
        return;
    };
    if let Some(id) = reader.text(&mut host, "id") {
        data.host.id = Some(id);
    }
    if let Some(name) = super::host_name(&mut host, "name", reader) {
        data.host.name = Some(name);
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
