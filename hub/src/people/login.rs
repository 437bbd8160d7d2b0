//! Logging in: password, one-time code, lock-out, and the login that a cookie stands for.

use std::net::IpAddr;

use axum::http::StatusCode;

use super::{Actor, Role, Stage, code, password, recovery};
use crate::admin::problem::Problem;
use crate::clock;
use crate::codes::ProblemCode;
use crate::db::accounts::{self, LoginRow};
use crate::db::people::{self, PersonRow};
use crate::db::{Connection, audit};
use crate::secret::{Secret, random_text, sha256};
use crate::serve::ADMIN;
use crate::state::Hub;

/// A login ends when nobody used it for so long, milliseconds.
pub(crate) const IDLE: i64 = 30 * 60_000;
/// A login ends after so long, milliseconds.
pub(crate) const WHOLE: i64 = 12 * 3_600_000;
/// Wrong passwords or codes in a row before a name is locked.
const TRIES: i64 = 5;
/// Milliseconds; doubled by every further one.
const FIRST_LOCK: i64 = 60_000;
const LONGEST_LOCK: i64 = 3_600_000;
/// Wrong ones of before are forgotten, milliseconds.
const REMEMBERED: i64 = 24 * 3_600_000;

/// In the audit log for a name that nobody has: it may be a password in the wrong field.
const UNKNOWN: &str = "unknown name";

/// A login that was opened.
#[derive(Debug)]
pub(crate) struct Login {
    /// For the cookie, or for `Authorization: Bearer`.
    pub(crate) bearer: Secret,
    pub(crate) stage: Stage,
    pub(crate) role: Role,
}

/// Every write by cookie must carry this; it needs no place of its own in the database.
pub(crate) fn csrf(bearer: &str) -> String {
    sha256(format!("csrf {bearer}").as_bytes())
}

/// Checks a name and a password and opens a login. The limit counts every try of an address.
pub(crate) async fn log_in(
    hub: &Hub,
    ip: IpAddr,
    name: &str,
    password: &Secret,
) -> Result<Login, Problem> {
    let now = clock::now_ms();
    let caller = limit(hub, ip, now)?;
    if !hub.settings.local_accounts && name != ADMIN {
        return Err(Problem::refused(format!(
            "on this hub passwords are for the account `{ADMIN}` only; log in over the provider"
        )));
    }
    let mut conn = hub.db.reader().acquire().await?;
    let free = refuse_locked(&mut conn, name, now).await;
    let person = people::get(&mut conn, name).await?;
    drop(conn);
    if let Err(problem) = free {
        return Err(note_locked(hub, person.as_ref(), &caller, problem).await?);
    }
    let person = person.filter(|person| person.disabled_at.is_none() && person.issuer.is_none());
    let stored = person.as_ref().map(|person| person.password.clone());
    let right = password::is_right(hub, stored, password).await?;
    let Some(person) = person.filter(|_| right) else {
        return Err(count_wrong(hub, name, &caller, "the name or the password is wrong").await?);
    };
    let mut tx = hub.db.begin().await?;
    let stage = if person.totp.is_some() {
        Stage::Code
    } else {
        people::unlock(&mut tx, &sha256(name.as_bytes())).await?;
        after_code(&person)
    };
    let login = open(hub, &mut tx, &person, stage, now).await?;
    audit::record(&mut tx, &person.name, "login", &caller, now).await?;
    tx.commit().await?;
    Ok(login)
}

/// Counts a try of an address; the address as limits and the audit log name it.
pub(super) fn limit(hub: &Hub, ip: IpAddr, now: i64) -> Result<String, Problem> {
    let caller = crate::limit::caller(ip);
    hub.limits.login.take(&caller, now).map_err(|seconds| {
        let detail = format!("too many logins from your address; come back in {seconds} s");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, ProblemCode::Limited, detail)
    })?;
    Ok(caller)
}

