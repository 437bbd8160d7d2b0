//! A whole site on loopback: registry with images, hub with a published profile, an ISO with a token.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::{
    artifacts::Artifacts,
    hub::{Hub, Serving},
    images::{Images, KubernetesBinary, Target, push},
    registry::{self, Registry},
};

/// Name of the profile that [`Site::start`] publishes.
pub const PROFILE: &str = "edge";

/// Registry and hub, running, with everything that a host needs.
#[derive(Debug)]
pub struct Site {
    pub registry: Registry,
    pub hub: Hub,
    /// Which Kubernetes the profile installs: `k3s` or `k3s-standin`.
    pub kubernetes: String,
    folder: PathBuf,
}

/// The ports of a site; an installed host knows them, so a site that is started again keeps them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    pub registry: u16,
    pub hub: u16,
}

/// What the guest is told as the address of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Registry,
    /// A fault proxy on this port.
    Proxy(u16),
}

impl Site {
    /// Starts registry and hub below `folder`; what an earlier run left there is used again.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn open(artifacts: &Artifacts, folder: &Path, ports: Ports) -> Result<Self> {
        Self::serve(
            artifacts,
            folder,
            ports.registry,
            &Serving::guests(ports.hub),
        )
    }

    /// As [`Self::open`] of an empty folder, with a registry whose password only the hub is told, and a hub
    /// that makes ISOs of `base`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_locked(artifacts: &Artifacts, folder: &Path, base: &Path) -> Result<Self> {
        registry::lock(&folder.join("registry"))?;
        let serving = Serving {
            iso: Some(base),
            ..Serving::guests(0)
        };
        Self::serve(artifacts, folder, 0, &serving)
    }

    fn serve(
        artifacts: &Artifacts,
        folder: &Path,
        registry_port: u16,
        serving: &Serving<'_>,
    ) -> Result<Self> {
        let registry_folder = folder.join("registry");
        let hub_folder = folder.join("hub");
        for path in [&registry_folder, &hub_folder] {
            fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))?;
        }
        let registry = Registry::start(&registry_folder, registry_port)?;
        let hub = Hub::serve(artifacts, &hub_folder, serving)?;
        let binary = KubernetesBinary::chosen(&artifacts.standin());
        Ok(Self {
            registry,
            hub,
            kubernetes: binary.name().to_owned(),
            folder: folder.to_owned(),
        })
    }

    /// Ends the hub and starts it with its data on `port`.
    ///
    /// # Errors
    /// When it does not start again.
    pub fn start_hub_again(&mut self, artifacts: &Artifacts, port: u16) -> Result<()> {
        self.hub.stop()?;
        self.hub = Hub::start(artifacts, &self.folder.join("hub"), port)?;
        Ok(())
    }

    /// The document of [`PROFILE`], when it was published.
    pub fn profile(&self) -> PathBuf {
        self.folder.join("profile.yaml")
    }

    /// The ports in use.
    pub fn ports(&self) -> Ports {
        Ports {
            registry: self.registry.port(),
            hub: self.hub.port(),
        }
    }

    /// Pushes the OS, Kubernetes and network images to the registry.
    ///
    /// # Errors
    /// When an image cannot be made or pushed.
    pub fn fill(&self, artifacts: &Artifacts) -> Result<()> {
        let images = Images::of_this_user()?;
        let binary = KubernetesBinary::chosen(&artifacts.standin());
        let name = self.registry.local_name();
        let auth = self.auth_file()?;
        let target = Target {
            registry: &name,
            certificates: self.registry.tls().ca.parent(),
            auth_file: auth.as_ref().map(NamedTempFile::path),
        };
        for (layout, repository, tag) in [
            (images.os()?, "os/debian", "13"),
            (images.kubernetes(&binary)?, "k8s/k3s", "v1.33.4-k3s1"),
            (images.network()?, "cni/network", "1"),
        ] {
            push(&layout, target, repository, tag)?;
        }
        Ok(())
    }

    /// What `skopeo login` would write for a locked registry, outside of what is searched for secrets.
    fn auth_file(&self) -> Result<Option<NamedTempFile>> {
        let Some(login) = self.registry.login() else {
            return Ok(None);
        };
        let mut file = NamedTempFile::new().context("making a file for skopeo")?;
        let auth = STANDARD.encode(format!("{}:{}", login.user, login.password));
        let entries = json!({ self.registry.local_name(): { "auth": auth } });
        write!(file, "{}", json!({ "auths": entries })).context("writing a file for skopeo")?;
        Ok(Some(file))
    }

    /// Lists the registry in the hub and publishes [`PROFILE`].
    ///
    /// # Errors
    /// When the hub refuses.
    pub fn publish(&self, artifacts: &Artifacts, via: Via) -> Result<()> {
        self.publish_changed(artifacts, via, Ok)
    }

    /// As [`Self::publish`], with the profile as `change` makes it.
    ///
    /// # Errors
    /// When the hub or `change` refuses.
    pub fn publish_changed(
        &self,
        artifacts: &Artifacts,
        via: Via,
        change: impl FnOnce(String) -> Result<String>,
    ) -> Result<()> {
        let (guest, local) = match via {
            Via::Registry => (self.registry.guest_name(), self.registry.local_name()),
            Via::Proxy(port) => (format!("10.0.2.2:{port}"), format!("127.0.0.1:{port}")),
        };
        let ca = self.registry.tls().ca.display().to_string();
        let endpoint = format!("https://{local}");
        let mut add = vec!["registry", "add", &guest];
        add.extend(["--endpoint", &endpoint, "--ca", &ca]);
        let password = self.folder.join("registry.password");
        let file = password.display().to_string();
        if let Some(login) = self.registry.login() {
            fs::write(&password, login.password).with_context(|| format!("writing {file}"))?;
            add.extend(["--username", login.user, "--password-file", &file]);
        }
        self.hub.run(&add)?;
        let path = self.profile();
        let binary = KubernetesBinary::chosen(&artifacts.standin());
        let profile = change(profile(&guest, binary.path_in_image()))?;
        fs::write(&path, profile).with_context(|| format!("writing {}", path.display()))?;
        self.hub
            .run(&["profile", "publish", &path.display().to_string()])?;
        Ok(())
    }

    /// Creates a token for one host and writes the user-data of an ISO that carries it. `more` is YAML
    /// that is put after it.
    ///
    /// # Errors
    /// When the hub refuses or the file cannot be written.
    pub fn user_data(&self, name: &str, more: &str) -> Result<PathBuf> {
        let answer = self
            .hub
            .ask(&["token", "create", "--uses", "1", "--profile", PROFILE])?;
        let token = answer["token"]
            .as_str()
            .with_context(|| format!("no token in {answer}"))?;
        self.keep(name, &(self.hub.user_data(token)? + more))
    }

    /// Has the hub make the ISO `out` with a new token for one host in it, and `more` user-data.
    ///
    /// # Errors
    /// When the hub refuses, or was opened without an ISO.
    pub fn download_iso(&self, out: &Path, more: &str) -> Result<()> {
        let more = self.keep("further", more)?.display().to_string();
        let out = out.display().to_string();
        let mut download = vec!["iso", "download", "--out", &out, "--user-data", &more];
        download.extend(["--new-token", "--uses", "1", "--profile", PROFILE]);
        self.hub.run(&download)?;
        Ok(())
    }

    /// Writes the user-data of an ISO without a token: a person lets its hosts in.
    ///
    /// # Errors
    /// When the hub refuses or the file cannot be written.
    pub fn user_data_without_token(&self, name: &str) -> Result<PathBuf> {
        self.keep(name, &self.hub.run(&["user-data"])?)
    }

    fn keep(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(format!("{name}.user-data"));
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

/// The profile as a newcomer would write it: tags, not digests; the network is a layer.
fn profile(registry: &str, kubernetes: &str) -> String {
    format!(
        "apiVersion: burin/v1\n\
         kind: Profile\n\
         metadata: {{ name: {PROFILE}, version: 1.0.0 }}\n\
         layers:\n\
         \x20 - os: {{ image: {registry}/os/debian:13 }}\n\
         \x20 - kubernetes:\n\
         \x20     distribution: k3s\n\
         \x20     version: v1.33.4+k3s1\n\
         \x20     image: {registry}/k8s/k3s:v1.33.4-k3s1\n\
         \x20     files: {{ /usr/local/bin/k3s: {kubernetes} }}\n\
         \x20 - manifests: {{ name: network, image: {registry}/cni/network:1 }}\n\
         health: {{ deadline: 10m, soak: 5s }}\n"
    )
}
