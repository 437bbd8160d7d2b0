//! What each host said last: the only hot table.

use sqlx::{AssertSqlSafe, FromRow};

use super::hosts::Part;
use super::{Connection, Db, places};

/// The newest sync of a host.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct LiveRow {
    pub(crate) host_uid: String,
    pub(crate) seen_at: i64,
    pub(crate) phase: String,
    pub(crate) progress: Option<String>,
    pub(crate) observed: String,
    pub(crate) findings: String,
    pub(crate) etag: Option<String>,
    pub(crate) agent: String,
    pub(crate) mode: String,
    pub(crate) address: String,
}

/// Writes the newest syncs of different hosts.
pub(crate) async fn put(conn: &mut Connection, rows: &[&LiveRow]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let text = format!(
        "INSERT INTO host_live (host_uid, seen_at, phase, progress, observed, findings, etag, \
         agent, mode, address) VALUES {} \
         ON CONFLICT (host_uid) DO UPDATE SET seen_at = excluded.seen_at, phase = excluded.phase, \
         progress = excluded.progress, observed = excluded.observed, findings = excluded.findings, \
         etag = excluded.etag, agent = excluded.agent, mode = excluded.mode, \
         address = excluded.address",
        places(rows.len(), 10)
    );
    let mut query = sqlx::query(AssertSqlSafe(text));
    for row in rows {
        query = query
            .bind(&row.host_uid)
            .bind(row.seen_at)
            .bind(&row.phase)
            .bind(&row.progress)
            .bind(&row.observed)
            .bind(&row.findings)
            .bind(&row.etag)
            .bind(&row.agent)
            .bind(&row.mode)
            .bind(&row.address);
    }
    query.execute(conn).await?;
    Ok(())
}

pub(crate) async fn get(conn: &mut Connection, uid: &str) -> sqlx::Result<Option<LiveRow>> {
    sqlx::query_as("SELECT * FROM host_live WHERE host_uid = $1")
        .bind(uid)
        .fetch_optional(conn)
        .await
}

/// For a page of hosts.
pub(crate) async fn page(db: &Db, part: &Part<'_>) -> sqlx::Result<Vec<LiveRow>> {
    sqlx::query_as(
        "SELECT t.* FROM host_live t JOIN host h ON h.uid = t.host_uid \
         WHERE h.uid > $1 AND h.uid <= $2 AND ($3 = '*' OR $3 LIKE '%|' || h.project || '|%')",
    )
    .bind(part.after)
    .bind(part.last)
    .bind(part.within.sql())
    .fetch_all(db.reader())
    .await
}
