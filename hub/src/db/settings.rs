//! What the hub was told at an earlier start.

use super::Connection;

/// Where hosts and people reach the hub.
pub(crate) const PUBLIC_URL: &str = "public_url";

pub(crate) async fn get(conn: &mut Connection, name: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT value FROM setting WHERE name = $1")
        .bind(name)
        .fetch_optional(conn)
        .await
}

pub(crate) async fn put(conn: &mut Connection, name: &str, value: &str) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO setting (name, value) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(conn)
    .await?;
    Ok(())
}
