//! Published versions of profiles. A row never changes.

use sqlx::FromRow;

use super::{Connection, Db};

/// One published version.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct ProfileRow {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) published_at: i64,
    /// Digest of the document and of everything it was resolved to.
    pub(crate) digest: String,
    pub(crate) document: String,
    /// The release as hosts get it, JSON.
    pub(crate) release: String,
    /// JSON list of patterns; too large for an answer, so it is kept apart.
    pub(crate) module_aliases: String,
}

/// A version without its large columns.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct ProfileName {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) published_at: i64,
    pub(crate) digest: String,
}

/// False when the version exists already.
pub(crate) async fn insert(conn: &mut Connection, row: &ProfileRow) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "INSERT INTO profile_version (name, version, published_at, digest, document, release, \
         module_aliases) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name, version) DO NOTHING",
    )
    .bind(&row.name)
    .bind(&row.version)
    .bind(row.published_at)
    .bind(&row.digest)
    .bind(&row.document)
    .bind(&row.release)
    .bind(&row.module_aliases)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn get(
    conn: &mut Connection,
    name: &str,
    version: &str,
) -> sqlx::Result<Option<ProfileRow>> {
    sqlx::query_as("SELECT * FROM profile_version WHERE name = $1 AND version = $2")
        .bind(name)
        .bind(version)
        .fetch_optional(conn)
        .await
}

/// The version of a profile that was published last.
pub(crate) async fn newest(conn: &mut Connection, name: &str) -> sqlx::Result<Option<ProfileName>> {
    sqlx::query_as(
        "SELECT name, version, published_at, digest FROM profile_version WHERE name = $1 \
         ORDER BY published_at DESC LIMIT 1",
    )
    .bind(name)
    .fetch_optional(conn)
    .await
}

/// The version that was published last, before others one that is signed.
pub(crate) async fn newest_signed(
    conn: &mut Connection,
    name: &str,
) -> sqlx::Result<Option<ProfileName>> {
    sqlx::query_as(
        "SELECT p.name, p.version, p.published_at, p.digest FROM profile_version p \
         WHERE p.name = $1 ORDER BY (SELECT COUNT(*) FROM signed_release s \
         WHERE s.profile = p.name AND s.version = p.version) = 0, p.published_at DESC LIMIT 1",
    )
    .bind(name)
    .fetch_optional(conn)
    .await
}

pub(crate) async fn list(db: &Db) -> sqlx::Result<Vec<ProfileName>> {
    sqlx::query_as(
        "SELECT name, version, published_at, digest FROM profile_version \
         ORDER BY name, published_at",
    )
    .fetch_all(db.reader())
    .await
}
