//! Projects, and roles in one of them.

use sqlx::FromRow;

use super::{Connection, Db};

/// One project.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct ProjectRow {
    pub(crate) name: String,
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
}

/// A role in one project.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct BindingRow {
    /// `person` or `key`.
    pub(crate) kind: String,
    /// Name of the person, id of the key.
    pub(crate) subject: String,
    pub(crate) project: String,
    pub(crate) role: String,
}

/// False when the name is taken.
pub(crate) async fn insert(conn: &mut Connection, row: &ProjectRow) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "INSERT INTO project (name, created_at, created_by) VALUES ($1, $2, $3) \
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(&row.name)
    .bind(row.created_at)
    .bind(&row.created_by)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether it is there, also when another transaction has just ended.
pub(crate) async fn exists(conn: &mut Connection, name: &str) -> sqlx::Result<bool> {
    let found: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM project WHERE name = $1")
        .bind(name)
        .fetch_one(conn)
        .await?;
    Ok(found > 0)
}

pub(crate) async fn list(db: &Db) -> sqlx::Result<Vec<ProjectRow>> {
    sqlx::query_as("SELECT * FROM project ORDER BY name")
        .fetch_all(db.reader())
        .await
}

/// Their names, in order.
pub(crate) async fn names(db: &Db) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("SELECT name FROM project ORDER BY name")
        .fetch_all(db.reader())
        .await
}

/// What a project holds, as numbers.
#[derive(Debug, Clone, Copy, FromRow)]
pub(crate) struct Content {
    pub(crate) hosts: i64,
    pub(crate) profiles: i64,
    /// Tokens that still let hosts in.
    pub(crate) tokens: i64,
    /// Announcements that still wait for their host.
    pub(crate) preauths: i64,
    /// Claims that still wait for theirs.
    pub(crate) claims: i64,
}

pub(crate) async fn content(conn: &mut Connection, name: &str, now: i64) -> sqlx::Result<Content> {
    sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM host WHERE project = $1) AS hosts, \
         (SELECT COUNT(*) FROM profile WHERE project = $1) AS profiles, \
         (SELECT COUNT(*) FROM token WHERE project = $1 AND used < uses AND revoked_at IS NULL \
         AND expires_at > $2) AS tokens, \
         (SELECT COUNT(*) FROM preauth WHERE project = $1 AND host_uid IS NULL \
         AND expires_at > $2) AS preauths, \
         (SELECT COUNT(*) FROM claim WHERE project = $1 AND expires_at > $2) AS claims",
    )
    .bind(name)
    .bind(now)
    .fetch_one(conn)
    .await
}

/// Removes a project with what is over in it, and the roles in it: another project of this name
/// shall begin with nothing.
pub(crate) async fn remove(conn: &mut Connection, name: &str) -> sqlx::Result<()> {
    for text in [
        "DELETE FROM role_binding WHERE project = $1",
        "DELETE FROM token WHERE project = $1",
        "DELETE FROM preauth WHERE project = $1",
        "DELETE FROM claim WHERE project = $1",
        "DELETE FROM project WHERE name = $1",
    ] {
        sqlx::query(text).bind(name).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Gives a role in one project, in place of the one of before.
pub(crate) async fn bind(conn: &mut Connection, row: &BindingRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO role_binding (kind, subject, project, role) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (kind, subject, project) DO UPDATE SET role = excluded.role",
    )
    .bind(&row.kind)
    .bind(&row.subject)
    .bind(&row.project)
    .bind(&row.role)
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes the role in one project away. False when there was none.
pub(crate) async fn unbind(
    conn: &mut Connection,
    kind: &str,
    subject: &str,
    project: &str,
) -> sqlx::Result<bool> {
    let text = "DELETE FROM role_binding WHERE kind = $1 AND subject = $2 AND project = $3";
    let done = sqlx::query(text)
        .bind(kind)
        .bind(subject)
        .bind(project)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The roles that somebody has in single projects.
pub(crate) async fn of(db: &Db, kind: &str, subject: &str) -> sqlx::Result<Vec<BindingRow>> {
    sqlx::query_as("SELECT * FROM role_binding WHERE kind = $1 AND subject = $2 ORDER BY project")
        .bind(kind)
        .bind(subject)
        .fetch_all(db.reader())
        .await
}

/// All of one kind.
pub(crate) async fn bindings(db: &Db, kind: &str) -> sqlx::Result<Vec<BindingRow>> {
    sqlx::query_as("SELECT * FROM role_binding WHERE kind = $1 ORDER BY subject, project")
        .bind(kind)
        .fetch_all(db.reader())
        .await
}
