//! What admins do with the accounts of others.

use super::{Actor, Role, password};
use crate::admin::problem::Problem;
use crate::clock;
use crate::db::people::{self, PersonRow};
use crate::db::{Connection, accounts, audit, recovery};
use crate::projects::{self, Subject};
use crate::secret::{Secret, random_text, sha256};
use crate::state::Hub;

/// One change of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Role(Role),
    /// A new first password.
    Reset,
    /// Forgets wrong passwords.
    Unlock,
    /// Forgets the seed of one-time codes and the recovery codes, for somebody who lost both.
    ForgetCode,
    Close,
    Open,
}

impl Change {
    /// The change that a path or a form names.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "reset" => Self::Reset,
            "unlock" => Self::Unlock,
            "forget-code" => Self::ForgetCode,
            "close" => Self::Close,
            "open" => Self::Open,
            name => Self::Role(Role::parse(name)?),
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Role(_) => "person.role",
            Self::Reset => "person.reset",
            Self::Unlock => "person.unlock",
            Self::ForgetCode => "person.forget-code",
            Self::Close => "person.close",
            Self::Open => "person.open",
        }
    }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_@".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if name.len() <= 64 && begins && name.chars().all(fine) {
        return Ok(());
    }
    Err(Problem::bad_input(
        "a name has 1 to 64 of a-z, 0-9 and `.-_@`, and begins with a letter or a digit",
    ))
}

/// Makes an account with a role in all projects or in one, and returns its first password, which the
/// person has to change.
pub(crate) async fn add(
    hub: &Hub,
    actor: &Actor,
    name: &str,
    role: Role,
    project: Option<&str>,
) -> Result<Secret, Problem> {
    check_name(name)?;
    let project = project.filter(|it| !it.is_empty());
    let everywhere = match project {
        Some(_) => Role::None,
        None => role,
    };
    let now = clock::now_ms();
    let first = Secret::new(random_text()?);
    let row = PersonRow {
        name: name.to_owned(),
        role: everywhere.name().to_owned(),
        password: password::hash_slowly(hub, &first).await?,
        must_change: 1,
        totp: None,
        created_at: now,
        disabled_at: None,
        issuer: None,
        subject: None,
    };
    let mut tx = hub.db.begin().await?;
    if !people::insert(&mut tx, &row).await? {
        return Err(Problem::refused(format!("the name {name} is taken")));
    }
    let mut object = format!("{name} {}", role.name());
    if let Some(project) = project {
        projects::bind(&mut tx, Subject::Person(name), project, role).await?;
        object = format!("{object} in {project}");
    }
    audit::record(&mut tx, &actor.name, "person.add", &object, now).await?;
    tx.commit().await?;
    Ok(first)
}

/// Changes an account. A reset returns the new first password.
pub(crate) async fn change(
    hub: &Hub,
    actor: &Actor,
    name: &str,
    change: Change,
) -> Result<Option<Secret>, Problem> {
    let now = clock::now_ms();
    let first = match change {
        Change::Reset => Some(Secret::new(random_text()?)),
        _ => None,
    };
    let hash = match &first {
        Some(first) => Some(password::hash_slowly(hub, first).await?),
        None => None,
    };
    let mut tx = hub.db.begin().await?;
    let person = people::get(&mut tx, name)
        .await?
        .ok_or_else(|| Problem::not_found(format!("nobody is called `{name}`")))?;
    keep_an_admin(&mut tx, &person, change).await?;
    leave_to_provider(&person, change)?;
    match change {
        Change::Role(role) => people::set_role(&mut tx, name, role.name()).await?,
        Change::Reset => {
            let hash = hash.ok_or_else(|| anyhow::anyhow!("a reset without a password"))?;
            people::set_password(&mut tx, name, &hash, true).await?;
            people::unlock(&mut tx, &sha256(name.as_bytes())).await?;
        }
        Change::Unlock => people::unlock(&mut tx, &sha256(name.as_bytes())).await?,
        Change::ForgetCode => {
            people::set_totp(&mut tx, name, None, 0).await?;
            recovery::forget(&mut tx, name).await?;
        }
        Change::Close => people::set_disabled(&mut tx, name, Some(now)).await?,
        Change::Open => people::set_disabled(&mut tx, name, None).await?,
    }
    if !matches!(change, Change::Unlock | Change::Open) {
        // A login keeps nothing of what its person no longer is.
        accounts::end_logins(&mut tx, name, "").await?;
    }
    let object = match change {
        Change::Role(role) => format!("{name} {}", role.name()),
        _ => name.to_owned(),
    };
    audit::record(&mut tx, &actor.name, change.name(), &object, now).await?;
    tx.commit().await?;
    Ok(first)
}

/// What the provider of a person says, and nobody here.
fn leave_to_provider(person: &PersonRow, change: Change) -> Result<(), Problem> {
    let theirs = matches!(change, Change::Role(_) | Change::Reset | Change::ForgetCode);
    match &person.issuer {
        Some(issuer) if theirs => Err(Problem::refused(format!(
            "role and login of {} come from {issuer}; change them there, or close the account",
            person.name
        ))),
        _ => Ok(()),
    }
}

/// The last admin stays one: nobody could undo it.
async fn keep_an_admin(
    conn: &mut Connection,
    person: &PersonRow,
    change: Change,
) -> Result<(), Problem> {
    let ends = match change {
        Change::Close => true,
        Change::Role(role) => role != Role::Admin,
        _ => false,
    };
    let is_admin = person.role == Role::Admin.name()
        && person.disabled_at.is_none()
        && person.issuer.is_none();
    if ends && is_admin && people::count_admins(conn).await? == 1 {
        let detail = format!("{} is the last admin; make another one first", person.name);
        return Err(Problem::refused(detail));
    }
    Ok(())
}
