//! Hashes of the codes that take the place of a lost authenticator.

use super::Connection;

/// Puts these in the place of all codes that a person had.
pub(crate) async fn replace(
    conn: &mut Connection,
    person: &str,
    hashes: &[String],
    now: i64,
) -> sqlx::Result<()> {
    forget(conn, person).await?;
    for hash in hashes {
        sqlx::query("INSERT INTO recovery_code (hash, person, made_at) VALUES ($1, $2, $3)")
            .bind(hash)
            .bind(person)
            .bind(now)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Uses a code up. False when it is not of this person, or was used before.
pub(crate) async fn spend(conn: &mut Connection, person: &str, hash: &str) -> sqlx::Result<bool> {
    let done = sqlx::query("DELETE FROM recovery_code WHERE hash = $1 AND person = $2")
        .bind(hash)
        .bind(person)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// How many a person has left.
pub(crate) async fn count(conn: &mut Connection, person: &str) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT COUNT(*) FROM recovery_code WHERE person = $1")
        .bind(person)
        .fetch_one(conn)
        .await
}

pub(crate) async fn forget(conn: &mut Connection, person: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM recovery_code WHERE person = $1")
        .bind(person)
        .execute(conn)
        .await?;
    Ok(())
}
