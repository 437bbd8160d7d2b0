//! What a host shall be: an immutable release of a profile, resolved to digests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dsse::Envelope;

/// The desired state of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// Grows with every assignment of this host.
    pub assignment: u64,
    /// Left out where it is signed.
    #[serde(default, skip_serializing_if = "Release::is_absent")]
    pub release: Release,
    /// A [`crate::release::Statement`] with the release in it, where the root document lists
    /// release keys. Then nothing but what is in it is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Envelope>,
    /// Disk chosen by an operator for a host that refused to choose.
    #[serde(default)]
    pub disk: Option<DiskChoice>,
    /// Those of the host's modaliases that no module of this release serves.
    #[serde(default)]
    pub unserved: Vec<String>,
}

/// An operator's answer to a host that would not guess.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskChoice {
    pub serial: String,
    /// Whether foreign data on it may be erased.
    pub wipe: bool,
    /// Whether even a burin host on it may be erased.
    pub reinstall: bool,
}

/// One published version of a profile. Never changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub name: String,
    pub version: String,
    /// In merge order: OS first.
    pub layers: Vec<Layer>,
    #[serde(default)]
    pub kubernetes: Option<Kubernetes>,
    #[serde(default)]
    pub health: Health,
    /// Extra arguments for the kernel's command line.
    #[serde(default)]
    pub cmdline: Vec<String>,
    /// Where the layers lie. A host talks to no other registry.
    pub registries: Vec<Registry>,
}

impl Release {
    /// Whether there is none: no release has no layers.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.layers.is_empty()
    }
}

/// A registry that the hub's admin listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// Host name and port as image references name it.
    pub host: String,
    /// Speaks plain HTTP; then no credential is ever sent.
    #[serde(default)]
    pub plain_http: bool,
    /// PEM of additional roots for its certificate.
    #[serde(default)]
    pub ca: Vec<String>,
    /// The one token service that may see its credentials, an `https://` URL.
    #[serde(default)]
    pub token_realm: Option<String>,
}

/// What a layer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    Os,
    Kubernetes,
    Image,
    Manifests,
}

/// One image of the stack, by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    pub kind: LayerKind,
    /// Name inside the profile; unique.
    pub name: String,
    /// Registry host, empty for inline manifests.
    #[serde(default)]
    pub registry: String,
    #[serde(default)]
    pub repository: String,
    /// The reference as it was published, for people.
    #[serde(default)]
    pub reference: String,
    /// Digest of the platform's manifest, `sha256:<hex>`.
    #[serde(default)]
    pub manifest: String,
    /// Digest that the reference led to: of the index where there is one, which is what people sign.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resolved: String,
    /// Names of keys of which one has to have signed the image, see [`crate::message::ImageKey`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verify: Vec<String>,
    /// The image's blobs, lowest first.
    #[serde(default)]
    pub blobs: Vec<Blob>,
    /// Target path -> path in the image. When not empty, only these files are taken.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Manifests written in the profile itself: file name -> YAML text.
    #[serde(default)]
    pub inline: BTreeMap<String, String>,
    /// Whether it may replace or remove the init, the kernel or burin's own files.
    #[serde(default)]
    pub replaces_system: bool,
    pub facts: LayerFacts,
}

/// One compressed layer blob of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// `sha256:<hex>` of the compressed bytes.
    pub digest: String,
    /// `sha256:<hex>` of the uncompressed tar.
    pub diff_id: String,
    /// Compressed bytes.
    pub size: u64,
    pub media_type: String,
    /// Bytes of the uncompressed tar.
    pub unpacked: u64,
    /// Number of tar entries.
    pub entries: u64,
}

/// What publishing learnt by streaming an image once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LayerFacts {
    /// Sum of the file contents after whiteouts inside the image, bytes.
    pub content_bytes: u64,
    pub files: u64,
    /// Kernel release, for example `6.12.48+deb13-amd64`.
    pub kernel: Option<String>,
    /// Path of the kernel image and of its configuration.
    pub kernel_path: Option<String>,
    /// Size of the kernel image, bytes.
    pub kernel_bytes: u64,
    /// `CONFIG_...` values of the options that burin needs: `y`, `m` or `n`.
    pub kernel_config: BTreeMap<String, String>,
    /// Bytes of the kernel's storage and file-system modules, as stored: the initramfs to come.
    pub boot_module_bytes: u64,
    /// Why no host could start from this kernel, when that was seen: indexes or modules missing.
    pub kernel_problem: Option<String>,
    /// Modalias patterns that the image's modules serve. Stays in the hub: an answer has no room
    /// for it, hosts get [`Desired::unserved`].
    pub module_aliases: Vec<String>,
    pub has_systemd: bool,
    /// Path of the SELinux policy when it enforces one.
    pub selinux_enforcing: bool,
    /// `ID` and `VERSION_ID` of os-release.
    pub os: String,
}

/// Kubernetes of the profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kubernetes {
    pub distribution: String,
    pub version: String,
    /// Keys of the distribution's own configuration file; JSON values.
    #[serde(default)]
    pub config: BTreeMap<String, serde_json::Value>,
}

/// When a generation counts as good. All times in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub deadline: u64,
    pub soak: u64,
    #[serde(default)]
    pub checks: Vec<HealthCheck>,
}

impl Default for Health {
    /// 15 minutes to become healthy, 2 minutes to stay so.
    fn default() -> Self {
        Self {
            deadline: 900,
            soak: 120,
            checks: Vec::new(),
        }
    }
}

/// One check of the profile's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthCheck {
    /// GET; any 2xx is healthy.
    Http(String),
    /// Program and arguments; exit 0 is healthy.
    Command(Vec<String>),
}
