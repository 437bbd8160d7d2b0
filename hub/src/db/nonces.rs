//! Nonces that were used, where several hubs must remember them together.

use super::Db;

/// Remembers a nonce. False when it was remembered before.
pub(crate) async fn spend(db: &Db, nonce: &str, now: i64) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "INSERT INTO nonce (nonce, spent_at) VALUES ($1, $2) ON CONFLICT (nonce) DO NOTHING",
    )
    .bind(nonce)
    .bind(now)
    .execute(db.reader())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets those that were used before `before`.
pub(crate) async fn forget(db: &Db, before: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM nonce WHERE spent_at < $1")
        .bind(before)
        .execute(db.reader())
        .await?;
    Ok(())
}
