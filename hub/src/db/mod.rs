//! The database: SQLite in one file, or PostgreSQL; one file a table group, one SQL text a query.
//!
//! **How to write a query.** A free function that takes a [`Connection`] when it belongs into a
//! transaction, or a [`Db`] when it only reads; `sqlx::query`, `query_as` with `derive(FromRow)`,
//! `query_scalar`, never a macro. The text runs on both databases, so:
//! - `$1`, `$2`, ..., each may be repeated; `ON CONFLICT ... DO NOTHING | DO UPDATE SET a = excluded.a`,
//!   `RETURNING`, `WITH`, `CASE`, `COALESCE`. No arrays, no JSON operators, no functions of time, no
//!   `INSERT OR ...`, no `ILIKE` (`LOWER(a) LIKE $1`), no `rowid`.
//! - Columns are `TEXT` or `BIGINT`; Rust sees `String` and `i64`, or `Option` of them. A truth is a
//!   BIGINT 0 or 1, also in a SELECT (`COUNT(*)`, not `COUNT(*) > 0`). Times are milliseconds
//!   since 1970, bytes are hex, structures are JSON ([`to_json`], [`from_json`]). `SUM` of a BIGINT
//!   column needs `CAST(SUM(a) AS BIGINT)`.
//! - No column numbers itself: [`counters::next`] gives the next number in the order of commit.
//! - PostgreSQL ends a transaction at its first error: never insert to see whether it fails, say
//!   `ON CONFLICT DO NOTHING` and look at `rows_affected`. Its TEXT holds no NUL character.
//! - What a list shows is limited by projects: `($n = '*' OR $n LIKE '%|' || project || '|%')` with
//!   [`Projects::sql`](crate::people::scope::Projects::sql).
//! - Order by a unique column at the end: without it the two databases order equals differently.
//!
//! **Transactions.** [`Db::begin`] gives one writer at a time on both databases and on all replicas,
//! so that what a transaction read is still true when it writes: no locks, no retries, no isolation
//! levels to think of. Keep it short: no password hashing, no network inside. Reads outside of one
//! take [`Db::reader`].
//!
//! **Tables.** A change of the tables is a new file in `hub/migrations`, with the next number and in
//! the same subset; a file that was merged is never edited. A new table is also listed in
//! `transfer::TABLES`, or a test fails.

pub(crate) mod accounts;
pub(crate) mod admissions;
pub(crate) mod assignments;
pub(crate) mod audit;
pub(crate) mod claims;
pub(crate) mod counters;
pub(crate) mod credentials;
pub(crate) mod events;
pub(crate) mod hosts;
pub(crate) mod isos;
pub(crate) mod kubeconfigs;
pub(crate) mod live;
pub(crate) mod machines;
pub(crate) mod nonces;
pub(crate) mod owner;
pub(crate) mod pending;
pub(crate) mod people;
pub(crate) mod preauths;
pub(crate) mod profiles;
pub(crate) mod projects;
pub(crate) mod recovery;
pub(crate) mod refusals;
pub(crate) mod registries;
pub(crate) mod releases;
pub(crate) mod search;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod sign_ins;
pub(crate) mod silence;
pub(crate) mod tokens;

mod open;
mod place;
mod server;

pub use place::Place;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::{Any, AnyPool, Executor as _, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One connection of the database, also inside a transaction.
pub(crate) type Connection = sqlx::AnyConnection;

/// Key of the lock that makes writers of all replicas stand in line: "burin" in ASCII.
const WRITER: i64 = 0x62_7572_696e;

/// Transactions of one hub that stand in line to write; all others wait before.
const WRITERS: u32 = 4;

/// SQLite allows one writer: a pool of one connection makes the others wait in line instead of
/// failing with "database is locked", and readers never wait (WAL). On PostgreSQL writers stand in
/// line at a lock of the server, so that the replicas are one writer, too.
#[derive(Debug, Clone)]
pub(crate) struct Db {
    write: AnyPool,
    read: AnyPool,
    kind: Kind,
    /// Places in the line of writers, so that a storm of them does not keep the heartbeat waiting.
    line: Arc<Semaphore>,
}

/// A transaction that writes. It ends without a trace unless committed.
#[derive(Debug)]
pub(crate) struct Writing {
    tx: Transaction<'static, Any>,
    /// Given back after the transaction has ended.
    _place: Option<OwnedSemaphorePermit>,
}

impl Writing {
    pub(crate) async fn commit(self) -> sqlx::Result<()> {
        self.tx.commit().await
    }
}

impl Deref for Writing {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.tx
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.tx
    }
}

/// Which of the two databases it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

impl Db {
    fn of(write: AnyPool, read: AnyPool, kind: Kind) -> Self {
        Self {
            write,
            read,
            kind,
            line: Arc::new(Semaphore::new(WRITERS as usize)),
        }
    }

    /// Opens or creates the database and brings its tables up to date.
    pub(crate) async fn open(place: &Place) -> anyhow::Result<Self> {
        match place {
            Place::File(file) => open::file(file).await,
            Place::Server(url) => server::open(url).await,
        }
    }

