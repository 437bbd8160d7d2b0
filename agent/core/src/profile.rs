//! The profile document: which images make a host, which Kubernetes, when it counts as healthy.
//! See docs/profile.md.

mod arguments;
mod kubernetes;
mod layers;

use std::collections::BTreeMap;

use burin_api::desired::{Health, HealthCheck, Kubernetes, LayerKind};

use crate::oci::Reference;
use crate::yaml::{self, Entry, Map, Node, Problem, Reader, Value};

pub use arguments::{check_argument, duration};

/// A profile as its author wrote it, checked; references are not yet resolved to digests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileDocument {
    pub name: String,
    pub version: String,
    /// In the order of the document, which is the order of the merge.
    pub layers: Vec<LayerDocument>,
    pub kubernetes: Option<Kubernetes>,
    pub health: Health,
    /// Extra arguments for the kernel; `selinux: off` is among them.
    pub cmdline: Vec<String>,
    /// What has no effect, and why.
    pub warnings: Vec<Problem>,
}

/// One layer of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDocument {
    pub kind: LayerKind,
    /// Unique in the profile.
    pub name: String,
    pub source: LayerSource,
    /// Target path -> path in the image. When not empty, only these files are taken.
    pub files: BTreeMap<String, String>,
    pub replaces_system: bool,
    /// Names of keys of which one has to have signed the image.
    pub verify: Vec<String>,
    /// Where it stands in the document, for what publishing finds out later.
    pub line: usize,
    pub column: usize,
}

/// Where the content of a layer comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerSource {
    Image(Reference),
    /// File name -> YAML text.
    Inline(BTreeMap<String, String>),
}

/// Reads a profile.
///
/// # Errors
/// Every problem, warnings included, when at least one is an error.
pub fn parse(text: &str) -> Result<ProfileDocument, Vec<Problem>> {
    let root = yaml::parse(text).map_err(|problem| vec![problem])?;
    let mut reader = Reader::default();
    let mut profile = ProfileDocument::default();
    match &root {
        None => reader.push(
            Problem::error(1, 1, "the profile is empty".to_owned())
                .expected("`apiVersion: burin/v1`"),
        ),
        Some(root) => {
            if let Some(top) = reader.map(root, "") {
                read(top, root, &mut profile, &mut reader);
            }
        }
    }
    profile.warnings = reader.finish()?;
    Ok(profile)
}

fn read(mut top: Map<'_>, root: &Node, profile: &mut ProfileDocument, reader: &mut Reader) {
    constant(&mut top, root, "apiVersion", "burin/v1", reader);
    constant(&mut top, root, "kind", "Profile", reader);
    metadata(&mut top, root, profile, reader);
    layers::read(&mut top, root, profile, reader);
    health(&mut top, profile, reader);
    for (text, node) in reader.texts(&mut top, "cmdline") {
        for argument in text.split_whitespace() {
            match check_argument(argument) {
                Ok(()) => profile.cmdline.push(argument.to_owned()),
                Err(why) => reader.error(
                    node,
                    format!("`{argument}` {why}"),
                    "another argument, or none",
                ),
            }
        }
    }
    if let Some(node) = top.get("selinux") {
        match node.text() {
            // YAML 1.1 would read `off` as false; both mean the same here.
            Some("off" | "false") => profile.cmdline.push("selinux=0".to_owned()),
            _ => reader.error(
                node,
                "`selinux` can only be turned off",
                "`off`, or leave it out",
            ),
        }
    }
    top.finish(reader);
    network_is_there(profile, reader);
}

fn constant(top: &mut Map<'_>, root: &Node, key: &'static str, want: &str, reader: &mut Reader) {
    match top.get(key) {
        Some(node) if node.text() == Some(want) => {}
        Some(node) => reader.error(
            node,
            format!("`{key}` is not known"),
            format!("`{key}: {want}`"),
        ),
        None => reader.error(
            root,
            format!("`{key}` is missing"),
            format!("`{key}: {want}`"),
        ),
    }
}

