//! Hosts and their identity keys.

use sqlx::FromRow;

use super::{Connection, Db};

/// One host, from its first call on.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct HostRow {
    pub(crate) uid: String,
    pub(crate) host_id: String,
    pub(crate) host_id_source: String,
    pub(crate) state: String,
    pub(crate) reason: String,
    pub(crate) token_id: Option<String>,
    pub(crate) evidence: String,
    pub(crate) findings: String,
    pub(crate) labels: String,
    pub(crate) arch: String,
    pub(crate) created_at: i64,
    pub(crate) enrolled_at: i64,
    pub(crate) accepted_at: Option<i64>,
    pub(crate) settled: i64,
    pub(crate) address: String,
    /// Why it shall change its identity key; empty while it need not.
    pub(crate) rekey: String,
}

/// One identity key.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct KeyRow {
    pub(crate) thumbprint: String,
    pub(crate) host_uid: String,
    pub(crate) public_key: String,
    pub(crate) state: String,
}

pub(crate) async fn get(conn: &mut Connection, uid: &str) -> sqlx::Result<Option<HostRow>> {
    sqlx::query_as("SELECT * FROM host WHERE uid = $1")
        .bind(uid)
        .fetch_optional(conn)
        .await
}

/// The host that owns a host ID: accepted, or locked for a while. Others do not own it.
pub(crate) async fn live(conn: &mut Connection, host_id: &str) -> sqlx::Result<Option<HostRow>> {
    sqlx::query_as(
        "SELECT * FROM host WHERE host_id = $1 AND state IN ('accepted', 'quarantined') \
         ORDER BY accepted_at LIMIT 1",
    )
    .bind(host_id)
    .fetch_optional(conn)
    .await
}

/// Hosts whose uid or host ID is `name`; live ones first, then the newest.
pub(crate) async fn find(db: &Db, name: &str) -> sqlx::Result<Vec<HostRow>> {
    sqlx::query_as(
        "SELECT * FROM host WHERE uid = $1 OR host_id = $1 \
         ORDER BY CASE state WHEN 'accepted' THEN 0 WHEN 'quarantined' THEN 1 ELSE 2 END, \
         created_at DESC, uid DESC",
    )
    .bind(name)
    .fetch_all(db.reader())
    .await
}

/// A page of hosts in the order of their uid (which is the order of their first call).
pub(crate) async fn page(db: &Db, after: &str, limit: i64) -> sqlx::Result<Vec<HostRow>> {
    sqlx::query_as("SELECT * FROM host WHERE uid > $1 ORDER BY uid LIMIT $2")
        .bind(after)
        .bind(limit)
        .fetch_all(db.reader())
        .await
}

pub(crate) async fn key(conn: &mut Connection, print: &str) -> sqlx::Result<Option<KeyRow>> {
    sqlx::query_as("SELECT * FROM host_key WHERE thumbprint = $1")
        .bind(print)
        .fetch_optional(conn)
        .await
}

pub(crate) async fn active_key(conn: &mut Connection, uid: &str) -> sqlx::Result<Option<KeyRow>> {
    sqlx::query_as("SELECT * FROM host_key WHERE host_uid = $1 AND state = 'active'")
        .bind(uid)
        .fetch_optional(conn)
        .await
}

/// Every key of a host, the newest first.
pub(crate) async fn keys(conn: &mut Connection, uid: &str) -> sqlx::Result<Vec<KeyRow>> {
    sqlx::query_as("SELECT * FROM host_key WHERE host_uid = $1 ORDER BY created_at DESC")
        .bind(uid)
        .fetch_all(conn)
        .await
}

