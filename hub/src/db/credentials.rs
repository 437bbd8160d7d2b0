//! User names and sealed passwords of listed registries.

use sqlx::FromRow;

use super::Connection;
use super::counters::{self, Counter};

/// The credentials of one registry.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct CredentialRow {
    pub(crate) host: String,
    pub(crate) username: String,
    /// As `vault::Locker` sealed it.
    pub(crate) password: String,
    pub(crate) changed_at: i64,
}

/// Keeps the credentials of a registry in place of those of before.
pub(crate) async fn put(conn: &mut Connection, row: &CredentialRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO registry_credential (host, username, password, changed_at) \
         VALUES ($1, $2, $3, $4) ON CONFLICT (host) DO UPDATE SET username = excluded.username, \
         password = excluded.password, changed_at = excluded.changed_at",
    )
    .bind(&row.host)
    .bind(&row.username)
    .bind(&row.password)
    .bind(row.changed_at)
    .execute(&mut *conn)
    .await?;
    counters::next(conn, Counter::Credential).await.map(drop)
}

/// Forgets the credentials of a registry; false when there are none.
pub(crate) async fn remove(conn: &mut Connection, host: &str) -> sqlx::Result<bool> {
    let done = sqlx::query("DELETE FROM registry_credential WHERE host = $1")
        .bind(host)
        .execute(&mut *conn)
        .await?;
    let removed = done.rows_affected() == 1;
    if removed {
        counters::next(conn, Counter::Credential).await?;
    }
    Ok(removed)
}

pub(crate) async fn list(conn: &mut Connection) -> sqlx::Result<Vec<CredentialRow>> {
    sqlx::query_as("SELECT * FROM registry_credential ORDER BY host")
        .fetch_all(conn)
        .await
}

/// Number of the newest change; 0 when there never were credentials.
pub(crate) async fn revision(conn: &mut Connection) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT value FROM counter WHERE name = 'credential'")
        .fetch_one(conn)
        .await
}