fn metadata(top: &mut Map<'_>, root: &Node, profile: &mut ProfileDocument, reader: &mut Reader) {
    let Some(mut map) = reader.map_at(top, "metadata") else {
        if top.entry("metadata").is_none() {
            reader.error(
                root,
                "`metadata` is missing",
                "`metadata: { name: ..., version: 1.0.0 }`",
            );
        }
        return;
    };
    match map.get("name") {
        Some(node) if node.text().is_some_and(is_name) => {
            profile.name = node.text().unwrap_or_default().to_owned();
        }
        other => reader.error(
            other.unwrap_or(root),
            "`metadata.name` is missing or not a name",
            "at most 63 small letters, digits and `-`",
        ),
    }
    match map.get("version") {
        Some(node)
            if node
                .text()
                .is_some_and(|t| semver::Version::parse(t).is_ok()) =>
        {
            profile.version = node.text().unwrap_or_default().to_owned();
        }
        other => reader.error(
            other.unwrap_or(root),
            "`metadata.version` is missing or not a version",
            "three numbers, like `1.4.0`",
        ),
    }
    map.finish(reader);
}

/// Names that are also file names and parts of URLs.
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn health(top: &mut Map<'_>, profile: &mut ProfileDocument, reader: &mut Reader) {
    let Some(mut map) = reader.map_at(top, "health") else {
        return;
    };
    for (key, slot, least, most) in [
        ("deadline", &mut profile.health.deadline, 10, 86_400),
        ("soak", &mut profile.health.soak, 0, 86_400),
    ] {
        let Some(node) = map.get(key) else { continue };
        match node.text().and_then(duration) {
            Some(seconds) if (least..=most).contains(&seconds) => *slot = seconds,
            _ => reader.error(
                node,
                format!("`health.{key}` is not a duration"),
                format!("{least}s to {most}s, for example `15m`"),
            ),
        }
    }
    for node in reader.list(&mut map, "checks") {
        if let Some(check) = health_check(node, reader) {
            profile.health.checks.push(check);
        }
    }
    map.finish(reader);
}

fn health_check(node: &Node, reader: &mut Reader) -> Option<HealthCheck> {
    let mut map = reader.map(node, "health.checks")?;
    let http = map.get("http");
    let command = reader.texts(&mut map, "command");
    map.finish(reader);
    match (http, command.is_empty()) {
        (Some(at), true) => {
            let url = reader.text_of(at, "health.checks.http")?;
            let rest = url
                .strip_prefix("http://")
                .or_else(|| url.strip_prefix("https://"));
            if rest.is_none_or(|r| {
                r.is_empty() || r.starts_with('/') || r.contains(char::is_whitespace)
            }) {
                reader.error(
                    at,
                    format!("`{url}` is not a URL"),
                    "https://127.0.0.1:8443/healthz",
                );
                return None;
            }
            Some(HealthCheck::Http(url))
        }
        (None, false) => {
            let words: Vec<String> = command.into_iter().map(|(text, _)| text).collect();
            if !words[0].starts_with('/') {
                reader.error(
                    node,
                    "a command starts with an absolute path",
                    "`command: [/usr/bin/test, -e, /x]`",
                );
                return None;
            }
            Some(HealthCheck::Command(words))
        }
        _ => {
            reader.error(
                node,
                "a check is one of `http` and `command`",
                "`http: https://...`",
            );
            None
        }
    }
}

/// A node without a network never becomes ready, so such a profile can never be healthy.
fn network_is_there(profile: &ProfileDocument, reader: &mut Reader) {
    let Some(kubernetes) = &profile.kubernetes else {
        return;
    };
    let manifests = profile
        .layers
        .iter()
        .any(|l| l.kind == LayerKind::Manifests);
    if manifests || built_in_network(kubernetes) {
        return;
    }
    let layer = profile
        .layers
        .iter()
        .find(|l| l.kind == LayerKind::Kubernetes);
    let (line, column) = layer.map_or((1, 1), |l| (l.line, l.column));
    reader.push(
        Problem::error(
            line,
            column,
            "Kubernetes has no network: a node without one never becomes ready".to_owned(),
        )
        .expected("a `manifests` layer with a network, or `config: { flannel-backend: vxlan }`"),
    );
}

/// Whether the distribution's own network is turned on: it is off unless the profile says so.
pub fn built_in_network(kubernetes: &Kubernetes) -> bool {
    kubernetes
        .config
        .get("flannel-backend")
        .and_then(|v| v.as_str())
        .is_some_and(|backend| backend != "none")
}

/// The only key of a layer and its value.
fn single(node: &Node) -> Option<&Entry> {
    match &node.value {
        Value::Mapping(entries) if entries.len() == 1 => entries.first(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
