//! Hosts and their identity keys.

use sqlx::FromRow;

use super::{Connection, Db};
use crate::people::scope::Projects;

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
    pub(crate) project: String,
}

/// The hosts of one page: those of these projects behind `after`, up to `last`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) within: &'a Projects,
    pub(crate) after: &'a str,
    pub(crate) last: &'a str,
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

/// Hosts of these projects whose uid or host ID is `name`; live ones first, then the newest.
pub(crate) async fn find(db: &Db, within: &Projects, name: &str) -> sqlx::Result<Vec<HostRow>> {
    sqlx::query_as(
        "SELECT * FROM host WHERE (uid = $1 OR host_id = $1) \
         AND ($2 = '*' OR $2 LIKE '%|' || project || '|%') \
         ORDER BY CASE state WHEN 'accepted' THEN 0 WHEN 'quarantined' THEN 1 ELSE 2 END, \
         created_at DESC, uid DESC",
    )
    .bind(name)
    .bind(within.sql())
    .fetch_all(db.reader())
    .await
}

/// A page of hosts of these projects in the order of their uid (which is the order of their first call).
pub(crate) async fn page(
    db: &Db,
    within: &Projects,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<HostRow>> {
    sqlx::query_as(
        "SELECT * FROM host WHERE uid > $1 \
         AND ($3 = '*' OR $3 LIKE '%|' || project || '|%') ORDER BY uid LIMIT $2",
    )
    .bind(after)
    .bind(limit)
    .bind(within.sql())
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
         findings, labels, arch, created_at, enrolled_at, accepted_at, settled, address, project) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, NULL, 0, $13, $14) \
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
    .bind(&row.project)
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

/// With what a host is accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Accepted<'a> {
    pub(crate) token_id: Option<&'a str>,
    /// JSON.
    pub(crate) labels: &'a str,
    pub(crate) project: &'a str,
}

/// Accepts a pending host; labels, token and project are those it was accepted with.
pub(crate) async fn accept(
    conn: &mut Connection,
    uid: &str,
    row: &Accepted<'_>,
    now: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE host SET state = 'accepted', reason = '', token_id = $2, labels = $3, \
         accepted_at = $4, project = $5 WHERE uid = $1",
    )
    .bind(uid)
    .bind(row.token_id)
    .bind(row.labels)
    .bind(now)
    .bind(row.project)
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts a host into another project.
pub(crate) async fn set_project(
    conn: &mut Connection,
    uid: &str,
    project: &str,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE host SET project = $2 WHERE uid = $1")
        .bind(uid)
        .bind(project)
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
pub(crate) async fn keys_page(db: &Db, part: &Part<'_>) -> sqlx::Result<Vec<KeyRow>> {
    sqlx::query_as(
        "SELECT k.thumbprint, k.host_uid, k.public_key, k.state FROM host_key k \
         JOIN host h ON h.uid = k.host_uid WHERE h.uid > $1 AND h.uid <= $2 \
         AND ($3 = '*' OR $3 LIKE '%|' || h.project || '|%') AND k.state = 'active'",
    )
    .bind(part.after)
    .bind(part.last)
    .bind(part.within.sql())
    .fetch_all(db.reader())
    .await
}
