//! ISOs that were made for somebody.

use sqlx::FromRow;

use super::{Connection, Db};

/// One made ISO.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct MadeRow {
    pub(crate) id: String,
    /// The one who may fetch it.
    pub(crate) maker: String,
    pub(crate) arch: String,
    /// SHA-256 of the ISO that it is made of.
    pub(crate) base: String,
    /// Its user-data, sealed.
    pub(crate) sealed: String,
    /// Of the made ISO.
    pub(crate) sha256: String,
    pub(crate) token_id: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
}

pub(crate) async fn insert(conn: &mut Connection, row: &MadeRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO made_iso (id, maker, arch, base, sealed, sha256, token_id, created_at, \
         expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&row.id)
    .bind(&row.maker)
    .bind(&row.arch)
    .bind(&row.base)
    .bind(&row.sealed)
    .bind(&row.sha256)
    .bind(&row.token_id)
    .bind(row.created_at)
    .bind(row.expires_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets what is over, and counts the rest.
pub(crate) async fn clear(conn: &mut Connection, now: i64) -> sqlx::Result<i64> {
    sqlx::query("DELETE FROM made_iso WHERE expires_at <= $1")
        .bind(now)
        .execute(&mut *conn)
        .await?;
    sqlx::query_scalar("SELECT COUNT(*) FROM made_iso")
        .fetch_one(conn)
        .await
}

/// One that is not over.
pub(crate) async fn get(db: &Db, id: &str, now: i64) -> sqlx::Result<Option<MadeRow>> {
    sqlx::query_as("SELECT * FROM made_iso WHERE id = $1 AND expires_at > $2")
        .bind(id)
        .bind(now)
        .fetch_optional(db.reader())
        .await
}
