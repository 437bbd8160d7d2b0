//! Accounts of people whom the identity provider knows: made at the first login, with the role that
//! the provider gives at each.

use std::net::IpAddr;

use super::login::{self, Login};
use super::oidc::{self, Identity, Return};
use super::{Role, Stage};
use crate::admin::problem::Problem;
use crate::clock;
use crate::db::people::{self, PersonRow};
use crate::db::{Connection, accounts, audit, sign_ins};
use crate::secret::Secret;
use crate::state::Hub;

/// People of one provider that are called the same.
const NAMESAKES: usize = 50;

fn provider(hub: &Hub) -> Result<&oidc::Provider, Problem> {
    let none = || Problem::not_found("this hub has no identity provider");
    hub.oidc.as_ref().ok_or_else(none)
}

/// Begins a login that shall lead to `next`.
pub(crate) async fn begin(hub: &Hub, ip: IpAddr, next: &str) -> Result<oidc::Started, Problem> {
    let provider = provider(hub)?;
    let now = clock::now_ms();
    login::limit(hub, ip, now)?;
    let started = provider.start().await?;
    let id = oidc::id(started.secret.reveal());
    let mut tx = hub.db.begin().await?;
    sign_ins::insert(&mut tx, &id, next, now - oidc::WITHIN, now).await?;
    tx.commit().await?;
    Ok(started)
}

/// Ends a login that came back from the provider: the login of the hub, and where it leads to.
/// What came back is used up, whatever comes of it.
pub(crate) async fn finish(
    hub: &Hub,
    ip: IpAddr,
    secret: &Secret,
    back: Return,
) -> Result<(Login, String), Problem> {
    let provider = provider(hub)?;
    let now = clock::now_ms();
    provider.is_answer(secret.reveal(), &back)?;
    let mut tx = hub.db.begin().await?;
    let id = oidc::id(secret.reveal());
    let next = sign_ins::take(&mut tx, &id, now - oidc::WITHIN).await?;
    tx.commit().await?;
    let next = next.ok_or_else(|| {
        Problem::refused("this login took longer than ten minutes, or is done already; begin again")
    })?;
    let caller = crate::limit::caller(ip);
    let identity = match provider.finish(secret.reveal(), back).await {
        Ok(identity) => identity,
        Err(problem) => {
            let mut tx = hub.db.begin().await?;
            let object = format!("{caller} over {}", provider.name);
            audit::record(&mut tx, "unknown name", "login.refused", &object, now).await?;
            tx.commit().await?;
            return Err(problem);
        }
    };
    Ok((enter(hub, &caller, &identity).await?, next))
}

async fn enter(hub: &Hub, caller: &str, identity: &Identity) -> Result<Login, Problem> {
    let now = clock::now_ms();
    let mut tx = hub.db.begin().await?;
    let known = people::by_subject(&mut tx, &identity.issuer, &identity.subject).await?;
    let person = match known {
        Some(person) => follow(&mut tx, person, identity.role, now).await?,
        None => make(&mut tx, identity, now).await?,
    };
    if person.disabled_at.is_some() {
        return Err(Problem::refused(format!(
            "the account {} is closed; ask an admin of the hub",
            person.name
        )));
    }
    let login = login::open(hub, &mut tx, &person, Stage::Whole, now).await?;
    audit::record(&mut tx, &person.name, "login", caller, now).await?;
    tx.commit().await?;
    Ok(login)
}

/// Gives an account the role that the provider gives now.
async fn follow(
    conn: &mut Connection,
    mut person: PersonRow,
    role: Role,
    now: i64,
) -> Result<PersonRow, Problem> {
    if person.role != role.name() {
        people::set_role(conn, &person.name, role.name()).await?;
        accounts::end_logins(conn, &person.name, "").await?;
        let object = format!("{} {}", person.name, role.name());
        audit::record(conn, "provider", "person.role", &object, now).await?;
        role.name().clone_into(&mut person.role);
    }
    Ok(person)
}

async fn make(conn: &mut Connection, identity: &Identity, now: i64) -> Result<PersonRow, Problem> {
    let mut row = PersonRow {
        name: identity.name.clone(),
        role: identity.role.name().to_owned(),
        // No hash of any password.
        password: String::new(),
        must_change: 0,
        totp: None,
        created_at: now,
        disabled_at: None,
        issuer: Some(identity.issuer.clone()),
        subject: Some(identity.subject.clone()),
    };
    for number in 2..NAMESAKES {
        if people::insert(conn, &row).await? {
            let object = format!("{} {}", row.name, row.role);
            audit::record(conn, "provider", "person.add", &object, now).await?;
            return Ok(row);
        }
        row.name = format!("{number}.{}", identity.name);
    }
    Err(Problem::refused(format!(
        "no name is left for {}; ask an admin of the hub",
        identity.name
    )))
}
