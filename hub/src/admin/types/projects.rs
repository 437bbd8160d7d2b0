//! Bodies about projects.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::people::Role;

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectRequest {
    /// a-z, 0-9 and `-`.
    pub(crate) name: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProjectInfo {
    pub(crate) name: String,
    /// 0 for `default`, which was always there.
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
}

/// A role in one project.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleRequest {
    /// `operator`, `technician` or `viewer`; `none` takes the role away.
    pub(crate) role: Role,
}

/// Which part of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct InProject {
    /// One project of those that the caller sees; all of them when empty.
    pub(crate) project: String,
}

/// The project of what older hubs wrote.
pub(crate) fn default_project() -> String {
    crate::people::scope::DEFAULT.to_owned()
}
