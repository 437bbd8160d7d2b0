//! Signed releases. A row never changes; a version that is signed again gets another one.

use sqlx::FromRow;

use super::{Connection, Db};
use crate::people::scope::Projects;

/// One envelope.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct SignedRow {
    pub(crate) profile: String,
    pub(crate) counter: i64,
    pub(crate) version: String,
    pub(crate) expires_at: i64,
    /// Thumbprint of the key.
    pub(crate) signer: String,
    /// Of the signed bytes.
    pub(crate) digest: String,
    /// JSON of the envelope, as hosts get it.
    pub(crate) envelope: String,
    pub(crate) imported_at: i64,
    pub(crate) imported_by: String,
}

pub(crate) async fn insert(conn: &mut Connection, row: &SignedRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO signed_release (profile, counter, version, expires_at, signer, digest, \
         envelope, imported_at, imported_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&row.profile)
    .bind(row.counter)
    .bind(&row.version)
    .bind(row.expires_at)
    .bind(&row.signer)
    .bind(&row.digest)
    .bind(&row.envelope)
    .bind(row.imported_at)
    .bind(&row.imported_by)
    .execute(conn)
    .await?;
    Ok(())
}

/// The one with the highest counter of a profile.
pub(crate) async fn highest(
    conn: &mut Connection,
    profile: &str,
) -> sqlx::Result<Option<SignedRow>> {
    sqlx::query_as("SELECT * FROM signed_release WHERE profile = $1 ORDER BY counter DESC LIMIT 1")
        .bind(profile)
        .fetch_optional(conn)
        .await
}

/// The one that hosts get for a version: that with the highest counter.
pub(crate) async fn of_version(
    conn: &mut Connection,
    profile: &str,
    version: &str,
) -> sqlx::Result<Option<SignedRow>> {
    sqlx::query_as(
        "SELECT * FROM signed_release WHERE profile = $1 AND version = $2 \
         ORDER BY counter DESC LIMIT 1",
    )
    .bind(profile)
    .bind(version)
    .fetch_optional(conn)
    .await
}

/// Digest of the one that hosts get for a version, which names it in few bytes.
pub(crate) async fn digest_of(
    conn: &mut Connection,
    profile: &str,
    version: &str,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(
        "SELECT digest FROM signed_release WHERE profile = $1 AND version = $2 \
         ORDER BY counter DESC LIMIT 1",
    )
    .bind(profile)
    .bind(version)
    .fetch_optional(conn)
    .await
}

/// The newest of each version of the profiles of these projects.
pub(crate) async fn list(db: &Db, within: &Projects) -> sqlx::Result<Vec<SignedRow>> {
    sqlx::query_as(
        "SELECT a.* FROM signed_release a JOIN profile p ON p.name = a.profile \
         WHERE ($1 = '*' OR $1 LIKE '%|' || p.project || '|%') AND a.counter = (SELECT MAX(b.counter) \
         FROM signed_release b WHERE b.profile = a.profile AND b.version = a.version) \
         ORDER BY a.profile, a.counter",
    )
    .bind(within.sql())
    .fetch_all(db.reader())
    .await
}
