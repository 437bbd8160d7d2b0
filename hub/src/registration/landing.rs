//! In which project a waiting host lands, and moving a host that has landed.

use crate::admin::hosts::{assign_in, pick};
use crate::admin::problem::Problem;
use crate::admin::types::ActRequest;
use crate::clock;
use crate::db::hosts::{self, HostRow, KeyRow};
use crate::db::preauths::PreauthRow;
use crate::db::tokens::TokenRow;
use crate::db::{Connection, assignments, audit, from_json, preauths, projects, tokens};
use crate::host_api::said_by;
use crate::people::Actor;
use crate::people::scope::{self, Scope};
use crate::state::Hub;

/// The project that a host is called into: by its token, which it proved, else by what was announced
/// of it. None while nobody called it: then whoever claims it says where it lands.
pub(crate) fn called_into<'a>(
    token: Option<&'a TokenRow>,
    announced: &'a [PreauthRow],
) -> Option<&'a str> {
    let by_token = token.map(|token| token.project.as_str());
    by_token.or_else(|| announced.first().map(|row| row.project.as_str()))
}

/// The same of a host that waits.
pub(crate) async fn of_waiting(
    conn: &mut Connection,
    host: &HostRow,
    key: &KeyRow,
    now: i64,
) -> sqlx::Result<Option<String>> {
    let token = match &host.token_id {
        Some(id) => tokens::get(conn, id).await?,
        None => None,
    };
    let said = said_by(&host.host_id, &from_json(&host.evidence)?, &key.thumbprint);
    let announced = preauths::matching(conn, &said, now).await?;
    Ok(called_into(token.as_ref(), &announced).map(str::to_owned))
}

/// Where a host that waits would land for the caller of `scope`: where it was called into, else where
/// the caller says.
///
/// # Errors
/// `missing` for a host of a project in which the caller has nothing to look for; 409 when it was
/// called into another project than the one that the caller names.
pub(crate) async fn of_claim(
    conn: &mut Connection,
    scope: &Scope,
    (host, key): (&HostRow, &KeyRow),
    asked: Option<&str>,
    missing: impl FnOnce() -> Problem,
) -> Result<String, Problem> {
    let home = match host.state.as_str() {
        "pending" => of_waiting(conn, host, key, clock::now_ms()).await?,
        _ => Some(host.project.clone()),
    };
    let Some(home) = home else {
        return scope.place(asked);
    };
    scope.admit(&home, missing)?;
    match asked.filter(|asked| !asked.is_empty() && *asked != home) {
        None => Ok(home),
        Some(_) => Err(elsewhere(&home)),
    }
}

/// What to say when a host was called into another project than somebody wants it in.
pub(super) fn elsewhere(home: &str) -> Problem {
    Problem::refused(format!(
        "a token or an announcement calls this host into the project `{home}`; let it in there, and \
         move it afterwards"
    ))
}

/// Moves a host into another project, in which the caller must be operator too. A host that has a
/// profile needs one of the new project in the same step: profiles are not shared, and a host that
/// nobody there may look after, or that has nothing to be, would be worse than none.
///
/// # Errors
/// 404 and 403 by the caller's roles, 409 when the state of the host does not allow it or it keeps a
/// profile of its old project.
pub(crate) async fn relocate(
    hub: &Hub,
    actor: &Actor,
    uid: &str,
    asked: &ActRequest,
) -> Result<(), Problem> {
    if asked.project.trim().is_empty() {
        return Err(Problem::bad_input("say where to, with `project`"));
    }
    let to = actor.scope.place(Some(&asked.project))?;
    let now = clock::now_ms();
    let mut tx = hub.db.begin().await?;
    let missing = || Problem::not_found(format!("no host has the uid `{uid}`"));
    let host = hosts::get(&mut tx, uid).await?.ok_or_else(missing)?;
    actor.scope.admit(&host.project, missing)?;
    if !projects::exists(&mut tx, &to).await? {
        return Err(scope::unknown(&to));
    }
    if host.project == to {
        return Err(Problem::refused(format!("host {uid} is in `{to}` already")));
    }
    let advice = match host.state.as_str() {
        "pending" => "approve it with `project` instead",
        "quarantined" => "say first which of its machines is the host",
        _ => "",
    };
    if !advice.is_empty() {
        let detail = format!("host {uid} is {}: {advice}", host.state);
        return Err(Problem::refused(detail));
    }
    give_profile(hub, &mut tx, actor, &host, (&to, &asked.profile)).await?;
    hosts::set_project(&mut tx, uid, &to).await?;
    // Its token is of the old project: it must not bring another key in any more.
    hosts::settle(&mut tx, uid).await?;
    let object = format!("{uid} {} {to}", host.project);
    audit::record(&mut tx, &actor.name, "host.move", &object, now).await?;
    tx.commit().await?;
    hub.wake();
    Ok(())
}

/// What a host that moves shall be from then on.
async fn give_profile(
    hub: &Hub,
    conn: &mut Connection,
    actor: &Actor,
    host: &HostRow,
    (to, profile): (&str, &str),
) -> Result<(), Problem> {
    let lives = host.state == "accepted";
    let held = assignments::current(conn, &host.uid).await?;
    match (
        held.filter(|_| lives),
        Some(profile).filter(|it| !it.is_empty()),
    ) {
        (None, None) => Ok(()),
        (_, Some(_)) if !lives => Err(Problem::refused(format!(
            "host {} is {}: it gets no profile",
            host.uid, host.state
        ))),
        (_, Some(named)) => {
            let version = pick(hub, conn, actor, to, named).await?;
            assign_in(conn, actor, &host.uid, version, None).await?;
            Ok(())
        }
        (Some(held), None) => Err(Problem::refused(format!(
            "host {} shall be {}@{}, a profile of the project `{}`; name with `profile` which one of \
             `{to}` it shall be from then on",
            host.uid, held.profile, held.version, host.project
        ))),
    }
}
