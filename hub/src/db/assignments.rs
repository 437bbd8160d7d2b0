//! Which release a host shall be. Every assignment has a higher generation than the one before.

use sqlx::FromRow;

use super::hosts::Part;
use super::{Connection, Db};

/// One assignment.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct AssignmentRow {
    pub(crate) host_uid: String,
    pub(crate) generation: i64,
    pub(crate) profile: String,
    pub(crate) version: String,
    /// JSON of the operator's choice of disk.
    pub(crate) disk: Option<String>,
    pub(crate) created_at: i64,
}

/// Assigns a release and returns the assignment's generation.
pub(crate) async fn insert(
    conn: &mut Connection,
    uid: &str,
    profile: &str,
    version: &str,
    disk: Option<&str>,
    now: i64,
) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "INSERT INTO assignment (host_uid, generation, profile, version, disk, created_at) \
         SELECT $1, COALESCE(MAX(generation), 0) + 1, $2, $3, $4, $5 FROM assignment \
         WHERE host_uid = $1 RETURNING generation",
    )
    .bind(uid)
    .bind(profile)
    .bind(version)
    .bind(disk)
    .bind(now)
    .fetch_one(conn)
    .await
}

/// The one in force.
pub(crate) async fn current(
    conn: &mut Connection,
    uid: &str,
) -> sqlx::Result<Option<AssignmentRow>> {
    sqlx::query_as(
        "SELECT host_uid, generation, profile, version, disk, created_at FROM assignment \
         WHERE host_uid = $1 ORDER BY generation DESC LIMIT 1",
    )
    .bind(uid)
    .fetch_optional(conn)
    .await
}

/// The newest ones of a host, the newest first.
pub(crate) async fn history(conn: &mut Connection, uid: &str) -> sqlx::Result<Vec<AssignmentRow>> {
    sqlx::query_as(
        "SELECT host_uid, generation, profile, version, disk, created_at FROM assignment \
         WHERE host_uid = $1 ORDER BY generation DESC LIMIT 20",
    )
    .bind(uid)
    .fetch_all(conn)
    .await
}

/// Those in force for a page of hosts.
pub(crate) async fn page(db: &Db, part: &Part<'_>) -> sqlx::Result<Vec<AssignmentRow>> {
    sqlx::query_as(
        "SELECT a.host_uid, a.generation, a.profile, a.version, a.disk, a.created_at FROM assignment a \
         JOIN host h ON h.uid = a.host_uid WHERE h.uid > $1 AND h.uid <= $2 \
         AND ($3 = '*' OR $3 LIKE '%|' || h.project || '|%') AND a.generation = \
         (SELECT MAX(b.generation) FROM assignment b WHERE b.host_uid = a.host_uid)",
    )
    .bind(part.after)
    .bind(part.last)
    .bind(part.within.sql())
    .fetch_all(db.reader())
    .await
}
