//! The registries that an admin listed.

use sqlx::FromRow;

use super::{Connection, Db};

/// One listed registry.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct RegistryRow {
    pub(crate) host: String,
    pub(crate) endpoint: Option<String>,
    pub(crate) plain_http: i64,
    /// JSON list of PEM texts.
    pub(crate) ca: String,
    pub(crate) token_realm: Option<String>,
}

pub(crate) async fn put(conn: &mut Connection, row: &RegistryRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO registry (host, endpoint, plain_http, ca, token_realm) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (host) DO UPDATE SET \
         endpoint = excluded.endpoint, plain_http = excluded.plain_http, ca = excluded.ca, \
         token_realm = excluded.token_realm",
    )
    .bind(&row.host)
    .bind(&row.endpoint)
    .bind(row.plain_http)
    .bind(&row.ca)
    .bind(&row.token_realm)
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn remove(conn: &mut Connection, host: &str) -> sqlx::Result<bool> {
    let done = sqlx::query("DELETE FROM registry WHERE host = $1")
        .bind(host)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn get(conn: &mut Connection, host: &str) -> sqlx::Result<Option<RegistryRow>> {
    sqlx::query_as("SELECT * FROM registry WHERE host = $1")
        .bind(host)
        .fetch_optional(conn)
        .await
}

pub(crate) async fn list(db: &Db) -> sqlx::Result<Vec<RegistryRow>> {
    sqlx::query_as("SELECT * FROM registry ORDER BY host")
        .fetch_all(db.reader())
        .await
}
