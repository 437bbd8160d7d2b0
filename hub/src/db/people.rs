//! Accounts of people, and wrong passwords in a row.

use sqlx::FromRow;

use super::{Connection, Db};

/// One account.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct PersonRow {
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) password: String,
    pub(crate) must_change: i64,
    pub(crate) totp: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) disabled_at: Option<i64>,
    /// The identity provider that knows the person; none for local accounts.
    pub(crate) issuer: Option<String>,
    /// Whom the provider means.
    pub(crate) subject: Option<String>,
}

impl PersonRow {
    /// Whether a second factor stands behind the login. That of a provider's people is its affair.
    pub(crate) fn has_codes(&self) -> bool {
        self.totp.is_some() || self.issuer.is_some()
    }
}

/// False when the name is taken.
pub(crate) async fn insert(conn: &mut Connection, row: &PersonRow) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "INSERT INTO person (name, role, password, must_change, totp, totp_step, created_at, \
         disabled_at, issuer, subject) VALUES ($1, $2, $3, $4, NULL, 0, $5, NULL, $6, $7) \
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(&row.name)
    .bind(&row.role)
    .bind(&row.password)
    .bind(row.must_change)
    .bind(row.created_at)
    .bind(&row.issuer)
    .bind(&row.subject)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn get(conn: &mut Connection, name: &str) -> sqlx::Result<Option<PersonRow>> {
    sqlx::query_as("SELECT * FROM person WHERE name = $1")
        .bind(name)
        .fetch_optional(conn)
        .await
}

/// The account of somebody whom a provider knows.
pub(crate) async fn by_subject(
    conn: &mut Connection,
    issuer: &str,
    subject: &str,
) -> sqlx::Result<Option<PersonRow>> {
    sqlx::query_as("SELECT * FROM person WHERE issuer = $1 AND subject = $2")
        .bind(issuer)
        .bind(subject)
        .fetch_optional(conn)
        .await
}

pub(crate) async fn list(db: &Db) -> sqlx::Result<Vec<PersonRow>> {
    sqlx::query_as("SELECT * FROM person ORDER BY name")
        .fetch_all(db.reader())
        .await
}

/// Admins that can still log in by themselves: a provider may go away, or take a role away.
pub(crate) async fn count_admins(conn: &mut Connection) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "SELECT COUNT(*) FROM person WHERE role = 'admin' AND disabled_at IS NULL AND issuer IS NULL",
    )
    .fetch_one(conn)
    .await
}

pub(crate) async fn set_password(
    conn: &mut Connection,
    name: &str,
    hash: &str,
    must_change: bool,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE person SET password = $2, must_change = $3 WHERE name = $1")
        .bind(name)
        .bind(hash)
        .bind(i64::from(must_change))
        .execute(conn)
        .await?;
    Ok(())
}

pub(crate) async fn set_role(conn: &mut Connection, name: &str, role: &str) -> sqlx::Result<()> {
    sqlx::query("UPDATE person SET role = $2 WHERE name = $1")
        .bind(name)
        .bind(role)
        .execute(conn)
        .await?;
    Ok(())
}

/// `at`: since when the account is closed; none opens it.
pub(crate) async fn set_disabled(
    conn: &mut Connection,
    name: &str,
    at: Option<i64>,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE person SET disabled_at = $2 WHERE name = $1")
        .bind(name)
        .bind(at)
        .execute(conn)
        .await?;
    Ok(())
}

/// Sets or removes the sealed seed of one-time codes.
pub(crate) async fn set_totp(
    conn: &mut Connection,
    name: &str,
    sealed: Option<&str>,
    step: i64,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE person SET totp = $2, totp_step = $3 WHERE name = $1")
        .bind(name)
        .bind(sealed)
        .bind(step)
        .execute(conn)
        .await?;
    Ok(())
}

/// Uses up a code's time step. False when it or a later one was used before.
pub(crate) async fn use_step(conn: &mut Connection, name: &str, step: i64) -> sqlx::Result<bool> {
    let done = sqlx::query("UPDATE person SET totp_step = $2 WHERE name = $1 AND totp_step < $2")
        .bind(name)
        .bind(step)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Until when a name is locked; none or a time that is over when it is not.
pub(crate) async fn locked_until(
    conn: &mut Connection,
    name_hash: &str,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("SELECT locked_until FROM login_failure WHERE name_hash = $1")
        .bind(name_hash)
        .fetch_optional(conn)
        .await
}

/// Counts a wrong password and returns how many there were in a row. Those of before `since` are
/// forgotten.
pub(crate) async fn count_failure(
    conn: &mut Connection,
    name_hash: &str,
    since: i64,
    now: i64,
) -> sqlx::Result<i64> {
    sqlx::query("DELETE FROM login_failure WHERE last_at < $1")
        .bind(since)
        .execute(&mut *conn)
        .await?;
    sqlx::query_scalar(
        "INSERT INTO login_failure (name_hash, failures, last_at, locked_until) \
         VALUES ($1, 1, $2, 0) ON CONFLICT (name_hash) DO UPDATE SET \
         failures = login_failure.failures + 1, last_at = excluded.last_at RETURNING failures",
    )
    .bind(name_hash)
    .bind(now)
    .fetch_one(conn)
    .await
}

pub(crate) async fn lock(conn: &mut Connection, name_hash: &str, until: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE login_failure SET locked_until = $2 WHERE name_hash = $1")
        .bind(name_hash)
        .bind(until)
        .execute(conn)
        .await?;
    Ok(())
}

pub(crate) async fn unlock(conn: &mut Connection, name_hash: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM login_failure WHERE name_hash = $1")
        .bind(name_hash)
        .execute(conn)
        .await?;
    Ok(())
}
