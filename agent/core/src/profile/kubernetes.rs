//! The Kubernetes layer's own keys.

use std::collections::BTreeMap;

use burin_api::desired::Kubernetes;

use crate::yaml::{Map, Node, Problem, Reader};

/// Keys that decide where the data lies and who may join: burin renders them.
const OURS: [&str; 6] = [
    "data-dir",
    "config",
    "token",
    "token-file",
    "agent-token",
    "agent-token-file",
];

pub(super) fn kubernetes(
    map: &mut Map<'_>,
    node: &Node,
    reader: &mut Reader,
) -> Option<Kubernetes> {
    let distribution = distribution(map, node, reader);
    let version = version(map, node, reader);
    let config = config(map, reader);
    Some(Kubernetes {
        distribution: distribution?,
        version: version?,
        config,
    })
}

fn distribution(map: &mut Map<'_>, node: &Node, reader: &mut Reader) -> Option<String> {
    match map.get("distribution").map(|n| (n, n.text())) {
        Some((_, Some("k3s"))) => Some("k3s".to_owned()),
        Some((at, Some(other @ ("rke2" | "kubeadm" | "canonical")))) => {
            reader.error(at, format!("`{other}` is not supported yet"), "`k3s`");
            None
        }
        Some((at, _)) => {
            reader.error(at, "the distribution is not known", "`k3s`");
            None
        }
        None => {
            reader.error(node, "`distribution` is missing", "`distribution: k3s`");
            None
        }
    }
}

fn version(map: &mut Map<'_>, node: &Node, reader: &mut Reader) -> Option<String> {
    match map.get("version") {
        Some(at) => match at.text().filter(|t| is_kubernetes_version(t)) {
            Some(text) => Some(text.to_owned()),
            None => {
                reader.error(
                    at,
                    "this is not a supported version of Kubernetes",
                    "1.26 or later, like `v1.33.4+k3s1`",
                );
                None
            }
        },
        None => {
            reader.error(node, "`version` is missing", "`version: v1.33.4+k3s1`");
            None
        }
    }
}

fn config(map: &mut Map<'_>, reader: &mut Reader) -> BTreeMap<String, serde_json::Value> {
    let mut config = BTreeMap::new();
    if let Some(given) = reader.map_at(map, "config") {
        for entry in given.entries() {
            if OURS.contains(&entry.key.as_str()) {
                reader.push(
                    Problem::error(
                        entry.line,
                        entry.column,
                        format!("`{}` is set by burin alone", given.name(&entry.key)),
                    )
                    .expected("a profile without it"),
                );
            } else {
                config.insert(entry.key.clone(), entry.value.to_json());
            }
        }
    }
    config
}

fn is_kubernetes_version(text: &str) -> bool {
    text.strip_prefix('v')
        .and_then(|t| semver::Version::parse(t).ok())
        .is_some_and(|v| v.major == 1 && v.minor >= 26)
}
