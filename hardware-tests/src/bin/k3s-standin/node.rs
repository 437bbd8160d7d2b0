//! The one node of the stand-in: its files, and whether it is ready.
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::config::Config;
use crate::manifests::{Applied, NETWORK_FOLDER};
use crate::{VERSION, below};

/// The reason that a kubelet gives while it has no network.
const NO_NETWORK: &str = "container runtime network not ready: NetworkReady=false \
    reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized";

/// The node and what it runs on.
pub(crate) struct Node {
    pub(crate) root: PathBuf,
    pub(crate) config: Config,
    applied: Mutex<Applied>,
}

impl Node {
    pub(crate) fn new(root: PathBuf, config: Config) -> Self {
        Self {
            root,
            config,
            applied: Mutex::default(),
        }
    }

    /// Looks for new manifests.
    pub(crate) fn tick(&self) -> Result<()> {
        let folder = below(&self.root, &self.config.data_dir).join("server/manifests");
        self.applied().apply(&self.root, &folder)
    }

    fn applied(&self) -> std::sync::MutexGuard<'_, Applied> {
        // A poisoned lock only means that another request panicked; the list is still whole.
        self.applied
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn addons(&self) -> Value {
        self.applied().addons()
    }

    fn has_network(&self) -> bool {
        let folder = below(&self.root, NETWORK_FOLDER);
        let is_network = |path: PathBuf| {
            path.extension()
                .is_some_and(|end| end == "conflist" || end == "conf" || end == "json")
        };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        self.config.has_flannel || entries.map(|entry| entry.path()).any(is_network)
    }

    /// The `Node` object with the conditions that a kubelet reports.
    pub(crate) fn object(&self) -> Value {
        let (status, reason, message) = match self.has_network() {
            true => ("True", "KubeletReady", "kubelet is posting ready status"),
            false => ("False", "KubeletNotReady", NO_NETWORK),
        };
        let mut labels = serde_json::Map::new();
        labels.insert(
            "kubernetes.io/hostname".to_owned(),
            json!(self.config.node_name),
        );
        labels.insert(
            "node-role.kubernetes.io/control-plane".to_owned(),
            json!("true"),
        );
        for label in &self.config.labels {
            let (key, value) = label.split_once('=').unwrap_or((label, ""));
            labels.insert(key.to_owned(), json!(value));
        }
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": self.config.node_name, "labels": labels },
            "status": {
                "conditions": [
                    { "type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory" },
                    { "type": "DiskPressure", "status": "False", "reason": "KubeletHasNoDiskPressure" },
                    { "type": "PIDPressure", "status": "False", "reason": "KubeletHasSufficientPID" },
                    { "type": "Ready", "status": status, "reason": reason, "message": message },
                ],
                "nodeInfo": {
                    "kubeletVersion": VERSION, "operatingSystem": "linux", "architecture": "amd64",
                    "containerRuntimeVersion": "k3s-standin://none",
                },
            },
        })
    }
}

/// Writes what a K3s server keeps about itself: the token and the node's password. A token that
/// differs from the one the data was made with is refused, as K3s refuses it.
pub(crate) fn write_identity(root: &Path, config: &Config) -> Result<()> {
    let server = below(root, &config.data_dir).join("server");
    let token_file = server.join("token");
    let known = fs::read_to_string(&token_file).ok();
    let known = known
        .as_deref()
        .and_then(|text| text.trim().rsplit("::server:").next());
    match (known, &config.token) {
        (Some(known), Some(given)) if known != given => {
            bail!(
                "critical configuration value mismatch: token: found another one in {}",
                token_file.display()
            )
        }
        (Some(_), _) => {}
        (None, given) => {
            let token = given.clone().map_or_else(|| random_hex(16), Ok)?;
            write_private(&token_file, &format!("K10standin::server:{token}\n"))?;
        }
    }
    let datastore = server.join("db/state.db");
    if !datastore.exists() {
        write_private(&datastore, "")?;
    }
    let password = below(root, "/etc/rancher/node/password");
    if !password.exists() {
        write_private(&password, &format!("{}\n", random_hex(16)?))?;
    }
    Ok(())
}

fn random_hex(bytes: usize) -> Result<String> {
    use std::io::Read as _;
    let mut random = vec![0; bytes];
    let mut source = fs::File::open("/dev/urandom").context("opening /dev/urandom")?;
    source
        .read_exact(&mut random)
        .context("reading /dev/urandom")?;
    Ok(hex::encode(random))
}

/// Writes a file that only root may read, making its folders (0700).
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    write_with_mode(path, text, 0o600)
}

/// Writes a file with these permission bits, making its folders (0700).
pub(crate) fn write_with_mode(path: &Path, text: &str, mode: u32) -> Result<()> {
    if let Some(folder) = path.parent() {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder);
        made.with_context(|| format!("making {}", folder.display()))?;
    }
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path);
    let mut file = file.with_context(|| format!("opening {}", path.display()))?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("writing {}", path.display()))
}
