//! Who did what, as a chain of hashes.

use ring::digest::{Context, SHA256};

use sqlx::FromRow;

use super::counters::{self, Counter};
use super::{Connection, Db};
use crate::admin::types::AuditVerdict;

/// Lines that one query reads.
const CHUNK: i64 = 1_000;

/// One line.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct AuditRow {
    pub(crate) number: i64,
    pub(crate) time: i64,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) object: String,
    pub(crate) hash: String,
}

/// Appends a line. `actor` is a person, an API key or a host; `object` what was changed.
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
    let hash = chained(
        previous.as_deref().unwrap_or(""),
        now,
        actor,
        action,
        object,
    );
    sqlx::query(
        "INSERT INTO audit (number, time, actor, action, object, hash) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(number)
    .bind(now)
    .bind(actor)
    .bind(action)
    .bind(object)
    .bind(hash)
    .execute(conn)
    .await?;
    Ok(())
}

/// The hash of a line over its content and the hash of the line before.
fn chained(previous: &str, time: i64, actor: &str, action: &str, object: &str) -> String {
    let mut hash = Context::new(&SHA256);
    for part in [previous, &time.to_string(), actor, action, object] {
        // The length keeps two fields from being read as one.
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finish())
}

/// Lines after a number, oldest first.
pub(crate) async fn after(db: &Db, number: i64, limit: i64) -> sqlx::Result<Vec<AuditRow>> {
    sqlx::query_as("SELECT * FROM audit WHERE number > $1 ORDER BY number LIMIT $2")
        .bind(number)
        .bind(limit)
        .fetch_all(db.reader())
        .await
}

/// Lines before a number, newest first.
pub(crate) async fn before(db: &Db, number: i64, limit: i64) -> sqlx::Result<Vec<AuditRow>> {
    sqlx::query_as("SELECT * FROM audit WHERE number < $1 ORDER BY number DESC LIMIT $2")
        .bind(number)
        .bind(limit)
        .fetch_all(db.reader())
        .await
}

/// Walks over the whole chain.
pub(crate) async fn verify(db: &Db) -> sqlx::Result<AuditVerdict> {
    let mut verdict = AuditVerdict {
        whole: true,
        lines: 0,
        broken_at: None,
        head: String::new(),
    };
    let mut last = 0;
    loop {
        let rows = after(db, last, CHUNK).await?;
        for row in &rows {
            let want = chained(
                &verdict.head,
                row.time,
                &row.actor,
                &row.action,
                &row.object,
            );
            if want != row.hash && verdict.whole {
                verdict.whole = false;
                verdict.broken_at = Some(row.number);
            }
            verdict.lines += 1;
            verdict.head.clone_from(&row.hash);
            last = row.number;
        }
        if rows.is_empty() {
            return Ok(verdict);
        }
    }
}
