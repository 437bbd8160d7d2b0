//! An SQLite file with its tables up to date.

use std::path::Path;
use std::str::FromStr as _;

use anyhow::Context as _;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyConnection, ConnectOptions as _, Connection as _, Executor as _};

use super::{Db, Kind, server};

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
    probe(&options)
        .await
        .map_err(|err| explained(err, file, &doing()))?;
    let write = pool(1)
        .connect_with(options.clone())
        .await
        .with_context(doing)?;
    let updating = format!("updating the tables of {}", file.display());
    migrated(MIGRATIONS.run(&write).await).map_err(|err| explained(err, file, &updating))?;
    let read = pool(4).connect_with(options).await.with_context(doing)?;
    Ok(Db::of(write, read, Kind::Sqlite))
}

/// Opens the file once: a pool would try a damaged one for its whole patience.
async fn probe(options: &AnyConnectOptions) -> anyhow::Result<()> {
    let mut conn = AnyConnection::connect_with(options).await?;
    conn.execute(sqlx::raw_sql(SETTINGS)).await?;
    Ok(conn.close().await?)
}

/// Says what SQLite's `SQLITE_NOTADB` and `SQLITE_CORRUPT` mean, and of other errors what was being
/// done.
fn explained(err: anyhow::Error, file: &Path, doing: &str) -> anyhow::Error {
    let found = err.chain().find_map(|it| it.downcast_ref::<sqlx::Error>());
    let code = found.and_then(server::code);
    let what = match code
        .and_then(|code| code.parse::<u32>().ok())
        .map(|it| it & 0xff)
    {
        Some(26) => "is no SQLite database",
        Some(11) => "is damaged",
        _ => return err.context(doing.to_owned()),
    };
    anyhow::anyhow!("{} {what}; restore it from a backup", file.display())
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

#[cfg(test)]
mod tests {
    use crate::db::{Db, Place, events};

    use super::*;

    #[tokio::test]
    async fn a_database_of_the_first_version_keeps_its_events_and_goes_on_counting() {
        sqlx::any::install_default_drivers();
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/hub.db?mode=rwc", dir.path().display());
        let old = sqlx::AnyPool::connect(&url).await.unwrap();
        MIGRATIONS.run_to(1, &old).await.unwrap();
        let rows = "INSERT INTO host VALUES \
             ('u', 'h', 's', 'accepted', '', NULL, '', '', '', '', 0, 0, 0, 0, ''); \
             INSERT INTO event VALUES (41, 'u', 'a', 1, '{}'); \
             INSERT INTO audit VALUES (7, 1, 'x', 'y', 'z', 'hash');";
        old.execute(sqlx::raw_sql(rows)).await.unwrap();
        old.close().await;

        let db = Db::open(&Place::in_folder(dir.path())).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        events::store(&mut tx, "u", "a", "{}", 2).await.unwrap();
        events::store(&mut tx, "u", "b", "{}", 2).await.unwrap();
        crate::db::audit::record(&mut tx, "x", "y", "z", 2)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let numbers: Vec<(String, i64)> =
            sqlx::query_as("SELECT id, received_at FROM event ORDER BY number")
                .fetch_all(db.reader())
                .await
                .unwrap();
        assert_eq!(numbers, [("a".to_owned(), 1), ("b".to_owned(), 2)]);
        let audit: Vec<i64> = sqlx::query_scalar("SELECT number FROM audit ORDER BY number")
            .fetch_all(db.reader())
            .await
            .unwrap();
        assert_eq!(audit, [7, 8]);
    }

    #[tokio::test]
    async fn a_folder_may_be_named_with_signs_that_mean_something_in_a_url() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a b", "50%25", "q?mode=ro", "h#x", "ü"] {
            let folder = dir.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            let db = Db::open(&Place::in_folder(&folder)).await.unwrap();
            drop(db.begin().await.unwrap());
            db.close().await;
            assert!(folder.join("hub.db").exists(), "{name}");
        }
    }
}
