//! Logins of people and API keys of programs. Only hashes are kept.

use sqlx::FromRow;

use super::{Connection, Db};

/// One login, with the role that its person has now.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct LoginRow {
    pub(crate) id_hash: String,
    pub(crate) person: String,
    pub(crate) role: String,
    pub(crate) stage: String,
    pub(crate) created_at: i64,
    pub(crate) seen_at: i64,
    /// 1 when the person has one-time codes, or logs in over a provider, which asks for more than a
    /// password or does not.
    pub(crate) has_codes: i64,
}

/// One API key.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct ApiKeyRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) created_at: i64,
    pub(crate) revoked_at: Option<i64>,
}

impl ApiKeyRow {
    /// As the audit log and lists name it. The id stands last and is the hub's own: a name that
    /// holds brackets cannot pass for another key.
    pub(crate) fn actor(&self) -> String {
        format!("key {} ({})", self.name, self.id)
    }
}

pub(crate) async fn insert_login(conn: &mut Connection, row: &LoginRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO login (id_hash, person, stage, created_at, seen_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&row.id_hash)
    .bind(&row.person)
    .bind(&row.stage)
    .bind(row.created_at)
    .bind(row.seen_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// The login with this hash, unless its person's account is closed.
pub(crate) async fn login(db: &Db, id_hash: &str) -> sqlx::Result<Option<LoginRow>> {
    sqlx::query_as(
        "SELECT l.id_hash, l.person, p.role, l.stage, l.created_at, l.seen_at, \
         CASE WHEN p.totp IS NULL AND p.issuer IS NULL THEN 0 ELSE 1 END AS has_codes \
         FROM login l JOIN person p ON p.name = l.person \
         WHERE l.id_hash = $1 AND p.disabled_at IS NULL",
    )
    .bind(id_hash)
    .fetch_optional(db.reader())
    .await
}

pub(crate) async fn touch_login(
    conn: &mut Connection,
    id_hash: &str,
    now: i64,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE login SET seen_at = $2 WHERE id_hash = $1")
        .bind(id_hash)
        .bind(now)
        .execute(conn)
        .await?;
    Ok(())
}

pub(crate) async fn end_login(conn: &mut Connection, id_hash: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM login WHERE id_hash = $1")
        .bind(id_hash)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends every login of a person but `kept`.
pub(crate) async fn end_logins(
    conn: &mut Connection,
    person: &str,
    kept: &str,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM login WHERE person = $1 AND id_hash <> $2")
        .bind(person)
        .bind(kept)
        .execute(conn)
        .await?;
    Ok(())
}

/// Drops logins that nobody used since `idle` or that began before `oldest`.
pub(crate) async fn forget_logins(
    conn: &mut Connection,
    idle: i64,
    oldest: i64,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM login WHERE seen_at < $1 OR created_at < $2")
        .bind(idle)
        .bind(oldest)
        .execute(conn)
        .await?;
    Ok(())
}

pub(crate) async fn insert_api_key(
    conn: &mut Connection,
    row: &ApiKeyRow,
    hash: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO api_key (id, hash, name, role, created_at, revoked_at) \
         VALUES ($1, $2, $3, $4, $5, NULL)",
    )
    .bind(&row.id)
    .bind(hash)
    .bind(&row.name)
    .bind(&row.role)
    .bind(row.created_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// The key with this hash, unless it was revoked.
pub(crate) async fn api_key(db: &Db, hash: &str) -> sqlx::Result<Option<ApiKeyRow>> {
    sqlx::query_as(
        "SELECT id, name, role, created_at, revoked_at FROM api_key \
         WHERE hash = $1 AND revoked_at IS NULL",
    )
    .bind(hash)
    .fetch_optional(db.reader())
    .await
}

/// The id of a key in force with this name.
pub(crate) async fn api_key_named(
    conn: &mut Connection,
    name: &str,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(
        "SELECT id FROM api_key WHERE name = $1 AND revoked_at IS NULL ORDER BY created_at LIMIT 1",
    )
    .bind(name)
    .fetch_optional(conn)
    .await
}

pub(crate) async fn list_api_keys(db: &Db) -> sqlx::Result<Vec<ApiKeyRow>> {
    sqlx::query_as(
        "SELECT id, name, role, created_at, revoked_at FROM api_key ORDER BY created_at, id",
    )
    .fetch_all(db.reader())
    .await
}

pub(crate) async fn revoke_api_key(
    conn: &mut Connection,
    id: &str,
    now: i64,
) -> sqlx::Result<bool> {
    let done =
        sqlx::query("UPDATE api_key SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1")
            .bind(id)
            .bind(now)
            .execute(conn)
            .await?;
    Ok(done.rows_affected() == 1)
}
