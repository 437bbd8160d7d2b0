//! Whose database it is.

use super::Connection;

/// Takes an unowned database for this hub and returns the hub that owns it from now on.
pub(crate) async fn claim(conn: &mut Connection, hub_id: &str) -> sqlx::Result<String> {
    sqlx::query("INSERT INTO owner (hub_id) SELECT $1 WHERE NOT EXISTS (SELECT hub_id FROM owner)")
        .bind(hub_id)
        .execute(&mut *conn)
        .await?;
    sqlx::query_scalar("SELECT hub_id FROM owner")
        .fetch_one(conn)
        .await
}
