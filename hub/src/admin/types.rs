//! Bodies of the admin API. Times are milliseconds since 1970.

use std::collections::BTreeMap;

use burin_api::desired::{DiskChoice, Release};
use burin_api::dsse::Envelope;
use burin_api::event::{Event, Finding, Progress};
use burin_api::host::Evidence;
use burin_api::message::Observed;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::people::Role;
use crate::secret::Secret;

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginRequest {
    /// `admin` when absent.
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[schema(value_type = String)]
    pub(crate) password: Secret,
    /// The one-time code, for accounts that have them.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) code: Option<Secret>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordRequest {
    #[schema(value_type = String)]
    pub(crate) old: Secret,
    #[schema(value_type = String)]
    pub(crate) new: Secret,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PersonRequest {
    /// a-z, 0-9 and `.-_@`.
    pub(crate) name: String,
    pub(crate) role: Role,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct PersonInfo {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) created_at: i64,
    /// The account is closed since then.
    pub(crate) closed_at: Option<i64>,
    /// A second factor is needed to log in.
    pub(crate) one_time_codes: bool,
    /// Still has the password that an admin was shown.
    pub(crate) first_password: bool,
    /// The identity provider that the person logs in over; none for a local account.
    #[serde(default)]
    pub(crate) provider: Option<String>,
}

/// What a change of an account gives.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct PersonChanged {
    pub(crate) name: String,
    /// The new first password, shown this once. The person has to change it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) password: Option<Secret>,
}

/// One line of the audit log.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct AuditInfo {
    pub(crate) number: i64,
    pub(crate) time: i64,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) object: String,
    /// Over this line and the hash of the one before.
    pub(crate) hash: String,
}

/// What a walk over the audit log's chain found.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct AuditVerdict {
    pub(crate) whole: bool,
    /// Lines that were read.
    pub(crate) lines: i64,
    /// The first line whose hash is not that of its content and the line before.
    pub(crate) broken_at: Option<i64>,
    /// Hash of the last line: written down elsewhere, it shows later whether lines were cut off.
    pub(crate) head: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LoginAnswer {
    /// For `Authorization: Bearer`; ends after 30 minutes without use and 12 hours in all.
    #[schema(value_type = String)]
    pub(crate) bearer: Secret,
    pub(crate) role: Role,
    /// Nothing but changing the password is allowed before that is done.
    pub(crate) password_change: bool,
}

/// What hosts and clients must know of the hub.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct HubInfo {
    pub(crate) hub_id: String,
    pub(crate) url: String,
    /// `sha256:<thumbprint of the root key>`: `burin.hub.root` of user-data.
    pub(crate) root: String,
    /// Of the newest root document: `burin.hub.root_version` of user-data.
    #[serde(default)]
    pub(crate) root_version: u32,
    /// The root key lies beside the database.
    pub(crate) unprotected: bool,
    /// PEM of the authority of the hub's certificate.
    pub(crate) ca: String,
    pub(crate) version: String,
}

#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TokenRequest {
    /// How many hosts may use it; 1 when absent.
    pub(crate) uses: Option<u32>,
    /// Seconds until it expires; 7 days when absent.
    pub(crate) lifetime: Option<u64>,
    /// Assigned to a host when it is accepted.
    pub(crate) profile: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// Networks that a host must call from, `192.0.2.0/24`; everywhere when empty.
    pub(crate) networks: Vec<String>,
    pub(crate) requires_approval: bool,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct TokenCreated {
    /// The whole token. The hub does not keep it and cannot show it again.
    #[schema(value_type = String)]
    pub(crate) token: Secret,
    #[serde(flatten)]
    pub(crate) info: TokenInfo,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct TokenInfo {
    pub(crate) id: String,
    /// `active`, `used`, `expired` or `revoked`.
    pub(crate) state: String,
    pub(crate) uses: i64,
    pub(crate) used: i64,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) networks: Vec<String>,
    pub(crate) profile: Option<String>,
    pub(crate) requires_approval: bool,
}

/// An ISO that the hub makes others of.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct IsoBase {
    /// `amd64` or `arm64`.
    pub(crate) arch: String,
    /// Version of burin in it.
    pub(crate) version: String,
    pub(crate) kernel: String,
    pub(crate) bytes: u64,
    /// Room for user-data, bytes.
    pub(crate) area: u64,
}

/// What shall be in an ISO beside the hub's address and root.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IsoRequest {
    /// Needed when the hub has ISOs for more than one.
    pub(crate) arch: Option<String>,
    /// A token of this hub.
    #[schema(value_type = Option<String>)]
    pub(crate) token: Option<Secret>,
    /// A token to be made for this ISO; it is shown nowhere.
    pub(crate) new_token: Option<TokenRequest>,
    /// Further user-data, YAML, without a hub or a token.
    pub(crate) user_data: Option<String>,
}

/// An ISO that waits to be fetched.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct IsoMade {
    pub(crate) id: String,
    /// What to call it.
    pub(crate) file: String,
    pub(crate) arch: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// Of the token that is in it.
    pub(crate) token_id: Option<String>,
    pub(crate) expires_at: i64,
}

/// A registry that hub and hosts may talk to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegistryEntry {
    /// Host and port as image references name it.
    pub(crate) host: String,
    /// Where the hub itself finds it, when that differs. Hosts never see it.
    #[serde(default)]
    pub(crate) endpoint: Option<String>,
    #[serde(default)]
    pub(crate) plain_http: bool,
    /// PEM texts of additional roots.
    #[serde(default)]
    pub(crate) ca: Vec<String>,
    /// The one token service that may see its credentials.
    #[serde(default)]
    pub(crate) token_realm: Option<String>,
    /// Whose credentials the hub has for it; without effect where a registry is listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
}

