//! From a place to pools of connections with the tables up to date.

use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyPool, ConnectOptions as _, Executor as _};

use super::{Db, Kind};
use crate::secret::Secret;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// An acceptance must survive a power cut of the hub, the host acts on it: hence `FULL`.
const SQLITE_SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 10000;";
/// Connections of one hub that write, and that read. Writers wait for each other anyway.
const SERVER_WRITERS: u32 = 4;
const SERVER_READERS: u32 = 12;
/// Longest wait for a free connection and for the server to answer.
const SERVER_PATIENCE: Duration = Duration::from_secs(10);
/// A statement that takes longer is stuck; a transaction that idles belongs to a stuck hub, which
/// must not keep the others from writing.
const SERVER_SETTINGS: &str = "SET statement_timeout = '15s'; \
     SET idle_in_transaction_session_timeout = '15s'; SET TIME ZONE 'UTC';";

pub(super) async fn file(file: &Path) -> anyhow::Result<Db> {
    let doing = || format!("opening the database {}", file.display());
    private(file)?;
    let path = std::path::absolute(file).with_context(doing)?;
    let path = path
        .to_str()
        .with_context(doing)
        .context("its path is not UTF-8")?;
    // The URL decodes what follows a percent sign, and its builder leaves the sign alone.
    let url = SqliteConnectOptions::new()
        .filename(path.replace('%', "%25"))
        .create_if_missing(true)
        .to_url_lossy();
    let options = AnyConnectOptions::from_str(url.as_str()).with_context(doing)?;
    let pool = |limit| with_settings(SQLITE_SETTINGS).max_connections(limit);
    let write = pool(1)
        .connect_with(options.clone())
        .await
        .with_context(doing)?;
    migrate(&write)
        .await
        .with_context(|| format!("updating the tables of {}", file.display()))?;
    let read = pool(4).connect_with(options).await.with_context(doing)?;
    Ok(Db {
        write,
        read,
        kind: Kind::Sqlite,
    })
}

pub(super) async fn server(url: &Secret) -> anyhow::Result<Db> {
    let options = AnyConnectOptions::from_str(url.reveal()).context("reading the database URL")?;
    let pool = |limit| {
        with_settings(SERVER_SETTINGS)
            .max_connections(limit)
            .acquire_timeout(SERVER_PATIENCE)
    };
    let write = pool(SERVER_WRITERS).connect_with(options.clone()).await?;
    migrate(&write).await.context("updating the tables")?;
    let read = pool(SERVER_READERS).connect_with(options).await?;
    Ok(Db {
        write,
        read,
        kind: Kind::Postgres,
    })
}

fn with_settings(settings: &'static str) -> AnyPoolOptions {
    sqlx::any::install_default_drivers();
    AnyPoolOptions::new().after_connect(move |conn, _| {
        Box::pin(async move { conn.execute(sqlx::raw_sql(settings)).await.map(drop) })
    })
}

async fn migrate(pool: &AnyPool) -> anyhow::Result<()> {
    MIGRATIONS.run(pool).await?;
    Ok(())
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
