//! Kubeconfigs of hosts, sealed to the hub's key.

use sqlx::FromRow;

use super::Connection;

/// The kubeconfig of one host.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct KubeconfigRow {
    pub(crate) host_uid: String,
    /// JSON of [`burin_api::sealed::Sealed`].
    pub(crate) sealed: String,
    pub(crate) received_at: i64,
}

/// Keeps a host's kubeconfig in place of the one of before.
pub(crate) async fn put(conn: &mut Connection, row: &KubeconfigRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO kubeconfig (host_uid, sealed, received_at) VALUES ($1, $2, $3) \
         ON CONFLICT (host_uid) DO UPDATE SET sealed = excluded.sealed, \
         received_at = excluded.received_at",
    )
    .bind(&row.host_uid)
    .bind(&row.sealed)
    .bind(row.received_at)
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn get(conn: &mut Connection, uid: &str) -> sqlx::Result<Option<KubeconfigRow>> {
    sqlx::query_as("SELECT * FROM kubeconfig WHERE host_uid = $1")
        .bind(uid)
        .fetch_optional(conn)
        .await
}