/// The second step of a login: the one-time code, or a recovery code. The login gets a new secret.
pub(crate) async fn enter_code(
    hub: &Hub,
    ip: IpAddr,
    name: &str,
    login: &str,
    sent: &str,
) -> Result<Login, Problem> {
    let now = clock::now_ms();
    let mut tx = hub.db.begin().await?;
    refuse_locked(&mut tx, name, now).await?;
    let person = own(&mut tx, name).await?;
    if recovery::spend(&mut tx, name, sent).await? {
        audit::record(&mut tx, name, "login.recovery-code", name, now).await?;
    } else if !use_code(hub, &mut tx, &person, sent, now).await? {
        drop(tx);
        let caller = crate::limit::caller(ip);
        return Err(count_wrong(hub, name, &caller, "the code is wrong or was used before").await?);
    }
    people::unlock(&mut tx, &sha256(name.as_bytes())).await?;
    accounts::end_login(&mut tx, login).await?;
    let login = open(hub, &mut tx, &person, after_code(&person), now).await?;
    tx.commit().await?;
    Ok(login)
}

/// Whether a code is right; a right one is used up.
pub(crate) async fn use_code(
    hub: &Hub,
    conn: &mut Connection,
    person: &PersonRow,
    sent: &str,
    now: i64,
) -> Result<bool, Problem> {
    let Some(sealed) = &person.totp else {
        return Ok(false);
    };
    if !hub.seed_key.opens(&person.name, sealed) {
        return Err(unreadable(&person.name));
    }
    match code::step_of(&hub.seed_key, &person.name, sealed, sent, now)? {
        Some(step) => Ok(people::use_step(conn, &person.name, step).await?),
        None => Ok(false),
    }
}

/// The hub lost the key of the seeds: no code can be right.
fn unreadable(name: &str) -> Problem {
    tracing::warn!(
        "the code of {name} cannot be checked: {} was lost",
        code::FILE
    );
    Problem::refused(format!(
        "this hub lost the key of your one-time codes ({}) and cannot check them: enter a recovery \
         code, or ask an admin for `burin-hub person forget-code {name}`, which works on the hub's \
         own machine with --data DIR, too",
        code::FILE
    ))
}

/// Changes one's own password. Every other login of the person ends, and this one gets a new
/// secret.
pub(crate) async fn change_password(
    hub: &Hub,
    ip: IpAddr,
    actor: &Actor,
    old: &Secret,
    new: &Secret,
) -> Result<Login, Problem> {
    let now = clock::now_ms();
    let name = actor.person().ok_or_else(|| {
        Problem::refused("an API key has no password; log in as the person who wants to change it")
    })?;
    let mut conn = hub.db.reader().acquire().await?;
    refuse_locked(&mut conn, name, now).await?;
    let person = own(&mut conn, name).await?;
    drop(conn);
    refuse_external(&person)?;
    if !password::is_right(hub, Some(person.password.clone()), old).await? {
        let caller = crate::limit::caller(ip);
        return Err(count_wrong(hub, name, &caller, "the present password is wrong").await?);
    }
    password::check_new(name, old, new)?;
    let hash = password::hash_slowly(hub, new).await?;
    let mut tx = hub.db.begin().await?;
    people::set_password(&mut tx, name, &hash, false).await?;
    accounts::end_logins(&mut tx, name, "").await?;
    let login = open(hub, &mut tx, &person, Stage::Whole, now).await?;
    audit::record(&mut tx, name, "password.change", name, now).await?;
    tx.commit().await?;
    Ok(login)
}

/// Whoever logs in over a provider has no password and no codes here.
pub(crate) fn refuse_external(person: &PersonRow) -> Result<(), Problem> {
    match &person.issuer {
        None => Ok(()),
        Some(issuer) => Err(Problem::refused(format!(
            "you log in over {issuer}: password and second factor are kept there"
        ))),
    }
}

/// The account of somebody who is logged in.
pub(crate) async fn own(conn: &mut Connection, name: &str) -> Result<PersonRow, Problem> {
    let person = people::get(conn, name).await?;
    person
        .filter(|person| person.disabled_at.is_none())
        .ok_or_else(|| Problem::refused(format!("the account {name} is closed")))
}

fn after_code(person: &PersonRow) -> Stage {
    if person.must_change == 0 {
        Stage::Whole
    } else {
        Stage::Password
    }
}

