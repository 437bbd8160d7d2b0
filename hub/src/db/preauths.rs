//! Hosts that an operator announced.

use sqlx::FromRow;

use super::{Connection, Db};
use crate::people::scope::Projects;

/// One announced host.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct PreauthRow {
    pub(crate) id: String,
    /// `host_id`, `uuid`, `serial`, `key`.
    pub(crate) kind: String,
    pub(crate) value: String,
    /// What the operator read of the key; may be empty.
    pub(crate) confirmed_key: String,
    pub(crate) profile: Option<String>,
    pub(crate) labels: String,
    pub(crate) created_by: String,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) host_uid: Option<String>,
    /// Where the host lands.
    pub(crate) project: String,
}

/// What a calling host says of itself, in the spelling of the table.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) host_id: String,
    pub(crate) uuid: String,
    /// The same UUID with the byte order that older tools print.
    pub(crate) swapped_uuid: String,
    pub(crate) serial: String,
    /// The key's label.
    pub(crate) key: String,
}

pub(crate) async fn insert(conn: &mut Connection, row: &PreauthRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO preauth (id, kind, value, confirmed_key, profile, labels, created_by, \
         created_at, expires_at, host_uid, project) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL, $10)",
    )
    .bind(&row.id)
    .bind(&row.kind)
    .bind(&row.value)
    .bind(&row.confirmed_key)
    .bind(&row.profile)
    .bind(&row.labels)
    .bind(&row.created_by)
    .bind(row.created_at)
    .bind(row.expires_at)
    .bind(&row.project)
    .execute(conn)
    .await?;
    Ok(())
}

/// Those that are in force and match what a host says, oldest first.
pub(crate) async fn matching(
    conn: &mut Connection,
    said: &Said,
    now: i64,
) -> sqlx::Result<Vec<PreauthRow>> {
    sqlx::query_as(
        "SELECT * FROM preauth WHERE host_uid IS NULL AND expires_at > $1 AND (\
         (kind = 'host_id' AND value = $2) OR (kind = 'uuid' AND value IN ($3, $4)) \
         OR (kind = 'serial' AND value = $5) OR (kind = 'key' AND value = $6)) \
         ORDER BY created_at, id",
    )
    .bind(now)
    .bind(&said.host_id)
    .bind(&said.uuid)
    .bind(&said.swapped_uuid)
    .bind(&said.serial)
    .bind(&said.key)
    .fetch_all(conn)
    .await
}

/// The one in force with this matcher, if any.
pub(crate) async fn in_force(
    conn: &mut Connection,
    kind: &str,
    value: &str,
    now: i64,
) -> sqlx::Result<Option<PreauthRow>> {
    sqlx::query_as(
        "SELECT * FROM preauth WHERE kind = $1 AND value = $2 AND host_uid IS NULL \
         AND expires_at > $3 ORDER BY created_at, id LIMIT 1",
    )
    .bind(kind)
    .bind(value)
    .bind(now)
    .fetch_optional(conn)
    .await
}

/// Notes which host it let in; it lets in no other.
pub(crate) async fn used(conn: &mut Connection, id: &str, uid: &str) -> sqlx::Result<()> {
    sqlx::query("UPDATE preauth SET host_uid = $2 WHERE id = $1")
        .bind(id)
        .bind(uid)
        .execute(conn)
        .await?;
    Ok(())
}

/// Those of these projects, the oldest first.
pub(crate) async fn list(db: &Db, within: &Projects) -> sqlx::Result<Vec<PreauthRow>> {
    sqlx::query_as(
        "SELECT * FROM preauth WHERE ($1 = '*' OR $1 LIKE '%|' || project || '|%') \
         ORDER BY created_at, id",
    )
    .bind(within.sql())
    .fetch_all(db.reader())
    .await
}

pub(crate) async fn get(conn: &mut Connection, id: &str) -> sqlx::Result<Option<PreauthRow>> {
    sqlx::query_as("SELECT * FROM preauth WHERE id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await
}

pub(crate) async fn remove(conn: &mut Connection, id: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM preauth WHERE id = $1")
        .bind(id)
        .execute(conn)
        .await?;
    Ok(())
}