/// What the hub logs in to a registry with.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CredentialRequest {
    pub(crate) username: String,
    #[schema(value_type = String)]
    pub(crate) password: Secret,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishRequest {
    /// The profile document, YAML.
    pub(crate) document: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProfileInfo {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) published_at: i64,
    /// Of the document and everything it was resolved to.
    pub(crate) digest: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportRequest {
    /// What `burin-hub release sign` printed.
    #[schema(value_type = Object)]
    pub(crate) envelope: Envelope,
}

/// The signature of a version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct SignedInfo {
    pub(crate) profile: String,
    pub(crate) version: String,
    pub(crate) counter: i64,
    /// No host begins to install it later.
    pub(crate) expires_at: i64,
    /// Thumbprint of the release key.
    pub(crate) signer: String,
    /// Of the signed bytes.
    pub(crate) digest: String,
    /// `good`, `ending` (within 30 days), `expired`, or `unlisted`: its key is not listed any more.
    pub(crate) state: String,
    pub(crate) imported_at: i64,
    pub(crate) imported_by: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProfileDetail {
    #[serde(flatten)]
    pub(crate) info: ProfileInfo,
    /// None while it is not signed.
    #[serde(default)]
    pub(crate) signature: Option<SignedInfo>,
    pub(crate) document: String,
    #[schema(value_type = Object)]
    pub(crate) release: Release,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignRequest {
    /// `NAME` for the version published last, or `NAME@VERSION`.
    pub(crate) profile: String,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(crate) disk: Option<DiskChoice>,
}

/// What an action on a host needs besides its name.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ActRequest {
    /// For `approve`: the key on the host's screen, from its first 8 characters on.
    pub(crate) key: String,
    /// For `release`: the hardware of the machine that is the host, from its first 8 digits on.
    pub(crate) machine: String,
}

/// A machine that used a host's key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct MachineInfo {
    /// Digest of its hardware: names it in `release`.
    pub(crate) hardware: String,
    /// What it calls itself.
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) first_at: i64,
    pub(crate) seen_at: i64,
    /// Somebody said that this one is the host: the others may not use the key.
    pub(crate) chosen: bool,
}

/// Where the cluster of a kubeconfig is for whoever asks for it.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KubeconfigRequest {
    /// A name or IP address, perhaps with a port; the address that the host calls from when absent.
    pub(crate) address: Option<String>,
}

/// The administrator's kubeconfig of a host's cluster.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct KubeconfigAnswer {
    /// YAML.
    #[schema(value_type = String)]
    pub(crate) kubeconfig: Secret,
    /// Where it says that the cluster is.
    pub(crate) server: String,
    /// When the host sent it.
    pub(crate) received_at: i64,
}

/// By what a host was let in.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct AdmissionInfo {
    /// `token`, `host_id`, `uuid`, `serial`, `key`, `qr`, `code` or `approval`.
    pub(crate) matcher: String,
    /// Id of the token or preauth; `provisional` for a claim without a number.
    pub(crate) detail: String,
    /// Who gave the matcher.
    pub(crate) by: String,
    pub(crate) at: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct AssignmentInfo {
    pub(crate) generation: i64,
    pub(crate) profile: String,
    pub(crate) version: String,
}

/// A host as far as the hub knows it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct HostInfo {
    pub(crate) uid: String,
    pub(crate) host_id: String,
    pub(crate) host_id_source: String,
    /// `pending`, `accepted`, `rejected`, `revoked`, `retired`, `quarantined`.
    pub(crate) state: String,
    /// Why it is in this state; may be empty.
    pub(crate) reason: String,
    pub(crate) token_id: Option<String>,
    /// Label of its identity key, as the host's screen shows it.
    #[serde(default)]
    pub(crate) key: String,
    /// Why it was asked to change that key; empty when it was not, or has done it.
    #[serde(default)]
    pub(crate) rekey: String,
    /// None while it is not accepted.
    #[serde(default)]
    pub(crate) admission: Option<AdmissionInfo>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) arch: String,
    pub(crate) address: String,
    pub(crate) created_at: i64,
    pub(crate) accepted_at: Option<i64>,
    /// The newest sync; none before the first.
    pub(crate) seen_at: Option<i64>,
    /// Accepted, but three intervals late.
    pub(crate) silent: bool,
    /// As the host said last; none before the first sync.
    pub(crate) phase: Option<String>,
    /// `installer` or `installed`.
    pub(crate) mode: Option<String>,
    pub(crate) agent: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub(crate) progress: Option<Progress>,
    #[schema(value_type = Object)]
    pub(crate) observed: Observed,
    #[schema(value_type = Vec<Object>)]
    pub(crate) findings: Vec<Finding>,
    pub(crate) last_error: Option<String>,
    pub(crate) assignment: Option<AssignmentInfo>,
    #[schema(value_type = Object)]
    pub(crate) evidence: Evidence,
    /// Who used its key, the first one first; more than one where a disk was copied. Not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) machines: Vec<MachineInfo>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EventInfo {
    pub(crate) number: i64,
    pub(crate) host_uid: String,
    pub(crate) received_at: i64,
    #[schema(value_type = Object)]
    pub(crate) event: Event,
}

/// Part of a list. Pass `next` as `after` to get the following part.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyRequest {
    pub(crate) name: String,
    /// What the program may do; `admin` when absent.
    #[serde(default = "admin")]
    pub(crate) role: Role,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ApiKeyCreated {
    pub(crate) id: String,
    /// For `Authorization: Bearer`. The hub keeps its hash only.
    #[schema(value_type = String)]
    pub(crate) key: Secret,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ApiKeyInfo {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) created_at: i64,
    pub(crate) revoked_at: Option<i64>,
}

fn admin() -> Role {
    Role::Admin
}
