//! From a file to an empty database. The file may come from anywhere: names of tables and columns
//! are compared with the database's own, values are bound, lines are bounded.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use ring::digest::{Context, SHA256};
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, Column as _, Executor as _, SqlSafeStr as _, Statement as _};

use super::{End, FORMAT, Header, Row, SEEDED, TABLES};
use crate::db::{self, Connection, Db, Place};

/// Longest line, in bytes: a published profile with its drivers is the largest row.
const LINE: u64 = 64 * 1024 * 1024;

/// Fills an empty database from a file, all or nothing, and returns the number of rows.
pub(crate) async fn import(place: &Place, path: &Path) -> anyhow::Result<u64> {
    let reading = || format!("reading {}", path.display());
    let file = File::open(path).with_context(reading)?;
    let mut lines = Lines::new(BufReader::new(file));
    let header: Header = lines
        .next()
        .and_then(|line| line.context("the file is empty"))
        .and_then(|line| Ok(serde_json::from_slice(&line)?))
        .context("the first line is not the header of an export")
        .with_context(reading)?;
    ensure!(
        header.burin_hub_export == FORMAT,
        "{} has format {}, this program reads {FORMAT}",
        path.display(),
        header.burin_hub_export
    );
    let db = Db::open(place).await?;
    let done = fill(&db, &header, &mut lines).await.with_context(reading);
    db.close().await;
    done
}

async fn fill(db: &Db, header: &Header, lines: &mut Lines<impl BufRead>) -> anyhow::Result<u64> {
    ensure!(
        header.tables == db::tables_version(),
        "burin-hub {} wrote it with change {} of the tables, this program has change {}; export \
         and import with one version",
        header.version,
        header.tables,
        db::tables_version()
    );
    let mut tx = db.begin_long().await?;
    let tables = empty_tables(&mut tx).await?;
    let mut rows = 0;
    loop {
        let before = lines.digest();
        let number = lines.number + 1;
        let line = lines
            .next()?
            .context("the file ends without its last line: it was cut, and nothing was imported")?;
        if let Ok(end) = serde_json::from_slice::<End>(&line) {
            ensure!(
                end.rows == rows && end.sha256 == before,
                "the last line does not fit to the rest: the file was changed, and nothing was \
                 imported"
            );
            break;
        }
        let row: Row = serde_json::from_slice(&line)
            .with_context(|| format!("line {number} is neither a row nor the end"))?;
        insert(&mut tx, &tables, &row)
            .await
            .with_context(|| format!("line {number}, table {:?}", row.table))?;
        rows += 1;
    }
    ensure!(lines.next()?.is_none(), "something follows the last line");
    tx.commit().await?;
    Ok(rows)
}

/// The columns of each table, once it is certain that nobody uses the database.
async fn empty_tables(
    conn: &mut Connection,
) -> anyhow::Result<HashMap<&'static str, BTreeSet<String>>> {
    let mut tables = HashMap::new();
    for (table, _) in TABLES {
        if SEEDED.contains(table) {
            let text = format!("DELETE FROM {table}");
            sqlx::query(AssertSqlSafe(text)).execute(&mut *conn).await?;
        }
        let text = format!("SELECT COUNT(*) FROM {table}");
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(text))
            .fetch_one(&mut *conn)
            .await?;
        ensure!(
            rows == 0,
            "the database is not empty (the table {table} has {rows} rows); import needs a new one"
        );
        let text = AssertSqlSafe(format!("SELECT * FROM {table}"));
        let statement = conn.prepare(text.into_sql_str()).await?;
        let columns = statement.columns().iter();
        tables.insert(
            *table,
            columns.map(|column| column.name().to_owned()).collect(),
        );
    }
    Ok(tables)
}

async fn insert(
    conn: &mut Connection,
    tables: &HashMap<&'static str, BTreeSet<String>>,
    row: &Row,
) -> anyhow::Result<()> {
    let (table, columns) = tables
        .get_key_value(row.table.as_str())
        .context("the database has no such table")?;
    let named: BTreeSet<String> = row.row.keys().cloned().collect();
    ensure!(
        named == *columns,
        "the row has the columns {named:?}, the table {columns:?}"
    );
    let mut query = sqlx::query(AssertSqlSafe(insertion(table, &row.row)));
    for (column, value) in &row.row {
        query = match value {
            Value::Null => query,
            Value::String(text) => query.bind(text),
            Value::Number(number) => query.bind(
                number
                    .as_i64()
                    .with_context(|| format!("{column} is not a whole number of 64 bits"))?,
            ),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                bail!("{column} is neither text nor number nor null")
            }
        };
    }
    query.execute(conn).await?;
    Ok(())
}

/// A null has no type by which PostgreSQL could know it, so it stands in the text.
fn insertion(table: &str, row: &Map<String, Value>) -> String {
    let names: Vec<&str> = row.keys().map(String::as_str).collect();
    let mut bound = 0;
    let values: Vec<String> = row
        .values()
        .map(|value| match value {
            Value::Null => "NULL".to_owned(),
            _ => {
                bound += 1;
                format!("${bound}")
            }
        })
        .collect();
    let (names, values) = (names.join(", "), values.join(", "));
    format!("INSERT INTO {table} ({names}) VALUES ({values})")
}

struct Lines<R> {
    from: R,
    digest: Context,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(from: R) -> Self {
        Self {
            from,
            digest: Context::new(&SHA256),
            number: 0,
        }
    }

    /// The next line without its end; none at the end of the file.
    fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let read = self
            .from
            .by_ref()
            .take(LINE)
            .read_until(b'\n', &mut line)
            .with_context(|| format!("line {}", self.number + 1))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.digest.update(&line);
        ensure!(
            line.pop() == Some(b'\n'),
            "line {} has no end, or is longer than {LINE} bytes",
            self.number
        );
        Ok(Some(line))
    }

    /// SHA-256 of all lines so far, hex.
    fn digest(&self) -> String {
        hex::encode(self.digest.clone().finish())
    }
}