/// Replaces the labels of a host.
pub(crate) async fn set_labels(conn: &mut Connection, uid: &str, labels: &str) -> sqlx::Result<()> {
    sqlx::query("UPDATE host SET labels = $2 WHERE uid = $1")
        .bind(uid)
        .bind(labels)
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes what the newest enroll said; the host's state is not touched.
pub(crate) async fn upsert(conn: &mut Connection, row: &HostRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO host (uid, host_id, host_id_source, state, reason, token_id, evidence, \
         findings, labels, arch, created_at, enrolled_at, accepted_at, settled, address) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, NULL, 0, $13) \
         ON CONFLICT (uid) DO UPDATE SET evidence = excluded.evidence, \
         findings = excluded.findings, enrolled_at = excluded.enrolled_at, \
         address = excluded.address",
    )
    .bind(&row.uid)
    .bind(&row.host_id)
    .bind(&row.host_id_source)
    .bind(&row.state)
    .bind(&row.reason)
    .bind(&row.token_id)
    .bind(&row.evidence)
    .bind(&row.findings)
    .bind(&row.labels)
    .bind(&row.arch)
    .bind(row.created_at)
    .bind(row.enrolled_at)
    .bind(&row.address)
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn insert_key(conn: &mut Connection, key: &KeyRow, now: i64) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO host_key (thumbprint, host_uid, public_key, state, created_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&key.thumbprint)
    .bind(&key.host_uid)
    .bind(&key.public_key)
    .bind(&key.state)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Changes a host's state; `reason` is shown to people and to the host.
pub(crate) async fn set_state(
    conn: &mut Connection,
    uid: &str,
    state: &str,
    reason: &str,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE host SET state = $2, reason = $3 WHERE uid = $1")
        .bind(uid)
        .bind(state)
        .bind(reason)
        .execute(conn)
        .await?;
    Ok(())
}

/// Accepts a pending host; labels and token are those it was accepted with.
pub(crate) async fn accept(
    conn: &mut Connection,
    uid: &str,
    token_id: Option<&str>,
    labels: &str,
    now: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE host SET state = 'accepted', reason = '', token_id = $2, labels = $3, \
         accepted_at = $4 WHERE uid = $1",
    )
    .bind(uid)
    .bind(token_id)
    .bind(labels)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// From now on a new key cannot take this host's place.
