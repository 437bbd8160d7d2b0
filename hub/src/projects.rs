//! Projects: hosts, tokens, announcements, claims and profiles that belong together, and who has a
//! role in one of them only.

use burin_core::display::counted;

use crate::admin::problem::Problem;
use crate::clock;
use crate::db::projects::{self, BindingRow, Content, ProjectRow};
use crate::db::{Connection, accounts, audit, people, profiles};
use crate::people::scope::{self, DEFAULT};
use crate::people::{Actor, Role};
use crate::state::Hub;

/// Longest name, bytes.
const LONGEST_NAME: usize = 32;

/// Makes a project.
///
/// # Errors
/// 422 for a name that cannot be one, 409 for one that is taken.
pub(crate) async fn create(hub: &Hub, actor: &Actor, name: &str) -> Result<ProjectRow, Problem> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if name.len() > LONGEST_NAME || !begins || !name.chars().all(fine) {
        return Err(Problem::bad_input(format!(
            "a project's name has 1 to {LONGEST_NAME} of a-z, 0-9 and `-`, and begins with a letter or \
             a digit"
        )));
    }
    let row = ProjectRow {
        name: name.to_owned(),
        created_at: clock::now_ms(),
        created_by: actor.name.clone(),
    };
    let mut tx = hub.db.begin().await?;
    if !projects::insert(&mut tx, &row).await? {
        return Err(Problem::refused(format!("the name {name} is taken")));
    }
    audit::record(&mut tx, &actor.name, "project.create", name, row.created_at).await?;
    tx.commit().await?;
    Ok(row)
}

/// Removes a project in which nothing is left, and the roles in it.
///
/// # Errors
/// 404 for an unknown one, 409 with what is in it.
pub(crate) async fn remove(hub: &Hub, actor: &Actor, name: &str) -> Result<(), Problem> {
    if name == DEFAULT {
        let detail = "the project `default` stays: what is called into no other one lands there";
        return Err(Problem::refused(detail));
    }
    let now = clock::now_ms();
    let mut tx = hub.db.begin().await?;
    if !projects::exists(&mut tx, name).await? {
        return Err(scope::unknown(name));
    }
    let inside = said(&projects::content(&mut tx, name, now).await?);
    if !inside.is_empty() {
        let detail = format!("the project `{name}` is not empty: {}", inside.join("; "));
        return Err(Problem::refused(detail));
    }
    projects::remove(&mut tx, name).await?;
    audit::record(&mut tx, &actor.name, "project.remove", name, now).await?;
    tx.commit().await?;
    Ok(())
}

/// What is in a project at this moment.
pub(crate) async fn holds(hub: &Hub, name: &str) -> sqlx::Result<Content> {
    let mut conn = hub.db.reader().acquire().await?;
    projects::content(&mut conn, name, clock::now_ms()).await
}

/// What is in a project, and what to do with it.
fn said(content: &Content) -> Vec<String> {
    let parts = [
        (content.hosts, "host, move it", "hosts, move them"),
        (
            content.profiles,
            "profile, which stays for ever",
            "profiles, which stay for ever",
        ),
        (
            content.tokens,
            "token that lets hosts in, revoke it",
            "tokens that let hosts in, revoke them",
        ),
        (
            content.preauths,
            "announced host, withdraw it",
            "announced hosts, withdraw them",
        ),
        (
            content.claims,
            "claim, which ends within a day",
            "claims, which end within a day",
        ),
    ];
    let parts = parts.into_iter().filter(|(count, ..)| *count > 0);
    parts
        .map(|(count, one, many)| counted(count, one, many))
        .collect()
}

/// Makes sure, in a transaction that puts something into a project, that the project is still there
/// and that the profile which comes with it is one of its own.
///
/// # Errors
/// 404 for the project, 422 for the profile.
pub(crate) async fn hold(
    conn: &mut Connection,
    project: &str,
    profile: Option<&str>,
) -> Result<(), Problem> {
    if !projects::exists(conn, project).await? {
        return Err(scope::unknown(project));
    }
    let Some(profile) = profile else {
        return Ok(());
    };
    if profiles::project_of(conn, profile).await?.as_deref() == Some(project) {
        return Ok(());
    }
    let place = match project {
        DEFAULT => String::new(),
        project => format!(" in the project `{project}`"),
    };
    let detail = format!("no profile{place} is called `{profile}`; publish it first");
    Err(Problem::bad_input(detail))
}

/// Whose role it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// By name.
    Person(&'a str),
    /// By id.
    Key(&'a str),
}

/// Gives a role in one project, in a transaction of the caller's; `none` takes it away.
///
/// # Errors
/// 404 for an unknown project, 422 for `admin`.
pub(crate) async fn bind(
    conn: &mut Connection,
    subject: Subject<'_>,
    project: &str,
    role: Role,
) -> Result<(), Problem> {
    if role == Role::Admin {
        let detail = "admins are admins of the whole hub: people, keys and registries are not of one \
                      project; make it operator there";
        return Err(Problem::bad_input(detail));
    }
    if !projects::exists(conn, project).await? {
        return Err(scope::unknown(project));
    }
    let (kind, subject) = match subject {
        Subject::Person(name) => ("person", name),
        Subject::Key(id) => ("key", id),
    };
    if role == Role::None {
        if !projects::unbind(conn, kind, subject, project).await? {
            let detail = format!("there is no role of {subject} in the project `{project}`");
            return Err(Problem::not_found(detail));
        }
        return Ok(());
    }
    let row = BindingRow {
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        project: project.to_owned(),
        role: role.name().to_owned(),
    };
    Ok(projects::bind(conn, &row).await?)
}

/// Gives a person a role in one project; `none` takes it away. Every login of the person ends.
///
/// # Errors
/// 404 for an unknown person or project, 422 for `admin`.
pub(crate) async fn give_role(
    hub: &Hub,
    actor: &Actor,
    name: &str,
    project: &str,
    role: Role,
) -> Result<(), Problem> {
    let mut tx = hub.db.begin().await?;
    if people::get(&mut tx, name).await?.is_none() {
        return Err(Problem::not_found(format!("nobody is called `{name}`")));
    }
    bind(&mut tx, Subject::Person(name), project, role).await?;
    accounts::end_logins(&mut tx, name, "").await?;
    let object = format!("{name} {} in {project}", role.name());
    let now = clock::now_ms();
    audit::record(&mut tx, &actor.name, "person.role", &object, now).await?;
    tx.commit().await?;
    Ok(())
}
