//! An SQLite file with its tables up to date.

use std::path::Path;
use std::str::FromStr as _;

use anyhow::Context as _;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _};

use super::{Db, Kind};

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// An acceptance must survive a power cut of the hub, the host acts on it: hence `FULL`.
const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 10000;";
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
    sqlx::any::install_default_drivers();
    let pool = |limit| {
        AnyPoolOptions::new()
            .max_connections(limit)
            .after_connect(|conn, _| {
                Box::pin(async move { conn.execute(sqlx::raw_sql(SETTINGS)).await.map(drop) })
            })
    };
    let write = pool(1)
        .connect_with(options.clone())
        .await
        .with_context(doing)?;
    migrated(MIGRATIONS.run(&write).await)
        .with_context(|| format!("updating the tables of {}", file.display()))?;
    let read = pool(4).connect_with(options).await.with_context(doing)?;
    Ok(Db {
        write,
        read,
        kind: Kind::Sqlite,
    })
}

/// Says what a failed update of the tables means.
pub(super) fn migrated(result: Result<(), MigrateError>) -> anyhow::Result<()> {
    result.map_err(|err| match err {
        MigrateError::VersionMissing(number) => anyhow::anyhow!(
            "a newer burin-hub wrote this database (its tables have change {number}, which this \
             one does not know); run that version or a later one"
        ),
        err => err.into(),
    })
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