    /// A transaction that may write; no other one is open anywhere. It ends without a trace unless
    /// committed.
    pub(crate) async fn begin(&self) -> sqlx::Result<Writing> {
        let place = self.line.clone().acquire_owned().await;
        let place = place.map_err(|_| sqlx::Error::PoolClosed)?;
        let tx = self.begin_first().await?;
        Ok(Writing {
            tx,
            _place: Some(place),
        })
    }

    /// As [`Db::begin`], in front of those who still wait for a place: for the one task whose
    /// transaction serves many hosts.
    pub(crate) async fn begin_for_many(&self) -> sqlx::Result<Writing> {
        let tx = self.begin_first().await?;
        Ok(Writing { tx, _place: None })
    }

    async fn begin_first(&self) -> sqlx::Result<Transaction<'static, Any>> {
        let mut tx = self.write.begin().await?;
        if self.is_shared() {
            sqlx::query("SELECT pg_advisory_xact_lock($1)")
                .bind(WRITER)
                .execute(&mut *tx)
                .await?;
        }
        Ok(tx)
    }

    /// As [`Db::begin`], for a command that may take its time.
    pub(crate) async fn begin_long(&self) -> sqlx::Result<Writing> {
        let mut tx = self.begin().await?;
        self.take_time(&mut tx).await?;
        Ok(tx)
    }

    /// A transaction that sees one moment of the database, and may take its time.
    pub(crate) async fn snapshot(&self) -> sqlx::Result<Transaction<'static, Any>> {
        if !self.is_shared() {
            return self.read.begin().await;
        }
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let mut tx = self.read.begin_with(begin).await?;
        self.take_time(&mut tx).await?;
        Ok(tx)
    }

    async fn take_time(&self, conn: &mut Connection) -> sqlx::Result<()> {
        if self.is_shared() {
            let text = "SET LOCAL statement_timeout = 0; \
                 SET LOCAL idle_in_transaction_session_timeout = 0";
            conn.execute(sqlx::raw_sql(text)).await?;
        }
        Ok(())
    }

    /// Where to read from.
    pub(crate) fn reader(&self) -> &AnyPool {
        &self.read
    }

    /// Whether other hubs may work on the same database.
    pub(crate) fn is_shared(&self) -> bool {
        self.kind == Kind::Postgres
    }

    /// Waits for running statements and closes the connections.
    pub(crate) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// The number of the newest change of the tables that this program makes.
pub(crate) fn tables_version() -> i64 {
    let numbers = open::MIGRATIONS.iter().map(|change| change.version);
    numbers.max().unwrap_or(0)
}

/// Whether the same may work in a moment: the server restarts, or is busy with something longer.
pub(crate) fn passes(err: &sqlx::Error) -> bool {
    match err {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        // Serialization failures and deadlocks, a lock or the statement's time not got, resources
        // used up, and what an administrator's stop or restart causes.
        _ => server::code(err).is_some_and(|code| match code.len() {
            5 => {
                matches!(&*code, "40001" | "40P01" | "55P03" | "57014")
                    || ["08", "53", "57P"]
                        .iter()
                        .any(|class| code.starts_with(class))
            }
            _ => sqlite_passes(&code),
        }),
    }
}

/// Whether somebody asked for a text that PostgreSQL keeps in no column, which is one with a NUL
/// (`character_not_in_repertoire`).
pub(crate) fn is_unkeepable(err: &sqlx::Error) -> bool {
    server::code(err).as_deref() == Some("22021")
}

/// SQLite's numbers: the low byte says what it is, the rest where. Another program holds the file
/// (`SQLITE_BUSY`, `SQLITE_LOCKED`), or its disk is full or failed (`SQLITE_FULL`, `SQLITE_IOERR`)
/// until somebody made room.
fn sqlite_passes(code: &str) -> bool {
    let number = code.parse::<u32>();
    number.is_ok_and(|number| matches!(number & 0xff, 5 | 6 | 10 | 13))
}

/// `($1, $2), ($3, $4)`: the parameters of several rows.
fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let numbers = (1..=columns).map(|column| format!("${}", row * columns + column));
        format!("({})", numbers.collect::<Vec<_>>().join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// JSON of one of our own values, for a TEXT column.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|err| sqlx::Error::Encode(err.into()))
}

/// The value of a TEXT column.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> sqlx::Result<T> {
    serde_json::from_str(text).map_err(|err| sqlx::Error::Decode(err.into()))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn the_heartbeat_is_not_kept_waiting_by_a_storm_of_writers() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&Place::in_folder(dir.path())).await.unwrap();
        let first = db.begin().await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (db, order) = (db.clone(), order.clone());
            tasks.spawn(async move {
                let tx = db.begin().await.unwrap();
                order.lock().unwrap().push("writer");
                tx.commit().await.unwrap();
            });
        }
        while db.line.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let (beat, seen) = (db.clone(), order.clone());
        tasks.spawn(async move {
            let tx = beat.begin_for_many().await.unwrap();
            seen.lock().unwrap().push("heartbeat");
            tx.commit().await.unwrap();
        });
        // One thread: now every task has come as far as it can.
        tokio::task::yield_now().await;
        first.commit().await.unwrap();
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        let order = order.lock().unwrap();
        assert_eq!(order.len(), 21);
        let place = order.iter().position(|who| *who == "heartbeat").unwrap();
        assert!(place < WRITERS as usize, "{order:?}");
    }
}
