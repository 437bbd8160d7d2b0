//! The messages and their answers.

use serde::{Deserialize, Serialize};

use crate::desired::Desired;
use crate::dsse::{Envelope, Payload, PublicKey};
use crate::event::{Event, Finding, Progress};
use crate::host::Evidence;
use crate::release::ReleaseKey;
use crate::sealed::{Sealed, SealedSecrets};

/// The protocol's version, as in the path `/h/1/`.
pub const PROTOCOL: u32 = 1;

macro_rules! payload {
    ($($name:ident = $kind:literal),* $(,)?) => {
        $(impl Payload for $name { const TYPE: &'static str = concat!("application/vnd.burin.", $kind, ".v1+json"); })*
    };
}
payload!(
    Hello = "hello",
    HelloAnswer = "hello-answer",
    Enroll = "enroll",
    EnrollAnswer = "enroll-answer",
    Rekey = "rekey",
    RekeyAnswer = "rekey-answer",
    OpenSession = "session",
    SessionAnswer = "session-answer",
    Sync = "sync",
    SyncAnswer = "sync-answer",
    Refusal = "refusal",
    RootDocument = "root",
);

/// First words. Sent as plain JSON, unsigned: the host has no key that the hub knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    /// 32 random bytes, hex; the answer must echo them.
    pub host_nonce: String,
    /// Versions the host can speak.
    pub protocols: Vec<u32>,
    /// Newest root document that the host holds; 0 for none.
    pub root_version: u32,
}

/// Answer to [`Hello`], signed by the hub's online key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HelloAnswer {
    pub host_nonce: String,
    pub hub_id: String,
    /// The hub's clock, milliseconds since 1970.
    pub time: u64,
    /// To be returned in `enroll` or `session` within 120 s.
    pub nonce: String,
    /// Root documents newer than the one the host holds, oldest first.
    pub root: Vec<Envelope>,
}

/// Which keys speak for the hub. Signed by the hub's root keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootDocument {
    pub version: u32,
    pub hub_id: String,
    /// Keys that sign this document and the next one.
    pub root: Vec<PublicKey>,
    /// Keys that sign the hub's answers.
    pub online: Vec<PublicKey>,
    /// Online keys of before that are believed for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retiring: Vec<Retiring>,
    /// Where hosts reach the hub, `https://host[:port]`, the best first; none: where user-data says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Keys that sign releases. Where there is one, hosts take signed releases only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub release: Vec<ReleaseKey>,
    /// Keys that sign images, for the layers of profiles that ask for a signature.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageKey>,
    /// Whether the root key lies on the hub itself (made at its first start).
    #[serde(default)]
    pub unprotected: bool,
}

/// A key that signs images as cosign does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageKey {
    /// By which profiles ask for it.
    pub name: String,
    /// PEM of a public key: ECDSA over P-256, or Ed25519.
    pub key: String,
}

/// An online key that another one replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retiring {
    pub key: PublicKey,
    /// Until when its signatures are good, milliseconds since 1970.
    pub until: u64,
}

/// Where a host keeps its identity key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStore {
    Ram,
    File,
    Tpm,
}

/// From which of its two lives a host speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Installer,
    Installed,
}

/// Asks for admission. Signed by the identity key and, with a token, by the token's key as well.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enroll {
    pub nonce: String,
    pub host_id: String,
    /// Which rule made the host ID, for example `smbios-uuid`.
    pub host_id_source: String,
    pub evidence: Evidence,
    pub public_key: PublicKey,
    pub key_store: KeyStore,
    /// The kernel's random boot ID.
    pub boot_id: String,
    pub mode: Mode,
    pub agent: String,
    pub arch: String,
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, String>,
    /// Public identifier of the token, never its seed.
    #[serde(default)]
    pub token_id: Option<String>,
    /// What the hardware gate found, so that a blocked host can be seen in the hub.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Etag of the pending answer that the host shows.
    #[serde(default)]
    pub held: Option<String>,
    /// Hold the answer up to so many seconds (0..=25) until it is another than `held`.
    #[serde(default)]
    pub wait: u32,
}

/// What the hub says to [`Enroll`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum EnrollAnswer {
    Pending {
        /// Why: `approval`, `confirm_key`, `confirm_number`, `rekey`, `id_conflict`, `no_token`,
        /// `blocked`, `replacement_wait`, `quarantined`.
        reason: String,
        /// The same for a person.
        message: String,
        /// Ask again after so many seconds.
        interval: u32,
        /// Eight letters to be typed at `HUB/c`, as `WDJB-MJHT`.
        #[serde(default)]
        code: Option<String>,
        /// Seconds that the code is still good for.
        #[serde(default)]
        code_lifetime: u32,
        /// 10 to 99: whoever claims the host must tell the number that stands on its screen now.
        #[serde(default)]
        match_number: Option<u8>,
        /// Names reason, code and number; the host returns it as `held`.
        #[serde(default)]
        etag: Option<String>,
    },
    Accepted {
        host_uid: String,
    },
    Rejected {
        reason: String,
        message: String,
    },
    #[serde(other)]
    Unknown,
}

