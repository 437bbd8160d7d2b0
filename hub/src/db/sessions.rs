//! Sessions of hosts: one key per boot, 24 hours at most.

use sqlx::{AssertSqlSafe, FromRow};

use super::{Connection, places};

/// One session.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct SessionRow {
    pub(crate) id: String,
    pub(crate) host_uid: String,
    pub(crate) thumbprint: String,
    pub(crate) public_key: String,
    pub(crate) sealing_key: Option<String>,
    pub(crate) boot_id: String,
    pub(crate) hardware_digest: String,
    pub(crate) key_store: String,
    pub(crate) mode: String,
    pub(crate) agent: String,
    pub(crate) sequence: i64,
    pub(crate) opened_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) ended_at: Option<i64>,
}

/// Ends the host's other sessions and opens this one.
pub(crate) async fn open(conn: &mut Connection, row: &SessionRow) -> sqlx::Result<()> {
    end_all(conn, &row.host_uid, row.opened_at).await?;
    sqlx::query(
        "INSERT INTO session (id, host_uid, thumbprint, public_key, sealing_key, boot_id, \
         hardware_digest, key_store, mode, agent, sequence, opened_at, expires_at, ended_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12, NULL)",
    )
    .bind(&row.id)
    .bind(&row.host_uid)
    .bind(&row.thumbprint)
    .bind(&row.public_key)
    .bind(&row.sealing_key)
    .bind(&row.boot_id)
    .bind(&row.hardware_digest)
    .bind(&row.key_store)
    .bind(&row.mode)
    .bind(&row.agent)
    .bind(row.opened_at)
    .bind(row.expires_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends every session of a host.
pub(crate) async fn end_all(conn: &mut Connection, uid: &str, now: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE session SET ended_at = $2 WHERE host_uid = $1 AND ended_at IS NULL")
        .bind(uid)
        .bind(now)
        .execute(conn)
        .await?;
    Ok(())
}

pub(crate) async fn get(conn: &mut Connection, id: &str) -> sqlx::Result<Option<SessionRow>> {
    sqlx::query_as("SELECT * FROM session WHERE id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// The newest sessions of a host, newest first.
pub(crate) async fn newest(conn: &mut Connection, uid: &str) -> sqlx::Result<Vec<SessionRow>> {
    sqlx::query_as(
        "SELECT * FROM session WHERE host_uid = $1 ORDER BY opened_at DESC, id DESC LIMIT 8",
    )
    .bind(uid)
    .fetch_all(conn)
    .await
}

/// Moves the sequences of different sessions forward. Returns the sessions that went on: in the
/// others the number is not greater, which is a replay, or they have ended.
pub(crate) async fn advance(
    conn: &mut Connection,
    moves: &[(&str, i64)],
) -> sqlx::Result<Vec<String>> {
    let text = format!(
        "WITH move (session_id, number) AS (VALUES {}) \
         UPDATE session SET sequence = move.number FROM move \
         WHERE session.id = move.session_id AND session.sequence < move.number \
         AND session.ended_at IS NULL RETURNING session.id",
        places(moves.len(), 2)
    );
    let mut query = sqlx::query_scalar(AssertSqlSafe(text));
    for (session, number) in moves {
        query = query.bind(*session).bind(*number);
    }
    query.fetch_all(conn).await
}

/// Drops sessions that ended or expired before `before`.
pub(crate) async fn forget_old(conn: &mut Connection, before: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM session WHERE expires_at < $1")
        .bind(before)
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets every session of a host, so that its history starts anew.
pub(crate) async fn forget(conn: &mut Connection, uid: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM session WHERE host_uid = $1")
        .bind(uid)
        .execute(conn)
        .await?;
    Ok(())
}
