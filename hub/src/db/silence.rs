//! Silent hosts that were told of, and what the webhook has still to be told.

use sqlx::FromRow;

use super::{Connection, Db};

/// Hosts that one look takes.
const LOOK: i64 = 500;

/// A host that fell silent or was heard again.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Change {
    pub(crate) uid: String,
    pub(crate) host_id: String,
    pub(crate) seen_at: i64,
}

/// Something to tell.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct WebhookRow {
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) tries: i64,
    pub(crate) next_at: i64,
}

/// Accepted hosts that were last heard before `heard_since` and not told of yet.
pub(crate) async fn fallen(conn: &mut Connection, heard_since: i64) -> sqlx::Result<Vec<Change>> {
    sqlx::query_as(
        "SELECT h.uid, h.host_id, l.seen_at FROM host h JOIN host_live l ON l.host_uid = h.uid \
         LEFT JOIN silence s ON s.host_uid = h.uid WHERE h.state = 'accepted' \
         AND l.seen_at < $1 AND s.host_uid IS NULL ORDER BY h.uid LIMIT $2",
    )
    .bind(heard_since)
    .bind(LOOK)
    .fetch_all(conn)
    .await
}

/// Hosts that were told of and were heard since.
pub(crate) async fn heard(conn: &mut Connection, heard_since: i64) -> sqlx::Result<Vec<Change>> {
    sqlx::query_as(
        "SELECT h.uid, h.host_id, l.seen_at FROM silence s JOIN host h ON h.uid = s.host_uid \
         JOIN host_live l ON l.host_uid = h.uid WHERE l.seen_at >= $1 ORDER BY h.uid LIMIT $2",
    )
    .bind(heard_since)
    .bind(LOOK)
    .fetch_all(conn)
    .await
}

pub(crate) async fn note(conn: &mut Connection, uid: &str, now: i64) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO silence (host_uid, since) VALUES ($1, $2)")
        .bind(uid)
        .bind(now)
        .execute(conn)
        .await?;
    Ok(())
}

pub(crate) async fn forget(conn: &mut Connection, uid: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM silence WHERE host_uid = $1")
        .bind(uid)
        .execute(conn)
        .await?;
    Ok(())
}

/// Keeps something to tell.
pub(crate) async fn queue(
    conn: &mut Connection,
    id: &str,
    body: &str,
    now: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO webhook (id, body, tries, next_at, created_at) VALUES ($1, $2, 0, $3, $3)",
    )
    .bind(id)
    .bind(body)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// How much waits to be told.
pub(crate) async fn queued(conn: &mut Connection) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT COUNT(*) FROM webhook")
        .fetch_one(conn)
        .await
}

/// Drops what nobody took since `before`.
pub(crate) async fn give_up(conn: &mut Connection, before: i64) -> sqlx::Result<u64> {
    let done = sqlx::query("DELETE FROM webhook WHERE created_at < $1")
        .bind(before)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}

/// What is due, the oldest first.
pub(crate) async fn due(db: &Db, now: i64, limit: i64) -> sqlx::Result<Vec<WebhookRow>> {
    sqlx::query_as(
        "SELECT id, body, tries, next_at FROM webhook WHERE next_at <= $1 \
         ORDER BY created_at, id LIMIT $2",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(db.reader())
    .await
}

/// Takes a row before it is sent and says when it is tried again. False when another replica was
/// faster.
pub(crate) async fn take(
    conn: &mut Connection,
    row: &WebhookRow,
    again_at: i64,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE webhook SET tries = tries + 1, next_at = $3 WHERE id = $1 AND next_at = $2",
    )
    .bind(&row.id)
    .bind(row.next_at)
    .bind(again_at)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn told(conn: &mut Connection, id: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM webhook WHERE id = $1")
        .bind(id)
        .execute(conn)
        .await?;
    Ok(())
}
