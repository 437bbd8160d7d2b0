//! Numbers in the order in which they are committed: whoever has read up to a number has missed none
//! below it. The databases' own sequences do not promise that.

use super::Connection;

/// Which list is numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    Audit,
    Credential,
    Event,
}

/// The next number. Who asked for one keeps others who ask waiting until the end of its transaction.
pub(crate) async fn next(conn: &mut Connection, counter: Counter) -> sqlx::Result<i64> {
    let name = match counter {
        Counter::Audit => "audit",
        Counter::Credential => "credential",
        Counter::Event => "event",
    };
    sqlx::query_scalar("UPDATE counter SET value = value + 1 WHERE name = $1 RETURNING value")
        .bind(name)
        .fetch_one(conn)
        .await
}
