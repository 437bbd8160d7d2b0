//! Who did what, as a chain of hashes.

use ring::digest::{Context, SHA256};

use super::Connection;
use super::counters::{self, Counter};

/// Appends a line. `actor` is an admin, an API key's name or a host; `object` what was changed.
pub(crate) async fn record(
    conn: &mut Connection,
    actor: &str,
    action: &str,
    object: &str,
    now: i64,
) -> sqlx::Result<()> {
    let number = counters::next(conn, Counter::Audit).await?;
    let previous: Option<String> =
        sqlx::query_scalar("SELECT hash FROM audit ORDER BY number DESC LIMIT 1")
            .fetch_optional(&mut *conn)
            .await?;
    let mut hash = Context::new(&SHA256);
    for part in [
        previous.as_deref().unwrap_or(""),
        &now.to_string(),
        actor,
        action,
        object,
    ] {
        // The length keeps two fields from being read as one.
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    sqlx::query(
        "INSERT INTO audit (number, time, actor, action, object, hash) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(number)
    .bind(now)
    .bind(actor)
    .bind(action)
    .bind(object)
    .bind(hex::encode(hash.finish()))
    .execute(conn)
    .await?;
    Ok(())
}