/// Changes the identity key of an accepted host. Signed by the old key and by the new one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rekey {
    pub nonce: String,
    pub host_uid: String,
    /// The new key.
    pub public_key: PublicKey,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
}

/// Answer to [`Rekey`]: from now on the new key is the host's, and every session has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RekeyAnswer {
    pub host_uid: String,
    /// Of the key in force.
    pub thumbprint: String,
}

/// Opens a session. Signed by the identity key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenSession {
    pub nonce: String,
    pub host_uid: String,
    /// Ed25519; signs every [`Sync`].
    pub session_key: PublicKey,
    /// X25519, 32 bytes as hex; secrets for this session are sealed to it.
    #[serde(default)]
    pub sealing_key: Option<String>,
    pub boot_id: String,
    pub hardware_digest: String,
    /// What people know the machine by, for example `ACME Box 2, serial S4EVNX0R`: where two machines
    /// have one key, somebody has to tell them apart.
    #[serde(default)]
    pub machine: String,
    pub key_store: KeyStore,
    pub mode: Mode,
    pub agent: String,
}

/// Answer to [`OpenSession`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionAnswer {
    pub session: String,
    /// Seconds.
    pub lifetime: u32,
    /// Seconds between syncs.
    pub interval: u32,
    pub time: u64,
    /// The hub's own X25519 key, 32 bytes as hex; what only the hub may read is sealed to it.
    #[serde(default)]
    pub sealing_key: Option<String>,
}

/// Where a host stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Looking at the hardware, network, enrolling; on an installed host: a proven generation comes
    /// up and was not seen healthy in this boot.
    Starting,
    /// A finding of class *block* stopped it before any write.
    Blocked,
    /// Accepted, no profile yet.
    Waiting,
    Installing,
    /// Installed, Kubernetes not yet proven.
    Configuring,
    /// The generation is proven good, and was seen healthy in this boot.
    Running,
    /// Something failed, or a proven generation is not healthy for too long; see the last error.
    Degraded,
    #[serde(other)]
    Unknown,
}

/// What the host sees of itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Observed {
    /// Number of the running generation; none in the installer.
    #[serde(default)]
    pub generation: Option<u64>,
    /// fs-verity digest of the running root, hex.
    #[serde(default)]
    pub root_digest: Option<String>,
    #[serde(default)]
    pub agent_digest: Option<String>,
    /// For example `v1.33.4+k3s1`.
    #[serde(default)]
    pub kubernetes: Option<String>,
    #[serde(default)]
    pub kernel: Option<String>,
    #[serde(default)]
    pub last_error: Option<String>,
    #[serde(default)]
    pub address: Option<String>,
}

/// The heartbeat. Signed by the session key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sync {
    pub session: String,
    /// Grows by one with every message of the session.
    pub sequence: u64,
    /// Etag of the desired state that the host holds.
    #[serde(default)]
    pub etag: Option<String>,
    pub phase: Phase,
    #[serde(default)]
    pub progress: Option<Progress>,
    #[serde(default)]
    pub observed: Observed,
    #[serde(default)]
    pub findings: Vec<Finding>,
    #[serde(default)]
    pub events: Vec<Event>,
    /// Hold the answer up to so many seconds (0..=25) until something changes.
    #[serde(default)]
    pub wait: u32,
    /// Etag of the secrets that the host holds from this session.
    #[serde(default)]
    pub secrets: Option<String>,
    /// The administrator's kubeconfig, sealed to the hub's key: once a session, and when it changed.
    #[serde(default)]
    pub kubeconfig: Option<Sealed>,
}

/// Answer to [`Sync`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SyncAnswer {
    /// Etag of the desired state; none while nothing is assigned.
    pub etag: Option<String>,
    /// Present only when the etag differs from the host's.
    #[serde(default)]
    pub desired: Option<Box<Desired>>,
    /// Come back after so many seconds.
    pub next: u32,
    /// Sequence number of the newest event stored, so that the host can forget it.
    #[serde(default)]
    pub events_stored: Option<u64>,
    pub time: u64,
    /// Present only when the host's session has a sealing key and holds others.
    #[serde(default)]
    pub secrets: Option<SealedSecrets>,
    /// Why the host shall change its identity key now: `asked`, `leaked` or `age`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rekey: Option<String>,
    /// Of the hub's newest root document; a host that holds an older one says hello again.
    #[serde(default)]
    pub root_version: u32,
}

/// Any refusal, with HTTP status 4xx or 5xx. Signed like every answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusal {
    /// Machine code: `bad_request`, `bad_signature`, `bad_nonce`, `token_unknown`, `token_expired`,
    /// `token_used`, `token_revoked`, `session_unknown`, `sequence`, `limited`, `revoked`, `internal`.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
    /// Seconds to wait before trying again; none when trying again cannot help.
    #[serde(default)]
    pub retry_after: Option<u32>,
}
