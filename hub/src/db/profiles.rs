//! Published versions of profiles. A row never changes.

use sqlx::FromRow;

use super::{Connection, Db};
use crate::people::scope::Projects;

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
    pub(crate) project: String,
}

/// A version without its large columns.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct ProfileName {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) published_at: i64,
    pub(crate) digest: String,
    pub(crate) project: String,
}

/// False when the version exists already, or the name belongs to another project.
pub(crate) async fn insert(conn: &mut Connection, row: &ProfileRow) -> sqlx::Result<bool> {
    sqlx::query(
        "INSERT INTO profile (name, project) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
    )
    .bind(&row.name)
    .bind(&row.project)
    .execute(&mut *conn)
    .await?;
    if project_of(conn, &row.name).await?.as_ref() != Some(&row.project) {
        return Ok(false);
    }
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
    sqlx::query_as(
        "SELECT v.*, p.project FROM profile_version v JOIN profile p ON p.name = v.name \
         WHERE v.name = $1 AND v.version = $2",
    )
    .bind(name)
    .bind(version)
    .fetch_optional(conn)
    .await
}

/// The project that a profile belongs to; none when nobody published it.
pub(crate) async fn project_of(conn: &mut Connection, name: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT project FROM profile WHERE name = $1")
        .bind(name)
        .fetch_optional(conn)
        .await
}

/// The version of a profile that was published last.
pub(crate) async fn newest(conn: &mut Connection, name: &str) -> sqlx::Result<Option<ProfileName>> {
    sqlx::query_as(
        "SELECT v.name, v.version, v.published_at, v.digest, p.project FROM profile_version v \
         JOIN profile p ON p.name = v.name WHERE v.name = $1 ORDER BY v.published_at DESC LIMIT 1",
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
        "SELECT v.name, v.version, v.published_at, v.digest, p.project FROM profile_version v \
         JOIN profile p ON p.name = v.name WHERE v.name = $1 \
         ORDER BY (SELECT COUNT(*) FROM signed_release s \
         WHERE s.profile = v.name AND s.version = v.version) = 0, v.published_at DESC LIMIT 1",
    )
    .bind(name)
    .fetch_optional(conn)
    .await
}

/// Those of these projects, by name, the oldest first.
pub(crate) async fn list(db: &Db, within: &Projects) -> sqlx::Result<Vec<ProfileName>> {
    sqlx::query_as(
        "SELECT v.name, v.version, v.published_at, v.digest, p.project FROM profile_version v \
         JOIN profile p ON p.name = v.name \
         WHERE ($1 = '*' OR $1 LIKE '%|' || p.project || '|%') ORDER BY v.name, v.published_at",
    )
    .bind(within.sql())
    .fetch_all(db.reader())
    .await
}
