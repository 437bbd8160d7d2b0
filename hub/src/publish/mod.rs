//! Publishing of profile versions.

use axum::http::StatusCode;

use crate::admin::problem::Problem;
use crate::db::profiles::ProfileName;
use crate::state::Hub;

/// Publishes a version.
pub(crate) async fn publish(_: &Hub, _: &str, _: &str) -> Result<ProfileName, Problem> {
    let detail = "this hub cannot read profiles yet";
    Err(Problem::new(
        StatusCode::NOT_IMPLEMENTED,
        "not_implemented",
        detail,
    ))
}
