//! Machines behind one key: one, unless its disk was copied.

use sqlx::FromRow;

use super::Connection;

/// Machines that are remembered of one host besides the chosen one.
const KEPT: i64 = 8;

/// One machine that opened a session with a host's key.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct MachineRow {
    pub(crate) host_uid: String,
    /// Digest of its hardware.
    pub(crate) hardware: String,
    /// What people know it by, in its own words.
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) first_at: i64,
    pub(crate) seen_at: i64,
    /// 1 for the one machine that may use the key.
    pub(crate) chosen: i64,
}

/// Notes that a machine was there; whether it is chosen stays.
pub(crate) async fn note(conn: &mut Connection, row: &MachineRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO machine (host_uid, hardware, name, address, first_at, seen_at, chosen) \
         VALUES ($1, $2, $3, $4, $5, $5, 0) ON CONFLICT (host_uid, hardware) DO UPDATE SET \
         name = excluded.name, address = excluded.address, seen_at = excluded.seen_at",
    )
    .bind(&row.host_uid)
    .bind(&row.hardware)
    .bind(&row.name)
    .bind(&row.address)
    .bind(row.seen_at)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "DELETE FROM machine WHERE host_uid = $1 AND chosen = 0 AND seen_at < COALESCE((SELECT \
         MIN(seen_at) FROM (SELECT seen_at FROM machine WHERE host_uid = $1 \
         ORDER BY seen_at DESC, hardware LIMIT $2) AS newest), 0)",
    )
    .bind(&row.host_uid)
    .bind(KEPT)
    .execute(conn)
    .await?;
    Ok(())
}

/// The machines of a host, the one that was there first first.
pub(crate) async fn of(conn: &mut Connection, uid: &str) -> sqlx::Result<Vec<MachineRow>> {
    sqlx::query_as("SELECT * FROM machine WHERE host_uid = $1 ORDER BY first_at, hardware")
        .bind(uid)
        .fetch_all(conn)
        .await
}

/// The one machine that may use the key; none as long as nobody had to choose.
pub(crate) async fn chosen(conn: &mut Connection, uid: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT hardware FROM machine WHERE host_uid = $1 AND chosen = 1")
        .bind(uid)
        .fetch_optional(conn)
        .await
}

/// From now on only this machine may use the host's key.
pub(crate) async fn choose(conn: &mut Connection, uid: &str, hardware: &str) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE machine SET chosen = CASE WHEN hardware = $2 THEN 1 ELSE 0 END \
         WHERE host_uid = $1",
    )
    .bind(uid)
    .bind(hardware)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets the machines of a host: a new key was copied nowhere yet.
pub(crate) async fn forget(conn: &mut Connection, uid: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM machine WHERE host_uid = $1")
        .bind(uid)
        .execute(conn)
        .await?;
    Ok(())
}
