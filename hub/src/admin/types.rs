//! Bodies of the admin API. Times are milliseconds since 1970.

mod hosts;
mod projects;

use std::collections::BTreeMap;

use burin_api::desired::Release;
use burin_api::dsse::Envelope;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::people::Role;
use crate::secret::Secret;

pub(crate) use hosts::{
    ActRequest, AdmissionInfo, AssignRequest, AssignmentInfo, EventInfo, HostInfo,
    KubeconfigAnswer, KubeconfigRequest, MachineInfo,
};
pub(crate) use projects::{InProject, ProjectInfo, ProjectRequest, RoleRequest, default_project};

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
    /// Where the role counts; everywhere when absent.
    #[serde(default)]
    pub(crate) project: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct PersonInfo {
    pub(crate) name: String,
    /// In all projects.
    pub(crate) role: Role,
    /// Roles in single projects.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) projects: BTreeMap<String, Role>,
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
    /// Where its hosts land.
    /// One that the caller may; `default`, or the only one that there is for the caller, when absent.
    pub(crate) project: Option<String>,
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
    #[serde(default = "default_project")]
    pub(crate) project: String,
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
    /// Whose the profile becomes, when its name is new.
    #[serde(default)]
    /// One that the caller may; `default`, or the only one that there is for the caller, when absent.
    pub(crate) project: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProfileInfo {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) published_at: i64,
    /// Of the document and everything it was resolved to.
    pub(crate) digest: String,
    #[serde(default = "default_project")]
    pub(crate) project: String,
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
    /// Where the role counts; everywhere when absent.
    #[serde(default)]
    pub(crate) project: Option<String>,
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
    /// In all projects.
    pub(crate) role: Role,
    /// Roles in single projects.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) projects: BTreeMap<String, Role>,
    pub(crate) created_at: i64,
    pub(crate) revoked_at: Option<i64>,
}

fn admin() -> Role {
    Role::Admin
}
