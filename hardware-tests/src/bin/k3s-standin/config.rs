//! The configuration file and flags of `k3s server`: the keys that K3s knows, no others.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_yaml::Value;

use crate::below;

const DEFAULT_FILE: &str = "/etc/rancher/k3s/config.yaml";
/// Flags of `k3s server` (its documentation, "k3s server"), without the experimental ones.
const KNOWN: [&str; 56] = [
    "advertise-address",
    "advertise-port",
    "agent-token",
    "agent-token-file",
    "bind-address",
    "cluster-cidr",
    "cluster-dns",
    "cluster-domain",
    "cluster-init",
    "cluster-reset",
    "config",
    "container-runtime-endpoint",
    "data-dir",
    "datastore-cafile",
    "datastore-certfile",
    "datastore-endpoint",
    "datastore-keyfile",
    "debug",
    "default-local-storage-path",
    "disable",
    "disable-cloud-controller",
    "disable-helm-controller",
    "disable-kube-proxy",
    "disable-network-policy",
    "egress-selector-mode",
    "embedded-registry",
    "etcd-arg",
    "etcd-expose-metrics",
    "flannel-backend",
    "flannel-iface",
    "helm-job-image",
    "https-listen-port",
    "kube-apiserver-arg",
    "kube-controller-manager-arg",
    "kube-proxy-arg",
    "kube-scheduler-arg",
    "kubelet-arg",
    "node-external-ip",
    "node-ip",
    "node-label",
    "node-name",
    "node-taint",
    "pause-image",
    "prefer-bundled-bin",
    "private-registry",
    "protect-kernel-defaults",
    "resolv-conf",
    "secrets-encryption",
    "server",
    "service-cidr",
    "service-node-port-range",
    "snapshotter",
    "tls-san",
    "token",
    "token-file",
    "write-kubeconfig-mode",
];

/// What the stand-in acts upon. The token is never printed.
pub(crate) struct Config {
    pub(crate) node_name: String,
    pub(crate) labels: Vec<String>,
    pub(crate) token: Option<String>,
    pub(crate) data_dir: String,
    pub(crate) port: u16,
    /// Mode of `k3s.yaml`.
    pub(crate) kubeconfig_mode: u32,
    /// Whether the built-in network is on.
    pub(crate) has_flannel: bool,
}

impl Config {
    /// Reads the file that `--config` names (or the usual one, if it is there), then
    /// `config.yaml.d/*.yaml`, then the flags: later values win, as in K3s.
    pub(crate) fn read(root: &Path, options: &[&str]) -> Result<Self> {
        let flags = parse_flags(options)?;
        let named = flags.get("config").and_then(|values| values.last());
        let file = named.map_or(DEFAULT_FILE, String::as_str);
        let mut settings = BTreeMap::new();
        let path = below(root, file);
        if named.is_some() || path.exists() {
            merge(&mut settings, &path)?;
        }
        for path in parts(&path.with_extension("yaml.d"))? {
            merge(&mut settings, &path)?;
        }
        settings.extend(flags);
        Self::from(root, &settings)
    }

    fn from(root: &Path, settings: &BTreeMap<String, Vec<String>>) -> Result<Self> {
        for key in settings.keys() {
            if !KNOWN.contains(&key.as_str()) {
                bail!("flag provided but not defined: -{key}");
            }
        }
        let last = |key: &str| settings.get(key).and_then(|values| values.last()).cloned();
        let number = |key: &str, radix: u32, default: u32| match last(key) {
            None => Ok(default),
            Some(text) => {
                u32::from_str_radix(&text, radix).with_context(|| format!("{key}: {text:?}"))
            }
        };
        let token = match (last("token"), last("token-file")) {
            (Some(token), _) => Some(token),
            (None, Some(file)) => {
                let path = below(root, &file);
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("reading {}", path.display()))?;
                Some(text.trim().to_owned())
            }
            (None, None) => None,
        };
        let node_name = last("node-name").map_or_else(|| host_name(root), Ok)?;
        Ok(Self {
            node_name: node_name.to_lowercase(),
            labels: settings.get("node-label").cloned().unwrap_or_default(),
            token,
            data_dir: last("data-dir").unwrap_or_else(|| "/var/lib/rancher/k3s".to_owned()),
            port: u16::try_from(number("https-listen-port", 10, 6443)?)
                .context("https-listen-port")?,
            kubeconfig_mode: number("write-kubeconfig-mode", 8, 0o600)?,
            has_flannel: last("flannel-backend").is_none_or(|backend| backend != "none"),
        })
    }
}

