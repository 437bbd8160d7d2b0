//! Lays down what K3s reads: configuration, token, unit and manifests. All of it is made anew at
//! every boot from the running generation.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use burin_api::desired::Kubernetes;
use burin_core::kube::{IMAGE_MANIFESTS, k3s};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::context::Paths;
use crate::machine::file::{self, Mode};

/// No manifest has more; the API itself refuses objects above 1.5 MiB.
const MANIFEST_LIMIT: usize = 32 << 20;
/// Where the cluster's token is kept on the system partition.
const TOKEN: &str = "kubernetes/token";

/// Lays everything down, and says which program the unit starts.
///
/// # Errors
/// When the image has no K3s, or something cannot be written.
pub fn k3s(paths: &Paths, node: &str, kubernetes: &Kubernetes) -> Result<PathBuf> {
    let under = |path: &str| paths.root.join(path.trim_start_matches('/'));
    let program = k3s::PROGRAMS
        .iter()
        .find(|path| under(path).is_file())
        .with_context(|| {
            format!(
                "the image has no K3s program at {}; add a Kubernetes layer that has it",
                k3s::PROGRAMS.join(" or ")
            )
        })?;
    put(&under(k3s::TOKEN), token(paths)?.as_bytes(), Mode::Private)?;
    let config = k3s::render_config(&k3s::config(node, &kubernetes.config));
    put(&under(k3s::CONFIG), config.as_bytes(), Mode::Private)?;
    let manifests = manifests(&under(IMAGE_MANIFESTS))?;
    place_manifests(&under(k3s::MANIFESTS), &manifests)?;
    let unit = k3s::unit(program);
    put(&under(k3s::UNIT_PATH), unit.as_bytes(), Mode::Public)?;
    Ok(PathBuf::from(program))
}

/// Writes a file and the folders above it, unless it has this content.
fn put(path: &Path, bytes: &[u8], mode: Mode) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let folder = path.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    file::replace(path, bytes, mode)
}

/// The cluster's token: drawn once, kept for ever. Who has it may join the cluster.
fn token(paths: &Paths) -> Result<String> {
    let path = paths.system.join(TOKEN);
    if let Some(kept) = file::read_if_there(&path, 4096)?.filter(|kept| !kept.is_empty()) {
        return String::from_utf8(kept).context("reading the cluster's token");
    }
    let mut bytes = [0; 32];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        anyhow::bail!("drawing the cluster's token: the kernel gave no random bytes");
    }
    let drawn = hex::encode(bytes);
    put(&path, drawn.as_bytes(), Mode::Private)?;
    Ok(drawn)
}

/// The manifests of all layers: name in K3s' folder -> content.
fn manifests(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    for (layer, layer_folder) in entries(folder)? {
        if !layer_folder.is_dir() {
            continue;
        }
        for (name, path) in entries(&layer_folder)? {
            if k3s::is_manifest(&name) && path.is_file() {
                let bytes = file::read(&path, MANIFEST_LIMIT)?;
                all.insert(k3s::manifest_name(&layer, &name), bytes);
            }
        }
    }
    Ok(all)
}

/// Writes the wanted manifests and removes burin's own that are wanted no more. Others are not touched:
/// K3s keeps its own there. Removing a file leaves the objects in the cluster, as K3s documents.
fn place_manifests(folder: &Path, wanted: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    for (name, bytes) in wanted {
        put(&folder.join(name), bytes, Mode::Private)?;
    }
    for (name, path) in entries(folder)? {
        if name.starts_with("burin-") && !wanted.contains_key(&name) {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

/// Names and paths in a folder; a folder that is not there has none.
fn entries(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut all = BTreeMap::new();
    if !folder.exists() {
        return Ok(all);
    }
    let doing = || format!("reading {}", folder.display());
    for entry in fs::read_dir(folder).with_context(doing)? {
        let entry = entry.with_context(doing)?;
        if let Ok(name) = entry.file_name().into_string() {
            all.insert(name, entry.path());
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        for (path, text) in [
            ("usr/bin/k3s", "program"),
            ("usr/share/burin/manifests/cni/net.yaml", "kind: A\n"),
            ("usr/share/burin/manifests/cni/README", "no"),
            (
                "var/lib/rancher/k3s/server/manifests/coredns.yaml",
                "kind: Own\n",
            ),
            (
                "var/lib/rancher/k3s/server/manifests/burin-old-x.yaml",
                "kind: Old\n",
            ),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        (root, paths)
    }

    fn kubernetes() -> Kubernetes {
        Kubernetes {
            distribution: "k3s".into(),
            version: "v1.33.4+k3s1".into(),
            config: BTreeMap::new(),
        }
    }

    #[test]
    fn everything_that_k3s_reads_is_there_and_nothing_old_of_ours() {
        let (root, paths) = host();
        assert_eq!(
            k3s(&paths, "n1", &kubernetes()).unwrap(),
            Path::new("/usr/bin/k3s")
        );
        let text = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
        assert!(text("etc/rancher/k3s/config.yaml").contains("\"node-name\": \"n1\"\n"));
        assert!(text("run/systemd/system/k3s.service").contains("ExecStart=/usr/bin/k3s server"));
        let folder = root.path().join("var/lib/rancher/k3s/server/manifests");
        let names: Vec<_> = entries(&folder).unwrap().into_keys().collect();
        assert_eq!(names, ["burin-cni-net.yaml", "coredns.yaml"]);
    }

    #[test]
    fn the_token_stays_the_same_and_nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let (root, paths) = host();
        k3s(&paths, "n1", &kubernetes()).unwrap();
        let path = root.path().join("etc/rancher/k3s/token");
        let first = fs::read_to_string(&path).unwrap();
        assert_eq!(first.len(), 64);
        fs::remove_file(&path).unwrap();
        k3s(&paths, "n1", &kubernetes()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
        for path in [path, paths.system.join(TOKEN)] {
            assert_eq!(
                fs::metadata(path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }

    #[test]
    fn an_image_without_k3s_is_named() {
        let root = tempfile::tempdir().unwrap();
        let err = k3s(&Paths::under(root.path()), "n", &kubernetes()).unwrap_err();
        assert!(format!("{err:#}").contains("/usr/local/bin/k3s"), "{err:#}");
    }
}
