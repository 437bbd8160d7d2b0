//! A whole database as one file of JSON lines, and back: the way between SQLite and PostgreSQL.
//!
//! The first line is a [`Header`], then comes one [`Row`] a line, table after table, and an [`End`]
//! with the number of rows and the SHA-256 of all bytes before it: a file that was cut is noticed.
//! Secrets stand in it as in the database, as hashes or sealed; it still tells who may log in and which
//! hosts there are, so only its owner can read it.

mod export;
mod import;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use export::export;
pub(crate) use import::import;

/// Format of the file; raised when an older hub could not read it.
const FORMAT: u32 = 1;

/// Every table, with the columns that order its rows; a table stands after those that it refers to.
const TABLES: &[(&str, &str)] = &[
    ("counter", "name"),
    ("owner", "hub_id"),
    ("project", "name"),
    ("role_binding", "kind, subject, project"),
    ("person", "name"),
    ("recovery_code", "hash"),
    ("sign_in", "id_hash"),
    ("login", "id_hash"),
    ("login_failure", "name_hash"),
    ("api_key", "id"),
    ("registry", "host"),
    ("registry_credential", "host"),
    ("profile", "name"),
    ("profile_version", "name, version"),
    ("signed_release", "profile, counter"),
    ("token", "id"),
    ("host", "uid"),
    ("host_key", "thumbprint"),
    ("replacement", "host_uid, boot_id"),
    ("admission", "host_uid"),
    ("challenge", "host_uid"),
    ("preauth", "id"),
    ("claim", "key_label, account"),
    ("guess", "id"),
    ("host_live", "host_uid"),
    ("kubeconfig", "host_uid"),
    ("silence", "host_uid"),
    ("webhook", "id"),
    ("session", "id"),
    ("machine", "host_uid, hardware"),
    ("assignment", "host_uid, generation"),
    ("event", "number"),
    ("audit", "number"),
    ("made_iso", "id"),
    ("refusal", "id"),
    ("setting", "name"),
    ("nonce", "nonce"),
];
/// Tables that have rows from the beginning.
const SEEDED: &[&str] = &["counter", "project"];

/// First line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    /// Also what tells the file from any other.
    burin_hub_export: u32,
    /// Version of the program that wrote it.
    version: String,
    /// Newest change of the tables; the file fits to tables with the same one.
    tables: i64,
    /// Milliseconds since 1970.
    time: i64,
}

/// One row: column to text, whole number or null.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    table: String,
    row: Map<String, Value>,
}

/// Last line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    rows: u64,
    /// Of all bytes before this line, hex.
    sha256: String,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::db::{Db, Place};

    #[tokio::test]
    async fn every_table_is_moved() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&Place::in_folder(dir.path())).await.unwrap();
        let found: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'",
        )
        .fetch_all(db.reader())
        .await
        .unwrap();
        let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        let listed: BTreeSet<&str> = TABLES.iter().map(|(table, _)| *table).collect();
        assert_eq!(found, listed, "transfer::TABLES must name every table");
    }

    #[tokio::test]
    async fn a_table_stands_after_those_that_it_refers_to() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&Place::in_folder(dir.path())).await.unwrap();
        let at = |name: &str| TABLES.iter().position(|(table, _)| *table == name);
        for (table, _) in TABLES {
            let needs: Vec<String> =
                sqlx::query_scalar("SELECT \"table\" FROM pragma_foreign_key_list($1)")
                    .bind(*table)
                    .fetch_all(db.reader())
                    .await
                    .unwrap();
            for needed in needs {
                assert!(at(&needed) < at(table), "{table} needs {needed} before it");
            }
        }
    }
}
