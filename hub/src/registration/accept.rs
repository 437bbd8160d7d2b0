//! Letting a host in, and giving a host another key.

use crate::db::admissions::{self, AdmissionRow};
use crate::db::hosts::{self, Accepted, HostRow, KeyRow};
use crate::db::{
    Connection, assignments, audit, claims, machines, pending, preauths, profiles, sessions,
};

/// By what a host is let in, and what comes with it.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    /// `token`, `host_id`, `uuid`, `serial`, `key`, `qr`, `code`, `approval`.
    pub(crate) matcher: String,
    /// Id of the token or preauth; may be empty.
    pub(crate) detail: String,
    /// Who gave the matcher.
    pub(crate) actor: String,
    pub(crate) token_id: Option<String>,
    /// JSON.
    pub(crate) labels: String,
    pub(crate) profile: Option<String>,
    /// Where the host lands.
    pub(crate) project: String,
}

/// Accepts a pending host and gives it the newest version of the profile that comes with its
/// matcher. The use of a token is the caller's to count.
pub(crate) async fn accept(
    conn: &mut Connection,
    uid: &str,
    by: &Admission,
    now: i64,
) -> sqlx::Result<()> {
    let with = Accepted {
        token_id: by.token_id.as_deref(),
        labels: &by.labels,
        project: &by.project,
    };
    hosts::accept(conn, uid, &with, now).await?;
    note(conn, uid, by, now).await?;
    if let Some(profile) = &by.profile {
        assign_newest(conn, uid, profile, now).await?;
    }
    audit::record(conn, &by.actor, &action("host.accept", by), uid, now).await
}

/// Puts the key of a pending host in the place of a live host's key: the same machine with a new
/// key. The live host keeps its name, its assignment and its history.
pub(crate) async fn replace_key(
    conn: &mut Connection,
    live: &str,
    newcomer: &HostRow,
    key: &KeyRow,
    by: &Admission,
    now: i64,
) -> sqlx::Result<()> {
    pending::forget(conn, &newcomer.uid).await?;
    hosts::replace_keys(conn, live).await?;
    sessions::end_all(conn, live, now).await?;
    machines::forget(conn, live).await?;
    let key = KeyRow {
        host_uid: live.to_owned(),
        ..key.clone()
    };
    hosts::insert_key(conn, &key, now).await?;
    let row = HostRow {
        uid: live.to_owned(),
        ..newcomer.clone()
    };
    hosts::upsert(conn, &row).await?;
    note(conn, live, by, now).await?;
    audit::record(conn, &by.actor, &action("host.rekey", by), live, now).await
}

fn action(what: &str, by: &Admission) -> String {
    match by.detail.as_str() {
        "" => format!("{what} by {}", by.matcher),
        detail => format!("{what} by {} {detail}", by.matcher),
    }
}

async fn note(conn: &mut Connection, uid: &str, by: &Admission, now: i64) -> sqlx::Result<()> {
    claims::end_challenge(conn, uid).await?;
    if matches!(by.matcher.as_str(), "host_id" | "uuid" | "serial" | "key") {
        preauths::used(conn, &by.detail, uid).await?;
    }
    let row = AdmissionRow {
        host_uid: uid.to_owned(),
        matcher: by.matcher.clone(),
        detail: by.detail.clone(),
        actor: by.actor.clone(),
        made_at: now,
    };
    admissions::put(conn, &row).await
}

/// Gives a host the newest version of a profile; of one whose versions are signed, the newest
/// signed one.
async fn assign_newest(
    conn: &mut Connection,
    uid: &str,
    profile: &str,
    now: i64,
) -> sqlx::Result<()> {
    let Some(newest) = profiles::newest_signed(conn, profile).await? else {
        tracing::warn!("host {uid} shall be {profile}, which has no version");
        return Ok(());
    };
    assignments::insert(conn, uid, &newest.name, &newest.version, None, now).await?;
    Ok(())
}