/// How far a login has come that would be at `stage` by itself.
pub(crate) fn stage_now(hub: &Hub, role: Role, has_codes: bool, stage: Stage) -> Stage {
    let asked = hub.settings.admins_need_codes && role == Role::Admin && !has_codes;
    if asked && stage == Stage::Whole {
        Stage::Enroll
    } else {
        stage
    }
}

/// Opens a login that has come as far as `stage`.
pub(super) async fn open(
    hub: &Hub,
    conn: &mut Connection,
    person: &PersonRow,
    stage: Stage,
    now: i64,
) -> Result<Login, Problem> {
    let bearer = random_text()?;
    let row = LoginRow {
        id_hash: sha256(bearer.as_bytes()),
        person: person.name.clone(),
        role: person.role.clone(),
        stage: stage.name().to_owned(),
        created_at: now,
        seen_at: now,
        has_codes: i64::from(person.has_codes()),
    };
    accounts::forget_logins(conn, now - IDLE, now - WHOLE).await?;
    accounts::insert_login(conn, &row).await?;
    let role = Role::parse(&person.role).unwrap_or(Role::Viewer);
    Ok(Login {
        bearer: Secret::new(bearer),
        stage: stage_now(hub, role, person.has_codes(), stage),
        role,
    })
}

fn locked(until: i64, now: i64) -> Problem {
    let minutes = (until - now + 59_999) / 60_000;
    let detail = format!(
        "too many wrong passwords for this name: it is locked for {minutes} more min; \
         an admin can unlock it"
    );
    Problem::new(StatusCode::LOCKED, ProblemCode::Locked, detail)
}

async fn refuse_locked(conn: &mut Connection, name: &str, now: i64) -> Result<(), Problem> {
    match people::locked_until(conn, &sha256(name.as_bytes())).await? {
        Some(until) if until > now => Err(locked(until, now)),
        _ => Ok(()),
    }
}

/// Somebody goes on at a locked name: the audit log says from where.
async fn note_locked(
    hub: &Hub,
    person: Option<&PersonRow>,
    caller: &str,
    problem: Problem,
) -> Result<Problem, Problem> {
    let actor = person.map_or(UNKNOWN, |person| person.name.as_str());
    let mut tx = hub.db.begin().await?;
    audit::record(
        &mut tx,
        actor,
        "login.while-locked",
        caller,
        clock::now_ms(),
    )
    .await?;
    tx.commit().await?;
    Ok(problem)
}

/// Counts a wrong password or code and says so. Names that nobody has are locked like others, so
/// that a lock does not tell which exist.
async fn count_wrong(hub: &Hub, name: &str, caller: &str, wrong: &str) -> Result<Problem, Problem> {
    let now = clock::now_ms();
    let name_hash = sha256(name.as_bytes());
    let mut tx = hub.db.begin().await?;
    // A password typed into the field of the name must not end up in the audit log.
    let actor = match people::get(&mut tx, name).await? {
        Some(person) => person.name,
        None => UNKNOWN.to_owned(),
    };
    let failures = people::count_failure(&mut tx, &name_hash, now - REMEMBERED, now).await?;
    audit::record(&mut tx, &actor, "login.wrong", caller, now).await?;
    let mut problem = Problem::new(StatusCode::UNAUTHORIZED, ProblemCode::Unauthorized, wrong);
    if failures >= TRIES {
        let until = now + lock_time(failures);
        people::lock(&mut tx, &name_hash, until).await?;
        audit::record(&mut tx, &actor, "login.locked", caller, now).await?;
        problem = locked(until, now);
    }
    tx.commit().await?;
    Ok(problem)
}

/// How long a name is locked after so many wrong passwords in a row, milliseconds.
fn lock_time(failures: i64) -> i64 {
    let doublings = u32::try_from((failures - TRIES).clamp(0, 10)).unwrap_or(10);
    (FIRST_LOCK << doublings).min(LONGEST_LOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_double_up_to_an_hour() {
        for (failures, minutes) in [(5, 1), (6, 2), (7, 4), (10, 32), (11, 60), (i64::MAX, 60)] {
            assert_eq!(lock_time(failures), minutes * 60_000, "{failures}");
        }
    }
}
