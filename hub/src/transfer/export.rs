//! From a database to a file.

use std::fs;
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use futures_util::TryStreamExt as _;
use ring::digest::{Context, SHA256};
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::any::{AnyRow, AnyTypeInfoKind};
use sqlx::{AssertSqlSafe, Column as _, Row as _, ValueRef as _};

use super::{End, FORMAT, Header, Row, TABLES};
use crate::clock;
use crate::db::{self, Connection, Db, Place};

/// Writes everything that a database holds at one moment into a new file of mode 0600, and returns
/// the number of rows. The hub may run meanwhile.
pub(crate) async fn export(place: &Place, path: &Path) -> anyhow::Result<u64> {
    if let Place::File(file) = place {
        anyhow::ensure!(file.exists(), "there is no database {}", file.display());
    }
    let writing = || format!("writing {}", path.display());
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|err| match err.kind() {
            ErrorKind::AlreadyExists => anyhow!(
                "{} is there already, and nothing is written over: name another file",
                path.display()
            ),
            _ => anyhow::Error::from(err).context(writing()),
        })?;
    let db = Db::open(place).await;
    let written = match &db {
        Ok(db) => write(db, BufWriter::new(&file)).await.with_context(writing),
        Err(_) => Ok(0),
    };
    let done = match (db, written) {
        (Ok(db), Ok(rows)) => {
            db.close().await;
            file.sync_all().with_context(writing).map(|()| rows)
        }
        (Err(err), _) | (Ok(_), Err(err)) => Err(err),
    };
    if done.is_err() {
        // Half a file would only be mistaken for a whole one.
        fs::remove_file(path).with_context(|| format!("removing {}", path.display()))?;
    }
    done
}

async fn write(db: &Db, out: impl Write) -> anyhow::Result<u64> {
    let mut lines = Lines {
        out,
        digest: Context::new(&SHA256),
    };
    let mut tx = db.snapshot().await?;
    lines.add(&Header {
        burin_hub_export: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        tables: db::tables_version(),
        time: clock::now_ms(),
    })?;
    let mut rows = 0;
    for (table, order) in TABLES {
        rows += add_table(&mut tx, &mut lines, table, order)
            .await
            .with_context(|| format!("reading the table {table}"))?;
    }
    let sha256 = hex::encode(lines.digest.clone().finish());
    lines.add(&End { rows, sha256 })?;
    lines.out.flush()?;
    Ok(rows)
}

async fn add_table(
    conn: &mut Connection,
    lines: &mut Lines<impl Write>,
    table: &str,
    order: &str,
) -> anyhow::Result<u64> {
    let text = format!("SELECT * FROM {table} ORDER BY {order}");
    let mut found = sqlx::query(AssertSqlSafe(text)).fetch(conn);
    let mut rows = 0;
    while let Some(row) = found.try_next().await? {
        lines.add(&Row {
            table: table.to_owned(),
            row: columns(&row)?,
        })?;
        rows += 1;
    }
    Ok(rows)
}

fn columns(row: &AnyRow) -> anyhow::Result<Map<String, Value>> {
    let value = |name: &str| -> anyhow::Result<Value> {
        let raw = row.try_get_raw(name)?;
        let kind = raw.type_info().kind();
        Ok(match kind {
            _ if raw.is_null() => Value::Null,
            AnyTypeInfoKind::Text => row.try_get::<String, _>(name)?.into(),
            AnyTypeInfoKind::Integer | AnyTypeInfoKind::BigInt => {
                row.try_get::<i64, _>(name)?.into()
            }
            other => bail!("the column {name} holds a {other:?}, not a text or a whole number"),
        })
    };
    row.columns()
        .iter()
        .map(|column| Ok((column.name().to_owned(), value(column.name())?)))
        .collect()
}

struct Lines<W> {
    out: W,
    digest: Context,
}

impl<W: Write> Lines<W> {
    fn add(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.digest.update(&bytes);
        self.out.write_all(&bytes)?;
        Ok(())
    }
}
