//! Bodies about hosts.

use std::collections::BTreeMap;

use burin_api::desired::DiskChoice;
use burin_api::event::{Event, Finding, Progress};
use burin_api::host::Evidence;
use burin_api::message::Observed;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::default_project;
use crate::secret::Secret;

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
    /// For `approve`: where the host lands, when nobody called it into a project. For `move`: where
    /// to.
    pub(crate) project: String,
    /// For `move`: what the host shall be there, NAME or NAME@VERSION; needed when it has a profile.
    pub(crate) profile: String,
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
    #[serde(default = "default_project")]
    pub(crate) project: String,
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
