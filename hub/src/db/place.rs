//! Which database `serve` shall use, without its password in a list of processes or in a log.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use reqwest::Url;

use crate::secret::Secret;

/// Holds the URL, with a password if need be: nobody but the user and root sees an environment.
pub(crate) const VARIABLE: &str = "BURIN_DATABASE_URL";
const FILE: &str = "hub.db";
const PASSWORD_PLACES: &str = "put the whole URL into BURIN_DATABASE_URL or into a file for \
     --database-url-file, or the password into ~/.pgpass or PGPASSFILE";

/// Where a hub's database is.
#[derive(Debug, Clone)]
pub enum Place {
    /// An SQLite file, made when it is missing.
    File(PathBuf),
    /// The URL of a PostgreSQL database; it may hold a password.
    Server(Secret),
}

impl Place {
    /// The SQLite file of a data folder: what a hub uses unless told otherwise.
    pub fn in_folder(folder: &Path) -> Self {
        Self::File(folder.join(FILE))
    }

    /// The place that the command line or the environment names.
    ///
    /// # Errors
    /// A URL that is not one of PostgreSQL; a password where every user of the machine reads it.
    pub fn choose(folder: &Path, url: Option<&str>, file: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(url) = url {
            let parsed = parse(url).context("reading --database-url")?;
            ensure!(
                !has_password(&parsed),
                "--database-url holds a password, which every user of this machine can read; \
                 {PASSWORD_PLACES}"
            );
            return Ok(Self::Server(guarded(parsed)));
        }
        if let Some(file) = file {
            let reading = || format!("reading the database URL of {}", file.display());
            let text = std::fs::read_to_string(file).with_context(reading)?;
            return Ok(Self::Server(guarded(
                parse(text.trim()).with_context(reading)?,
            )));
        }
        match std::env::var(VARIABLE) {
            Ok(url) => {
                let parsed = parse(&url).with_context(|| format!("reading {VARIABLE}"))?;
                Ok(Self::Server(guarded(parsed)))
            }
            Err(std::env::VarError::NotPresent) => Ok(Self::in_folder(folder)),
            Err(std::env::VarError::NotUnicode(_)) => bail!("{VARIABLE} is not UTF-8"),
        }
    }
}

/// Never repeats the text: it may hold a password.
fn parse(text: &str) -> anyhow::Result<Url> {
    let wanted = "a database URL looks like postgres://USER@HOST/DATABASE";
    let url = Url::parse(text).map_err(|err| anyhow::anyhow!("{err}; {wanted}"))?;
    ensure!(
        matches!(url.scheme(), "postgres" | "postgresql"),
        "`{}:` is no database that burin-hub knows; {wanted}",
        url.scheme()
    );
    Ok(url)
}

fn has_password(url: &Url) -> bool {
    url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password")
}

/// A server on another machine must prove itself unless the URL says otherwise: the driver's own
/// default goes on in the clear when the server, or somebody before it, offers no TLS.
fn guarded(mut url: Url) -> Secret {
    let says = |name: &str| url.query_pairs().any(|(key, _)| key == name);
    let host = url.host_str().unwrap_or_default();
    let near = host.is_empty()
        || host.starts_with("%2F")
        || matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let elsewhere = url
        .query_pairs()
        .any(|(key, value)| matches!(&*key, "host" | "hostaddr") && !value.starts_with('/'));
    if (!near || elsewhere) && !says("sslmode") && !says("ssl-mode") {
        url.query_pairs_mut().append_pair("sslmode", "verify-full");
    }
    if !url.query_pairs().any(|(key, _)| key == "application_name") {
        // What the server's administrator sees in `pg_stat_activity`.
        url.query_pairs_mut()
            .append_pair("application_name", "burin-hub");
    }
    Secret::new(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> anyhow::Result<String> {
        match Place::choose(Path::new("/data"), Some(url), None)? {
            Place::Server(url) => Ok(url.reveal().to_owned()),
            Place::File(file) => bail!("{}", file.display()),
        }
    }

    #[test]
    fn a_password_in_the_argument_list_is_refused_and_not_repeated() {
        for url in [
            "postgres://hub:canary@db/hub",
            "postgres://db/hub?password=canary",
        ] {
            let err = format!("{:#}", server(url).unwrap_err());
            assert!(err.contains("BURIN_DATABASE_URL"), "{err}");
            assert!(!err.contains("canary"), "{err}");
        }
    }

    #[test]
    fn a_file_may_hold_a_password_and_debug_hides_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("url");
        std::fs::write(&file, "postgres://hub:canary@localhost/hub\n").unwrap();
        let place = Place::choose(dir.path(), None, Some(&file)).unwrap();
        assert!(!format!("{place:?}").contains("canary"));
        assert!(
            matches!(place, Place::Server(url) if url.reveal().starts_with("postgres://hub:canary@localhost/hub"))
        );
    }

    #[test]
    fn what_is_no_postgresql_url_is_refused_without_repeating_it() {
        for url in ["mysql://a:canary@db/x", "canary", "", "postgres//canary"] {
            let err = format!("{:#}", server(url).unwrap_err());
            assert!(err.contains("postgres://USER@HOST/DATABASE"), "{err}");
            assert!(!err.contains("canary"), "{err}");
        }
    }

    #[test]
    fn only_a_server_elsewhere_must_prove_itself() {
        for (url, guarded) in [
            ("postgres://hub@db.example/hub", true),
            ("postgres://hub@192.0.2.7:5433/hub", true),
            ("postgres:///hub?host=db.example", true),
            ("postgres://hub@db.example/hub?sslmode=require", false),
            ("postgres://hub@localhost/hub", false),
            ("postgres://hub@[::1]/hub", false),
            ("postgres:///hub?host=/run/postgresql", false),
            ("postgres://%2Frun%2Fpostgresql/hub", false),
        ] {
            let found = server(url).unwrap();
            assert_eq!(found.contains("sslmode=verify-full"), guarded, "{found}");
        }
    }
}
