//! Credentials of registries: kept sealed, opened for the hub's own reading and for hosts.

use std::collections::BTreeMap;

use burin_registry::Credentials;

use crate::db::Connection;
use crate::db::credentials::{self, CredentialRow};
use crate::state::Hub;
use crate::vault::{FILE, Locker};

/// What a password is bound to: it opens for its own registry and user only.
fn bound(host: &str, username: &str) -> String {
    format!("{host} {username}")
}

/// A row for the database.
pub(crate) fn seal(
    locker: &Locker,
    host: &str,
    username: &str,
    password: &str,
    now: i64,
) -> anyhow::Result<CredentialRow> {
    Ok(CredentialRow {
        password: locker.seal(&bound(host, username), password.as_bytes())?,
        host: host.to_owned(),
        username: username.to_owned(),
        changed_at: now,
    })
}

/// The credentials of a row; none when they were sealed with another key.
pub(crate) fn open(locker: &Locker, row: &CredentialRow) -> Option<Credentials> {
    let password = locker.open(&bound(&row.host, &row.username), &row.password)?;
    Some(Credentials {
        username: row.username.clone(),
        password: String::from_utf8(password).ok()?,
    })
}

/// What is to be said of credentials that do not open.
pub(crate) fn closed(host: &str) -> String {
    format!(
        "the credentials of registry {host} cannot be opened: {FILE} is not the one that they were \
         sealed with; restore it, or give them again with `burin-hub registry add {host} \
         --username NAME --password-file FILE`"
    )
}

/// The credentials of every registry that has some, by its name, or why they are not to be had.
pub(crate) async fn all(
    hub: &Hub,
    conn: &mut Connection,
) -> sqlx::Result<BTreeMap<String, Result<Credentials, String>>> {
    let rows = credentials::list(conn).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let opened = open(&hub.vault.credentials, &row).ok_or_else(|| closed(&row.host));
            (row.host, opened)
        })
        .collect())
}
