//! API keys, and what handlers share about their callers.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;

use crate::db::Connection;
use crate::db::accounts::{self, ApiKeyRow};
pub(crate) use crate::people::Actor;
use crate::people::Role;
use crate::secret::{Secret, random_text, sha256};

/// Makes an API key and stores its hash.
pub(crate) async fn new_api_key(
    conn: &mut Connection,
    name: &str,
    role: Role,
    now: i64,
) -> anyhow::Result<(String, Secret)> {
    let key = format!("brk_{}", random_text()?);
    let row = ApiKeyRow {
        id: hex::encode(crate::secret::random::<6>()?),
        name: name.to_owned(),
        role: role.name().to_owned(),
        created_at: now,
        revoked_at: None,
    };
    accounts::insert_api_key(conn, &row, &sha256(key.as_bytes())).await?;
    Ok((row.id, Secret::new(key)))
}

/// Compares in a time that does not tell how much was right.
pub(crate) fn same(sent: &str, kept: &str) -> bool {
    !kept.is_empty() && sha256(sent.as_bytes()) == sha256(kept.as_bytes())
}

/// The address behind a connection.
pub(crate) type Caller = ConnectInfo<SocketAddr>;
