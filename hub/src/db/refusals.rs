//! Refusals of hosts, counted by code, caller and host.

use sqlx::FromRow;

use super::{Connection, Db};
use crate::people::scope::Projects;

/// Rows that are kept: a crowd of callers pushes out the oldest and never fills the disk.
const KEPT: i64 = 1_000;

/// One refusal, as often as it was said.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct RefusalRow {
    pub(crate) code: String,
    /// What the host was told last.
    pub(crate) message: String,
    pub(crate) address: String,
    /// Empty unless the caller proved that it has the key of this host.
    pub(crate) host_uid: String,
    /// What the caller said of itself.
    pub(crate) said: String,
    pub(crate) retry_after: Option<i64>,
    pub(crate) times: i64,
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
}

/// Adds to what was counted before.
pub(crate) async fn count(conn: &mut Connection, row: &RefusalRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO refusal (id, code, message, address, host_uid, said, retry_after, times, \
         first_at, last_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (id) DO UPDATE SET message = excluded.message, said = excluded.said, \
         retry_after = excluded.retry_after, times = refusal.times + excluded.times, \
         last_at = excluded.last_at",
    )
    .bind(format!("{} {} {}", row.code, row.address, row.host_uid))
    .bind(&row.code)
    .bind(&row.message)
    .bind(&row.address)
    .bind(&row.host_uid)
    .bind(&row.said)
    .bind(row.retry_after)
    .bind(row.times)
    .bind(row.first_at)
    .bind(row.last_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets all but the newest.
pub(crate) async fn trim(conn: &mut Connection) -> sqlx::Result<()> {
    sqlx::query(
        "DELETE FROM refusal WHERE id NOT IN \
         (SELECT id FROM refusal ORDER BY last_at DESC, id LIMIT $1)",
    )
    .bind(KEPT)
    .execute(conn)
    .await?;
    Ok(())
}

/// The newest first; of one host when `uid` is not empty. A caller that is no host of the hub belongs
/// to no project: only who sees all of them sees it.
pub(crate) async fn newest(
    db: &Db,
    within: &Projects,
    uid: &str,
    limit: i64,
) -> sqlx::Result<Vec<RefusalRow>> {
    sqlx::query_as(
        "SELECT code, message, address, host_uid, said, retry_after, times, first_at, last_at \
         FROM refusal WHERE ($1 = '' OR host_uid = $1) AND ($2 = '*' OR EXISTS (SELECT 1 FROM host h \
         WHERE h.uid = refusal.host_uid AND $2 LIKE '%|' || h.project || '|%')) \
         ORDER BY last_at DESC, id LIMIT $3",
    )
    .bind(uid)
    .bind(within.sql())
    .bind(limit)
    .fetch_all(db.reader())
    .await
}

/// How many rows were added to since then.
pub(crate) async fn since(db: &Db, within: &Projects, at: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "SELECT COUNT(*) FROM refusal WHERE last_at >= $1 AND ($2 = '*' OR EXISTS \
         (SELECT 1 FROM host h WHERE h.uid = refusal.host_uid \
         AND $2 LIKE '%|' || h.project || '|%'))",
    )
    .bind(at)
    .bind(within.sql())
    .fetch_one(db.reader())
    .await
}
