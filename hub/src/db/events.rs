//! Events of hosts, each stored once.

use sqlx::FromRow;

use super::counters::{self, Counter};
use super::{Connection, Db};
use crate::people::scope::Projects;

/// One stored event. `body` is the host's own event as JSON.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct EventRow {
    /// Position in the hub's list.
    pub(crate) number: i64,
    pub(crate) host_uid: String,
    pub(crate) received_at: i64,
    pub(crate) body: String,
}

/// Stores an event unless this host already sent one with this id.
pub(crate) async fn store(
    conn: &mut Connection,
    uid: &str,
    id: &str,
    body: &str,
    now: i64,
) -> sqlx::Result<()> {
    let number = counters::next(conn, Counter::Event).await?;
    sqlx::query(
        "INSERT INTO event (number, host_uid, id, received_at, body) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (host_uid, id) DO NOTHING",
    )
    .bind(number)
    .bind(uid)
    .bind(id)
    .bind(now)
    .bind(body)
    .execute(conn)
    .await?;
    Ok(())
}

/// Events of hosts of these projects after a position, oldest first; of one host when `uid` is not
/// empty.
pub(crate) async fn page(
    db: &Db,
    within: &Projects,
    uid: &str,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<EventRow>> {
    sqlx::query_as(
        "SELECT e.number, e.host_uid, e.received_at, e.body FROM event e \
         JOIN host h ON h.uid = e.host_uid WHERE e.number > $2 AND ($1 = '' OR e.host_uid = $1) \
         AND ($4 = '*' OR $4 LIKE '%|' || h.project || '|%') ORDER BY e.number LIMIT $3",
    )
    .bind(uid)
    .bind(after)
    .bind(limit)
    .bind(within.sql())
    .fetch_all(db.reader())
    .await
}

/// The newest events of a host, newest first.
pub(crate) async fn newest(db: &Db, uid: &str, limit: i64) -> sqlx::Result<Vec<EventRow>> {
    sqlx::query_as(
        "SELECT number, host_uid, received_at, body FROM event WHERE host_uid = $1 \
         ORDER BY number DESC LIMIT $2",
    )
    .bind(uid)
    .bind(limit)
    .fetch_all(db.reader())
    .await
}

/// Keeps the newest `keep` events of a host.
pub(crate) async fn trim(conn: &mut Connection, uid: &str, keep: i64) -> sqlx::Result<()> {
    sqlx::query(
        "DELETE FROM event WHERE host_uid = $1 AND number < COALESCE((SELECT MIN(number) FROM \
         (SELECT number FROM event WHERE host_uid = $1 ORDER BY number DESC LIMIT $2) AS newest), 0)",
    )
    .bind(uid)
    .bind(keep)
    .execute(conn)
    .await?;
    Ok(())
}
