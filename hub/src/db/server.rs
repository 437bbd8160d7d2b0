//! A PostgreSQL server: whether it will do, and what keeps a hub from it in words to act on.

use std::str::FromStr as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use reqwest::Url;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, ConnectOptions as _, Connection as _, Executor as _};

use super::open::{MIGRATIONS, migrated};
use super::{Db, Kind, WRITERS};
use crate::secret::Secret;

/// The oldest version that its makers still repair, as `server_version_num` says it.
const OLDEST: u32 = 140_000;
/// Connections of one hub that read.
const READERS: u32 = 12;
/// Longest wait for the server to take a connection, and for a free one of the pool.
const PATIENCE: Duration = Duration::from_secs(10);
/// A statement that takes longer is stuck. A transaction that idles belongs to a stuck hub, which
/// must not keep the others from writing; the keepalives notice one whose machine is gone.
const SETTINGS: &str = "SET statement_timeout = '15s'; \
     SET idle_in_transaction_session_timeout = '15s'; \
     SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;";
const NO_TRUST: &str = "the server shows no certificate that can be trusted; name its authority \
     with `sslrootcert=FILE` in the URL, and the server as the certificate does";
/// Longest wait for another replica that updates the tables.
const MIGRATION_SETTINGS: &str = "SET statement_timeout = 0; SET lock_timeout = '5min'; \
     SET client_min_messages = 'warning';";

pub(super) async fn open(url: &Secret) -> anyhow::Result<Db> {
    sqlx::any::install_default_drivers();
    let name = name(url);
    let options = AnyConnectOptions::from_str(url.reveal()).map_err(|err| told(&err, &name))?;
    let mut first = tokio::time::timeout(PATIENCE, options.connect())
        .await
        .map_err(|_| anyhow!("{name} did not answer within {} s", PATIENCE.as_secs()))?
        .map_err(|err| told(&err, &name))?;
    suits(&mut first)
        .await
        .with_context(|| format!("looking at {name}"))?;
    let updating = || format!("updating the tables of {name}");
    first
        .execute(sqlx::raw_sql(MIGRATION_SETTINGS))
        .await
        .with_context(updating)?;
    // Under an advisory lock of the server: replicas that start at once do it one after the other.
    migrated(MIGRATIONS.run(&mut first).await).with_context(updating)?;
    first.close().await.with_context(updating)?;
    let pool = |limit| {
        AnyPoolOptions::new()
            .max_connections(limit)
            .acquire_timeout(PATIENCE)
            .after_connect(|conn, _| {
                Box::pin(async move { conn.execute(sqlx::raw_sql(SETTINGS)).await.map(drop) })
            })
            .connect_lazy_with(options.clone())
    };
    Ok(Db::of(pool(WRITERS + 1), pool(READERS), Kind::Postgres))
}

/// The server and the database, without user and password.
fn name(url: &Secret) -> String {
    let Ok(url) = Url::parse(url.reveal()) else {
        return "the database".to_owned();
    };
    let host = url.host_str().unwrap_or_default().replace("%2F", "/");
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    format!("the database {host}{port}{}", url.path())
}

fn told(err: &sqlx::Error, name: &str) -> anyhow::Error {
    let advice = match err {
        sqlx::Error::Io(io) if io.kind() == std::io::ErrorKind::InvalidData => NO_TRUST,
        sqlx::Error::Tls(_) => NO_TRUST,
        sqlx::Error::Io(_) => {
            "no PostgreSQL server answers there; look whether it runs and whether the URL and the \
             firewall are right"
        }
        sqlx::Error::Configuration(_) => "the URL is not one that PostgreSQL understands",
        _ => match code(err).as_deref() {
            Some("28P01") => "the password is wrong or missing",
            Some("28000") => "the server does not let this user in; look at its pg_hba.conf",
            Some("3D000") => "the database does not exist; make it with `createdb`",
            Some("42501") => "the user may not use this database",
            Some("53300") => "the server has no connection left; raise its max_connections",
            Some("57P03") => "the server is starting or stopping; try again",
            _ => "the server refused",
        },
    };
    // The driver's errors repeat their sources, so the chain is not printed.
    anyhow!("connecting to {name}: {advice} ({err})")
}

/// The code of PostgreSQL's manual, appendix A.
pub(super) fn code(err: &sqlx::Error) -> Option<String> {
    err.as_database_error()
        .and_then(|err| err.code())
        .map(std::borrow::Cow::into_owned)
}

async fn suits(conn: &mut AnyConnection) -> anyhow::Result<()> {
    let version: String = setting(conn, "server_version_num").await?;
    recent(&version)?;
    let encoding = setting(conn, "server_encoding").await?;
    ensure!(
        encoding == "UTF8",
        "the database keeps text as {encoding}; make it anew with \
         `createdb --template=template0 --encoding=UTF8 --locale=C`"
    );
    let read_only = setting(conn, "transaction_read_only").await?;
    ensure!(
        read_only == "off",
        "the server is read-only, as a standby is; name the primary in the URL"
    );
    Ok(())
}

async fn setting(conn: &mut AnyConnection, name: &str) -> sqlx::Result<String> {
    sqlx::query_scalar("SELECT current_setting($1)")
        .bind(name)
        .fetch_one(conn)
        .await
}

fn recent(version: &str) -> anyhow::Result<()> {
    let number: u32 = version
        .parse()
        .with_context(|| format!("the server calls its version `{version}`"))?;
    ensure!(
        number >= OLDEST,
        "the server is PostgreSQL {}; burin-hub needs {} or later",
        number / 10_000,
        OLDEST / 10_000
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_named_with_what_is_needed() {
        for (version, said) in [
            ("150018", ""),
            ("140000", ""),
            ("130022", "PostgreSQL 13; burin-hub needs 14"),
            ("90624", "PostgreSQL 9; burin-hub needs 14"),
            ("", "calls its version ``"),
            ("15.1", "calls its version `15.1`"),
        ] {
            let err = recent(version).err().map(|err| format!("{err:#}"));
            match err {
                None => assert!(said.is_empty(), "{version}"),
                Some(err) => assert!(!said.is_empty() && err.contains(said), "{err}"),
            }
        }
    }

    #[test]
    fn the_name_of_a_database_shows_no_user_and_no_password() {
        for (url, want) in [
            ("postgres://u:p@db:5433/hub", "the database db:5433/hub"),
            ("postgres://u@%2Frun%2Fpg/hub", "the database /run/pg/hub"),
        ] {
            assert_eq!(name(&Secret::new(url.to_owned())), want);
        }
    }
}
