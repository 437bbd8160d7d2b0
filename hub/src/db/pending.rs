//! Hosts that wait to be let in, and those that waited too long.

use sqlx::FromRow;

use super::Connection;

/// How many hosts wait.
#[derive(Debug, Clone, Copy, FromRow)]
pub(crate) struct Waiting {
    /// With one host ID.
    pub(crate) same: i64,
    /// That somebody of one project called here: by a token of it, or into it.
    pub(crate) called: i64,
    /// On the whole hub.
    pub(crate) all: i64,
}

/// Counts those with this host ID, those of this project, and all. Those whom nobody called wait in
/// `default` and are not counted as its own.
pub(crate) async fn count(
    conn: &mut Connection,
    host_id: &str,
    project: &str,
) -> sqlx::Result<Waiting> {
    sqlx::query_as(
        "SELECT COALESCE(SUM(CASE WHEN host_id = $1 THEN 1 ELSE 0 END), 0) AS same, \
         COALESCE(SUM(CASE WHEN project = $2 AND (project <> 'default' OR token_id IS NOT NULL) \
         THEN 1 ELSE 0 END), 0) AS called, COUNT(*) AS \"all\" FROM host WHERE state = 'pending'",
    )
    .bind(host_id)
    .bind(project)
    .fetch_one(conn)
    .await
}

/// Why a host waits, and in which project.
pub(crate) async fn set(
    conn: &mut Connection,
    uid: &str,
    reason: &str,
    project: &str,
) -> sqlx::Result<()> {
    let text = "UPDATE host SET reason = $2, project = $3 WHERE uid = $1 AND state = 'pending'";
    sqlx::query(text)
        .bind(uid)
        .bind(reason)
        .bind(project)
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets a host that was never accepted.
pub(crate) async fn forget(conn: &mut Connection, uid: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM host WHERE uid = $1 AND state IN ('pending', 'rejected')")
        .bind(uid)
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets those of this host ID that were not heard since `before`: a machine that starts again and
/// again with new keys must not fill its own list.
pub(crate) async fn forget_silent(
    conn: &mut Connection,
    host_id: &str,
    before: i64,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM host WHERE host_id = $1 AND state = 'pending' AND enrolled_at < $2")
        .bind(host_id)
        .bind(before)
        .execute(conn)
        .await?;
    Ok(())
}

/// Turns those older than `before` into rejected ones.
pub(crate) async fn expire(conn: &mut Connection, before: i64) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE host SET state = 'rejected', reason = 'expired' \
         WHERE state = 'pending' AND created_at < $1",
    )
    .bind(before)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets hosts that were never accepted and whose time was over before `before`: each boot of an
/// unapproved machine leaves one. A host that an admin denied stays denied.
pub(crate) async fn forget_expired(conn: &mut Connection, before: i64) -> sqlx::Result<()> {
    sqlx::query(
        "DELETE FROM host WHERE state = 'rejected' AND reason = 'expired' AND created_at < $1",
    )
    .bind(before)
    .execute(conn)
    .await?;
    Ok(())
}
