//! Registration tokens. The hub keeps the public half only.

use sqlx::FromRow;

use super::{Connection, Db};
use crate::people::scope::Projects;

/// One token.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct TokenRow {
    pub(crate) id: String,
    pub(crate) public_key: String,
    pub(crate) uses: i64,
    pub(crate) used: i64,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) labels: String,
    /// JSON list of networks that it is good from; empty for all.
    pub(crate) networks: String,
    pub(crate) profile: Option<String>,
    pub(crate) requires_approval: i64,
    /// Where its hosts land.
    pub(crate) project: String,
}

pub(crate) async fn insert(conn: &mut Connection, row: &TokenRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO token (id, public_key, uses, used, created_at, expires_at, revoked_at, \
         labels, networks, profile, requires_approval, project) \
         VALUES ($1, $2, $3, 0, $4, $5, NULL, $6, $7, $8, $9, $10)",
    )
    .bind(&row.id)
    .bind(&row.public_key)
    .bind(row.uses)
    .bind(row.created_at)
    .bind(row.expires_at)
    .bind(&row.labels)
    .bind(&row.networks)
    .bind(&row.profile)
    .bind(row.requires_approval)
    .bind(&row.project)
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn get(conn: &mut Connection, id: &str) -> sqlx::Result<Option<TokenRow>> {
    sqlx::query_as("SELECT * FROM token WHERE id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Those of these projects, the oldest first.
pub(crate) async fn list(db: &Db, within: &Projects) -> sqlx::Result<Vec<TokenRow>> {
    sqlx::query_as(
        "SELECT * FROM token WHERE ($1 = '*' OR $1 LIKE '%|' || project || '|%') \
         ORDER BY created_at, id",
    )
    .bind(within.sql())
    .fetch_all(db.reader())
    .await
}

/// Counts one use. False when there is none left, or the token is over.
pub(crate) async fn take_use(conn: &mut Connection, id: &str, now: i64) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE token SET used = used + 1 \
         WHERE id = $1 AND used < uses AND revoked_at IS NULL AND expires_at > $2",
    )
    .bind(id)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Revoking twice keeps the first time.
pub(crate) async fn revoke(conn: &mut Connection, id: &str, now: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE token SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1")
        .bind(id)
        .bind(now)
        .execute(conn)
        .await?;
    Ok(())
}
