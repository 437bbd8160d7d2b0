//! Manifests that lie in the server's folder are applied once for each content, as K3s's deploy
//! controller does; of what they say, only a network's DaemonSet has an effect.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::below;

/// Where the container runtime of a K3s without its own network looks for one.
pub(crate) const NETWORK_FOLDER: &str = "/etc/cni/net.d";

/// What has been applied: path of the manifest to checksum of its content.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    checksums: BTreeMap<PathBuf, String>,
}

impl Applied {
    /// Applies what is new or changed in `folder`. A manifest that cannot be read or parsed is
    /// told and tried again at its next change, as K3s does; it never ends the server.
    pub(crate) fn apply(&mut self, root: &Path, folder: &Path) -> Result<()> {
        for path in files(folder)? {
            let text =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let checksum = hex::encode(Sha256::digest(text.as_bytes()));
            if self.checksums.get(&path) == Some(&checksum) {
                continue;
            }
            match apply(root, &text) {
                Ok(count) => println!(
                    "level=info msg=\"Applied {count} objects\" manifest={}",
                    path.display()
                ),
                Err(error) => eprintln!(
                    "level=error msg=\"Failed to process config: {error:#}\" manifest={}",
                    path.display()
                ),
            }
            self.checksums.insert(path, checksum);
        }
        Ok(())
    }

    /// The list of K3s's `Addon` objects (k3s.cattle.io/v1).
    pub(crate) fn addons(&self) -> Value {
        let items: Vec<Value> = self
            .checksums
            .iter()
            .map(|(path, checksum)| {
                let name = path
                    .file_stem()
                    .map(|name| name.to_string_lossy().into_owned());
                json!({
                    "apiVersion": "k3s.cattle.io/v1", "kind": "Addon",
                    "metadata": { "name": name, "namespace": "kube-system" },
                    "spec": { "source": path, "checksum": checksum },
                })
            })
            .collect();
        json!({ "apiVersion": "k3s.cattle.io/v1", "kind": "AddonList", "items": items })
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in
            fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|end| end == "yaml" || end == "yml" || end == "json")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn apply(root: &Path, text: &str) -> Result<usize> {
    let mut objects = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let object = Option::<Value>::deserialize(document).context("parsing")?;
        objects.extend(object);
    }
    let maps: BTreeMap<&str, &Value> = of_kind(&objects, "ConfigMap").collect();
    for (name, set) in of_kind(&objects, "DaemonSet") {
        install_network(root, name, set, &maps)?;
    }
    Ok(objects.len())
}

fn of_kind<'a>(
    objects: &'a [Value],
    kind: &'static str,
) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let objects = objects.iter().filter(move |object| object["kind"] == kind);
    objects.filter_map(|object| Some((object["metadata"]["name"].as_str()?, object)))
}

/// Does what the init container of a published CNI DaemonSet does: copies the CNI configuration
/// of the ConfigMap it mounts to the host folder it mounts.
fn install_network(
    root: &Path,
    name: &str,
    set: &Value,
    maps: &BTreeMap<&str, &Value>,
) -> Result<()> {
    let volumes = set["spec"]["template"]["spec"]["volumes"].as_array();
    let volumes = volumes.map(Vec::as_slice).unwrap_or_default();
    if !volumes
        .iter()
        .any(|volume| volume["hostPath"]["path"] == NETWORK_FOLDER)
    {
        return Ok(());
    }
    let names = volumes
        .iter()
        .filter_map(|volume| volume["configMap"]["name"].as_str());
    for data in names.filter_map(|name| maps.get(name)?["data"].as_object()) {
        for (key, value) in data {
            let is_network =
                key == "cni-conf.json" || key.ends_with(".conflist") || key.ends_with(".conf");
            let Some(value) = value.as_str().filter(|_| is_network) else {
                continue;
            };
            serde_json::from_str::<Value>(value).with_context(|| format!("{key} of {name}"))?;
            let folder = below(root, NETWORK_FOLDER);
            fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
            let path = folder.join(format!("10-{name}.conflist"));
            fs::write(&path, value).with_context(|| format!("writing {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_layer_of_the_tests_installs_a_network_and_other_manifests_do_not() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("manifests");
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::write(
            folder.join("a.yaml"),
            "kind: Namespace\nmetadata: {name: a}\n---\n",
        )
        .unwrap();
        let mut applied = Applied::default();
        applied.apply(root.path(), &folder).unwrap();
        assert!(!below(root.path(), NETWORK_FOLDER).exists());
        fs::write(
            folder.join("sub/network.yaml"),
            include_str!("../../images/network.yaml"),
        )
        .unwrap();
        applied.apply(root.path(), &folder).unwrap();
        let file = below(root.path(), NETWORK_FOLDER).join("10-network-node.conflist");
        assert!(fs::read_to_string(file).unwrap().contains("\"bridge\""));
        assert_eq!(applied.addons()["items"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_manifest_that_is_no_yaml_is_told_and_does_not_end_the_server() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("bad.yaml"), "a: [").unwrap();
        let mut applied = Applied::default();
        applied.apply(root.path(), root.path()).unwrap();
        assert!(apply(root.path(), "a: [").is_err());
    }
}
