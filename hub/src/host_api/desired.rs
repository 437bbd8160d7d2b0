//! What a host shall be, and the etag that says so in few bytes.

use burin_api::desired::{Desired, Release};
use burin_api::host::Evidence;

use super::modalias;
use crate::db::assignments::AssignmentRow;
use crate::db::hosts::HostRow;
use crate::db::profiles::ProfileRow;
use crate::db::releases;
use crate::db::{self, Connection, from_json};
use crate::secret::sha256;
use crate::state::Hub;

/// The assignment in force and its etag.
#[derive(Debug)]
pub(super) struct Target {
    assignment: AssignmentRow,
    /// Whether hosts get the signed release.
    signed: bool,
    pub(super) etag: String,
}

/// Reads the target of a host; none while nothing is assigned.
pub(super) async fn target(
    hub: &Hub,
    conn: &mut Connection,
    host: &HostRow,
) -> sqlx::Result<Option<Target>> {
    let Some(assignment) = db::assignments::current(conn, &host.uid).await? else {
        return Ok(None);
    };
    let evidence: Evidence = from_json(&host.evidence)?;
    // A published version never changes, so its name stands for its content.
    let signed = match hub.keys.wants_signatures() {
        true => releases::digest_of(conn, &assignment.profile, &assignment.version).await?,
        false => None,
    };
    let said = serde_json::json!([
        host.uid,
        assignment.generation,
        assignment.profile,
        assignment.version,
        assignment.disk,
        evidence.modaliases,
        signed,
    ]);
    let etag = sha256(said.to_string().as_bytes())[..32].to_owned();
    Ok(Some(Target {
        assignment,
        signed: signed.is_some(),
        etag,
    }))
}

/// The release of a target.
pub(super) async fn release(conn: &mut Connection, target: &Target) -> anyhow::Result<Release> {
    Ok(from_json(&profile(conn, target).await?.release)?)
}

async fn profile(conn: &mut Connection, target: &Target) -> anyhow::Result<ProfileRow> {
    let AssignmentRow {
        profile, version, ..
    } = &target.assignment;
    db::profiles::get(conn, profile, version)
        .await?
        .ok_or_else(|| anyhow::anyhow!("profile {profile}@{version} is assigned but not stored"))
}

/// The whole desired state of a target.
pub(super) async fn desired(
    conn: &mut Connection,
    host: &HostRow,
    target: &Target,
) -> anyhow::Result<Desired> {
    let row = profile(conn, target).await?;
    let signed = match target.signed {
        true => releases::of_version(conn, &row.name, &row.version).await?,
        false => None,
    };
    // Hosts read nothing but the envelope: the answer has no room for the release twice.
    let release: Release = match &signed {
        Some(_) => Release::default(),
        None => from_json(&row.release)?,
    };
    let signed = signed.map(|row| from_json(&row.envelope)).transpose()?;
    let patterns: Vec<String> = from_json(&row.module_aliases)?;
    let evidence: Evidence = from_json(&host.evidence)?;
    let disk = target
        .assignment
        .disk
        .as_deref()
        .map(from_json)
        .transpose()?;
    Ok(Desired {
        assignment: u64::try_from(target.assignment.generation)?,
        unserved: modalias::unserved(&evidence.modaliases, &patterns),
        release,
        signed,
        disk,
    })
}