pub(crate) async fn settle(conn: &mut Connection, uid: &str) -> sqlx::Result<()> {
    sqlx::query("UPDATE host SET settled = 1 WHERE uid = $1 AND settled = 0")
        .bind(uid)
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes that `thumbprint` replaces the host's key in this boot. False when this boot had one.
pub(crate) async fn note_replacement(
    conn: &mut Connection,
    uid: &str,
    boot_id: &str,
    thumbprint: &str,
    now: i64,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "INSERT INTO replacement (host_uid, boot_id, thumbprint, created_at) \
         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(uid)
    .bind(boot_id)
    .bind(thumbprint)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Wants a host to change its identity key.
pub(crate) async fn ask_rekey(conn: &mut Connection, uid: &str, why: &str) -> sqlx::Result<()> {
    sqlx::query("UPDATE host SET rekey = $2 WHERE uid = $1")
        .bind(uid)
        .bind(why)
        .execute(conn)
        .await?;
    Ok(())
}

/// The same for a host whose key was made before `before`. One whose key was copied cannot prove who
/// changes it.
pub(crate) async fn ask_rekey_of_age(
    conn: &mut Connection,
    uid: &str,
    before: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE host SET rekey = 'age' WHERE uid = $1 AND rekey = '' AND EXISTS (SELECT 1 \
         FROM host_key WHERE host_uid = $1 AND state = 'active' AND created_at < $2) \
         AND NOT EXISTS (SELECT 1 FROM machine WHERE host_uid = $1 AND chosen = 1)",
    )
    .bind(uid)
    .bind(before)
    .execute(conn)
    .await?;
    Ok(())
}

/// Retires every active key of a host; what it was asked to do is done with that.
pub(crate) async fn replace_keys(conn: &mut Connection, uid: &str) -> sqlx::Result<()> {
    ask_rekey(conn, uid, "").await?;
    sqlx::query("UPDATE host_key SET state = 'replaced' WHERE host_uid = $1 AND state = 'active'")
        .bind(uid)
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets a host that was never accepted.
pub(crate) async fn forget_pending(conn: &mut Connection, uid: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM host WHERE uid = $1 AND state IN ('pending', 'rejected')")
        .bind(uid)
        .execute(conn)
        .await?;
    Ok(())
}

/// Turns pending hosts older than `before` into rejected ones.
pub(crate) async fn expire_pending(conn: &mut Connection, before: i64) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE host SET state = 'rejected', reason = 'expired' \
         WHERE state = 'pending' AND created_at < $1",
    )
    .bind(before)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets hosts that were never accepted and whose time was over before `before`: each boot of an
/// unapproved machine leaves one. A host that an admin denied stays denied.
pub(crate) async fn forget_expired(conn: &mut Connection, before: i64) -> sqlx::Result<()> {
    sqlx::query(
        "DELETE FROM host WHERE state = 'rejected' AND reason = 'expired' AND created_at < $1",
    )
    .bind(before)
    .execute(conn)
    .await?;
    Ok(())
}

/// Pending hosts with this host ID, and of the whole hub.
pub(crate) async fn count_pending(
    conn: &mut Connection,
    host_id: &str,
) -> sqlx::Result<(i64, i64)> {
    sqlx::query_as(
        "SELECT COALESCE(SUM(CASE WHEN host_id = $1 THEN 1 ELSE 0 END), 0), COUNT(*) \
         FROM host WHERE state = 'pending'",
    )
    .bind(host_id)
    .fetch_one(conn)
    .await
}

/// Hosts that were heard since `since`, for the polling interval.
pub(crate) async fn count_active(db: &Db, since: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT COUNT(*) FROM host_live WHERE seen_at > $1")
        .bind(since)
        .fetch_one(db.reader())
        .await
}

/// Whether this boot already replaced a key of the host.
pub(crate) async fn was_replaced(
    conn: &mut Connection,
    uid: &str,
    boot_id: &str,
) -> sqlx::Result<bool> {
    let found: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM replacement WHERE host_uid = $1 AND boot_id = $2")
            .bind(uid)
            .bind(boot_id)
            .fetch_one(conn)
            .await?;
    Ok(found > 0)
}

/// Why a pending host waits.
pub(crate) async fn set_pending_reason(
    conn: &mut Connection,
    uid: &str,
    reason: &str,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE host SET reason = $2 WHERE uid = $1 AND state = 'pending'")
        .bind(uid)
        .bind(reason)
        .execute(conn)
        .await?;
    Ok(())
}

/// The key with this label (the first half of its thumbprint), which must be hex.
pub(crate) async fn key_by_prefix(
    conn: &mut Connection,
    prefix: &str,
) -> sqlx::Result<Option<KeyRow>> {
    sqlx::query_as(
        "SELECT thumbprint, host_uid, public_key, state FROM host_key \
         WHERE thumbprint LIKE $1 ORDER BY thumbprint LIMIT 1",
    )
    .bind(format!("{prefix}%"))
    .fetch_optional(conn)
    .await
}

/// The active keys of a page of hosts.
pub(crate) async fn keys_page(db: &Db, after: &str, last: &str) -> sqlx::Result<Vec<KeyRow>> {
    sqlx::query_as(
        "SELECT thumbprint, host_uid, public_key, state FROM host_key \
         WHERE host_uid > $1 AND host_uid <= $2 AND state = 'active'",
    )
    .bind(after)
    .bind(last)
    .fetch_all(db.reader())
    .await
}

/// Forgets pending hosts of this host ID that were not heard since `before`: a machine that starts
/// again and again with new keys must not fill its own list.
pub(crate) async fn forget_silent(
    conn: &mut Connection,
    host_id: &str,
    before: i64,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM host WHERE host_id = $1 AND state = 'pending' AND enrolled_at < $2")
        .bind(host_id)
        .bind(before)
        .execute(conn)
        .await?;
    Ok(())
}
