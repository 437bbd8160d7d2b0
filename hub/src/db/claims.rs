//! Claims: who scanned or typed what, the codes and numbers on screens, and wrong guesses.

use sqlx::FromRow;

use super::Connection;

/// One person's claim of one key.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct ClaimRow {
    pub(crate) key_label: String,
    pub(crate) account: String,
    pub(crate) host_id: String,
    /// `qr` or `code`.
    pub(crate) kind: String,
    pub(crate) provisional: i64,
    pub(crate) waived: i64,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    /// Where the host lands.
    pub(crate) project: String,
}

/// What stands on the screen of a pending host, as `registration::challenge` seals it.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct ChallengeRow {
    pub(crate) host_uid: String,
    pub(crate) code_hash: String,
    pub(crate) shown: String,
    pub(crate) expires_at: i64,
    pub(crate) tries: i64,
}

/// Writes a claim; claiming again prolongs it, and says anew where the host lands.
pub(crate) async fn put(conn: &mut Connection, row: &ClaimRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO claim (key_label, account, host_id, kind, provisional, waived, created_at, \
         expires_at, project) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (key_label, account) DO UPDATE SET expires_at = excluded.expires_at, \
         project = excluded.project",
    )
    .bind(&row.key_label)
    .bind(&row.account)
    .bind(&row.host_id)
    .bind(&row.kind)
    .bind(row.provisional)
    .bind(row.waived)
    .bind(row.created_at)
    .bind(row.expires_at)
    .bind(&row.project)
    .execute(conn)
    .await?;
    Ok(())
}

/// The claim of one account.
pub(crate) async fn get(
    conn: &mut Connection,
    key_label: &str,
    account: &str,
    now: i64,
) -> sqlx::Result<Option<ClaimRow>> {
    sqlx::query_as("SELECT * FROM claim WHERE key_label = $1 AND account = $2 AND expires_at > $3")
        .bind(key_label)
        .bind(account)
        .bind(now)
        .fetch_optional(conn)
        .await
}

/// The claim of a key that asks for least: a waived one, else the oldest; into `project` alone when
/// that is not empty.
pub(crate) async fn of_key(
    conn: &mut Connection,
    key_label: &str,
    project: &str,
    now: i64,
) -> sqlx::Result<Option<ClaimRow>> {
    sqlx::query_as(
        "SELECT * FROM claim WHERE key_label = $1 AND expires_at > $2 \
         AND ($3 = '' OR project = $3) \
         ORDER BY waived DESC, created_at, account LIMIT 1",
    )
    .bind(key_label)
    .bind(now)
    .bind(project)
    .fetch_optional(conn)
    .await
}

/// Drops claims that nobody used in time.
pub(crate) async fn forget_old(conn: &mut Connection, before: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM claim WHERE expires_at < $1")
        .bind(before)
        .execute(conn)
        .await?;
    Ok(())
}

pub(crate) async fn challenge(
    conn: &mut Connection,
    uid: &str,
) -> sqlx::Result<Option<ChallengeRow>> {
    sqlx::query_as("SELECT * FROM challenge WHERE host_uid = $1")
        .bind(uid)
        .fetch_optional(conn)
        .await
}

/// The pending host that shows the code with this hash now.
pub(crate) async fn by_code(
    conn: &mut Connection,
    code_hash: &str,
    now: i64,
) -> sqlx::Result<Option<ChallengeRow>> {
    sqlx::query_as("SELECT * FROM challenge WHERE code_hash = $1 AND expires_at > $2")
        .bind(code_hash)
        .bind(now)
        .fetch_optional(conn)
        .await
}

/// False when another host shows this code.
pub(crate) async fn put_challenge(conn: &mut Connection, row: &ChallengeRow) -> sqlx::Result<bool> {
    end_challenge(conn, &row.host_uid).await?;
    let done = sqlx::query(
        "INSERT INTO challenge (host_uid, code_hash, shown, expires_at, tries) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(&row.host_uid)
    .bind(&row.code_hash)
    .bind(&row.shown)
    .bind(row.expires_at)
    .bind(row.tries)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Changes number and tries.
pub(crate) async fn set_number(
    conn: &mut Connection,
    uid: &str,
    shown: &str,
    tries: i64,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE challenge SET shown = $2, tries = $3 WHERE host_uid = $1")
        .bind(uid)
        .bind(shown)
        .bind(tries)
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes code and number off the screen of a host.
pub(crate) async fn end_challenge(conn: &mut Connection, uid: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM challenge WHERE host_uid = $1")
        .bind(uid)
        .execute(conn)
        .await?;
    Ok(())
}

pub(crate) async fn note_guess(
    conn: &mut Connection,
    id: &str,
    account: &str,
    now: i64,
) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO guess (id, account, made_at) VALUES ($1, $2, $3)")
        .bind(id)
        .bind(account)
        .bind(now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Times of the wrong guesses of an account since `since`, oldest first.
pub(crate) async fn guesses(
    conn: &mut Connection,
    account: &str,
    since: i64,
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar(
        "SELECT made_at FROM guess WHERE account = $1 AND made_at > $2 ORDER BY made_at, id",
    )
    .bind(account)
    .bind(since)
    .fetch_all(conn)
    .await
}

pub(crate) async fn forget_guesses(conn: &mut Connection, before: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM guess WHERE made_at < $1")
        .bind(before)
        .execute(conn)
        .await?;
    Ok(())
}
