//! By what each host was accepted.

use sqlx::FromRow;

use super::hosts::Part;
use super::{Connection, Db};

/// Why a host is in.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct AdmissionRow {
    pub(crate) host_uid: String,
    /// `token`, `host_id`, `uuid`, `serial`, `key`, `qr`, `code`, `approval`.
    pub(crate) matcher: String,
    /// Id of the token or preauth; `provisional` for a claim without a number.
    pub(crate) detail: String,
    pub(crate) actor: String,
    pub(crate) made_at: i64,
}

pub(crate) async fn put(conn: &mut Connection, row: &AdmissionRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO admission (host_uid, matcher, detail, actor, made_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (host_uid) DO UPDATE SET \
         matcher = excluded.matcher, detail = excluded.detail, actor = excluded.actor, \
         made_at = excluded.made_at",
    )
    .bind(&row.host_uid)
    .bind(&row.matcher)
    .bind(&row.detail)
    .bind(&row.actor)
    .bind(row.made_at)
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn get(conn: &mut Connection, uid: &str) -> sqlx::Result<Option<AdmissionRow>> {
    sqlx::query_as("SELECT * FROM admission WHERE host_uid = $1")
        .bind(uid)
        .fetch_optional(conn)
        .await
}

/// For a page of hosts.
pub(crate) async fn page(db: &Db, part: &Part<'_>) -> sqlx::Result<Vec<AdmissionRow>> {
    sqlx::query_as(
        "SELECT t.* FROM admission t JOIN host h ON h.uid = t.host_uid \
         WHERE h.uid > $1 AND h.uid <= $2 AND ($3 = '*' OR $3 LIKE '%|' || h.project || '|%')",
    )
    .bind(part.after)
    .bind(part.last)
    .bind(part.within.sql())
    .fetch_all(db.reader())
    .await
}
