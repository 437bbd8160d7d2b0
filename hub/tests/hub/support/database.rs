//! Which database the suite runs on: `tests/hub` is compiled twice, and the name of the program
//! chooses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use burin_hub::db::Place;
use burin_hub::secret::Secret;
use sqlx::{AnyConnection, Connection as _, Executor as _};

use super::postgres;

/// The URL of each data folder's database: nothing but a hub's files may lie in the folder.
static URLS: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());

/// Whether this is the run on PostgreSQL.
pub(crate) fn is_postgres() -> bool {
    match env!("CARGO_CRATE_NAME") {
        "hub" => false,
        "hub_postgres" => true,
        other => panic!("no database is chosen for the suite `{other}`"),
    }
}

/// The database of a data folder; the same each time for one folder.
pub(crate) async fn of(folder: &Path) -> Place {
    if !is_postgres() {
        return Place::in_folder(folder);
    }
    let known = URLS.lock().unwrap().get(folder).cloned();
    let url = match known {
        Some(url) => url,
        None => {
            let made = postgres::database().await;
            let mut urls = URLS.lock().unwrap();
            urls.entry(folder.to_owned()).or_insert(made).clone()
        }
    };
    Place::Server(Secret::new(url))
}

/// Gives a folder the database of another one, when that is on a server.
pub(crate) fn share(from: &Path, to: &Path) {
    let mut urls = URLS.lock().unwrap();
    if let Some(url) = urls.get(from).cloned() {
        urls.insert(to.to_owned(), url);
    }
}

/// Everything that the database keeps, in a form in which text can be searched.
pub(crate) async fn dump(folder: &Path) -> Vec<u8> {
    match of(folder).await {
        Place::File(file) => {
            let mut bytes = std::fs::read(&file).unwrap();
            bytes.extend(std::fs::read(file.with_extension("db-wal")).unwrap());
            bytes
        }
        Place::Server(url) => {
            let dump = Command::new(postgres::programs().join("pg_dump"))
                .arg(url.reveal())
                .output()
                .unwrap();
            assert!(
                dump.status.success(),
                "{}",
                String::from_utf8_lossy(&dump.stderr)
            );
            dump.stdout
        }
    }
}

async fn connection(folder: &Path) -> AnyConnection {
    let url = match of(folder).await {
        Place::File(file) => format!("sqlite://{}", file.display()),
        Place::Server(url) => url.reveal().to_owned(),
    };
    AnyConnection::connect(&url).await.unwrap()
}

/// Changes the tables behind the hub's back: time goes by, a crowd was there.
pub(crate) async fn execute(folder: &Path, text: &'static str) {
    let mut conn = connection(folder).await;
    conn.execute(sqlx::raw_sql(text)).await.unwrap();
}

/// The one number that a query gives.
pub(crate) async fn number(folder: &Path, text: &'static str) -> i64 {
    let mut conn = connection(folder).await;
    sqlx::query_scalar(text).fetch_one(&mut conn).await.unwrap()
}
