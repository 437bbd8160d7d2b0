//! The database: one file a table group, one SQL text a query, in the subset that SQLite and
//! PostgreSQL share (`$1`, `ON CONFLICT`, `RETURNING`; no arrays, no JSON operators).

pub(crate) mod accounts;
pub(crate) mod assignments;
pub(crate) mod audit;
pub(crate) mod events;
pub(crate) mod hosts;
pub(crate) mod live;
pub(crate) mod profiles;
pub(crate) mod registries;
pub(crate) mod sessions;
pub(crate) mod tokens;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

/// One connection of the database, also inside a transaction.
pub(crate) type Connection = sqlx::SqliteConnection;

/// SQLite allows one writer: a pool of one connection makes the others wait in line instead of
/// failing with "database is locked". Readers never wait (WAL).
#[derive(Debug, Clone)]
pub(crate) struct Db {
    write: SqlitePool,
    read: SqlitePool,
}

impl Db {
    /// Opens or creates the database and brings its tables up to date.
    pub(crate) async fn open(file: &Path) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An acceptance must survive a power cut of the hub: the host acts on it.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        private(file)?;
        let pool = |limit, options| async move {
            SqlitePoolOptions::new()
                .max_connections(limit)
                .connect_with(options)
                .await
                .with_context(|| format!("opening the database {}", file.display()))
        };
        let write = pool(1, options.clone()).await?;
        sqlx::migrate!("./migrations")
            .run(&write)
            .await
            .with_context(|| format!("updating the tables of {}", file.display()))?;
        let read = pool(4, options).await?;
        Ok(Self { write, read })
    }

    /// A transaction that may write. It ends without a trace unless committed.
    pub(crate) async fn begin(&self) -> sqlx::Result<Transaction<'static, Sqlite>> {
        self.write.begin().await
    }

    /// Where to read from.
    pub(crate) fn reader(&self) -> &SqlitePool {
        &self.read
    }

    /// Waits for running statements and closes the file.
    pub(crate) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// Makes the file before SQLite does, which would let everybody read it; the files beside it get
/// the same mode.
fn private(file: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let made = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(file);
    made.map(drop)
        .with_context(|| format!("making the database {}", file.display()))
}

/// JSON of one of our own values, for a TEXT column.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|err| sqlx::Error::Encode(err.into()))
}

/// The value of a TEXT column.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> sqlx::Result<T> {
    serde_json::from_str(text).map_err(|err| sqlx::Error::Decode(err.into()))
}