fn host_name(root: &Path) -> Result<String> {
    let path = below(root, "/proc/sys/kernel/hostname");
    let name = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(name.trim().to_owned())
}

fn parts(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        files.push(entry?.path());
    }
    files.retain(|file| file.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    Ok(files)
}

fn merge(settings: &mut BTreeMap<String, Vec<String>>, path: &Path) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let value: Option<BTreeMap<String, Value>> =
        serde_yaml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    for (key, value) in value.unwrap_or_default() {
        // `key+:` adds to what earlier files said.
        let (key, adds) = key
            .strip_suffix('+')
            .map_or((key.as_str(), false), |key| (key, true));
        let values = scalars(&value).with_context(|| format!("{key} in {}", path.display()))?;
        let entry = settings.entry(key.to_owned()).or_default();
        if !adds {
            entry.clear();
        }
        entry.extend(values);
    }
    Ok(())
}

fn scalars(value: &Value) -> Result<Vec<String>> {
    Ok(match value {
        Value::Null => Vec::new(),
        Value::Bool(flag) => vec![flag.to_string()],
        Value::Number(number) => vec![number.to_string()],
        Value::String(text) => vec![text.clone()],
        Value::Sequence(list) => {
            let mut all = Vec::new();
            for value in list {
                all.extend(scalars(value)?);
            }
            all
        }
        _ => bail!("expected a value or a list of values"),
    })
}

fn parse_flags(options: &[&str]) -> Result<BTreeMap<String, Vec<String>>> {
    let mut flags: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        let Some(name) = option.strip_prefix("--") else {
            bail!("expected a flag, found {option:?}")
        };
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value),
            None => (
                name,
                *rest
                    .next()
                    .with_context(|| format!("flag needs an argument: -{name}"))?,
            ),
        };
        flags
            .entry(name.to_owned())
            .or_default()
            .push(value.to_owned());
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = below(root.path(), path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn files_then_parts_then_flags_decide() {
        let root = root(&[
            (
                DEFAULT_FILE,
                "token: t1\nnode-name: Edge-1\nnode-label: [a=1]\nflannel-backend: none\n",
            ),
            (
                "/etc/rancher/k3s/config.yaml.d/10.yaml",
                "node-label+: [b=2]\nhttps-listen-port: 7443\n",
            ),
        ]);
        let config = Config::read(root.path(), &["--token", "t2"]).unwrap();
        assert_eq!(config.node_name, "edge-1");
        assert_eq!(config.labels, ["a=1", "b=2"]);
        assert_eq!((config.port, config.has_flannel), (7443, false));
        assert_eq!(config.token.as_deref(), Some("t2"));
    }

    #[test]
    fn a_key_that_k3s_does_not_know_stops_it_as_it_stops_k3s() {
        let root = root(&[(DEFAULT_FILE, "node-name: a\nflanel-backend: none\n")]);
        let error = Config::read(root.path(), &[]).err().unwrap().to_string();
        assert_eq!(error, "flag provided but not defined: -flanel-backend");
        let error = Config::read(root.path(), &["--config", "/none.yaml"])
            .err()
            .unwrap();
        assert!(format!("{error:#}").contains("none.yaml"));
    }
}
