//! Logins that are on their way over an identity provider.

use super::Connection;

/// Keeps one, and forgets those that began before `since`.
pub(crate) async fn insert(
    conn: &mut Connection,
    id_hash: &str,
    next: &str,
    since: i64,
    now: i64,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM sign_in WHERE created_at < $1")
        .bind(since)
        .execute(&mut *conn)
        .await?;
    sqlx::query("INSERT INTO sign_in (id_hash, next, created_at) VALUES ($1, $2, $3)")
        .bind(id_hash)
        .bind(next)
        .bind(now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes one that began at `since` or later; it is gone then. Where it shall lead to.
pub(crate) async fn take(
    conn: &mut Connection,
    id_hash: &str,
    since: i64,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("DELETE FROM sign_in WHERE id_hash = $1 AND created_at >= $2 RETURNING next")
        .bind(id_hash)
        .bind(since)
        .fetch_optional(conn)
        .await
}
