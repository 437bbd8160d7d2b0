//! Claims: a technician scans the QR code or types the code of a host, and tells the number on its
//! screen. Each function takes the account that asks; it sees only what it claimed, and claims into
//! projects in which it may.

mod hurdles;

use axum::http::StatusCode;
use burin_api::claim::{ClaimLink, KeyLabel};
use burin_api::host::Evidence;
use burin_api::{claim, code};
use burin_core::display::counted;
use burin_core::identity::HostId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::refused::audited;
use super::{challenge, decide, landing};
use crate::admin::problem::Problem;
use crate::clock;
use crate::codes::ProblemCode;
use crate::db::claims::{self, ClaimRow};
use crate::db::hosts::{self, HostRow, KeyRow};
use crate::db::{Connection, Writing, audit, from_json};
use crate::people::Actor;
use crate::state::Hub;
use hurdles::{may_guess, open_to_claims, unblocked};

/// How long a claim waits for its host, milliseconds.
const LIFETIME: i64 = 24 * 3_600_000;

/// What a claim shows of its host.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ClaimInfo {
    /// Label of the host's key, 26 characters: names the claim.
    pub(crate) key: String,
    /// The same in groups of four, as on the host's screen.
    pub(crate) key_shown: String,
    pub(crate) host_id: String,
    /// `waiting` until the host calls, `number` while its number is asked for, `stopped` when
    /// something else is in the way, `accepted`, `rejected`.
    pub(crate) state: String,
    /// Machine code of the state; may be empty.
    pub(crate) reason: String,
    /// Names the host once it is accepted.
    pub(crate) host_uid: Option<String>,
    pub(crate) vendor: String,
    pub(crate) product: String,
    pub(crate) serial: String,
    pub(crate) address: String,
    /// Milliseconds since 1970; none before its first call.
    pub(crate) first_seen: Option<i64>,
    /// Wrong numbers until the screen shows another one.
    pub(crate) tries_left: i64,
    pub(crate) expires_at: i64,
}

/// Claims a host by what follows `/R/` in its link. It need not have called yet.
///
/// # Errors
/// 422 for another text, 409 for a host that is in the fleet or was turned away.
pub(crate) async fn by_link(
    hub: &Hub,
    actor: &Actor,
    link: &str,
    project: Option<&str>,
) -> Result<ClaimInfo, Problem> {
    let done = scanned(hub, actor, link, project).await;
    audited(hub, &actor.name, "claim.refused", "", done).await
}

async fn scanned(
    hub: &Hub,
    actor: &Actor,
    link: &str,
    project: Option<&str>,
) -> Result<ClaimInfo, Problem> {
    let text = link.rsplit("/R/").next().unwrap_or(link);
    let text = text.rsplit("/r/").next().unwrap_or(text);
    let link = ClaimLink::parse(text).map_err(|err| Problem::bad_input(err.to_string()))?;
    let host_id: HostId = link
        .host_id
        .parse()
        .map_err(|_| Problem::bad_input(claim::ClaimError::Link.to_string()))?;
    let mut tx = hub.db.begin().await?;
    let known = known(&mut tx, &link.key).await?;
    let project = match &known {
        None => actor.scope.place(project)?,
        Some((host, key)) => {
            landing::of_claim(&mut tx, &actor.scope, (host, key), project, nobodys).await?
        }
    };
    if let Some((host, _)) = &known {
        open_to_claims(&mut tx, host).await?;
        if host.host_id != host_id.to_string() {
            let detail = "the link is not of this host; scan it again";
            return Err(Problem::new(
                StatusCode::CONFLICT,
                ProblemCode::WrongHost,
                detail,
            ));
        }
    }
    let row = row(&actor.name, &link.key, &host_id.to_string(), "qr");
    let row = ClaimRow {
        project,
        provisional: i64::from(known.is_none()),
        waived: i64::from(known.is_none() && hub.settings.claims_without_number),
        ..row
    };
    begin(hub, tx, &row).await
}

/// Claims the pending host that shows this code.
///
/// # Errors
/// 404 for a code that no host shows, 429 after five wrong ones in ten minutes.
pub(crate) async fn by_code(
    hub: &Hub,
    actor: &Actor,
    typed: &str,
    project: Option<&str>,
) -> Result<ClaimInfo, Problem> {
    let done = coded(hub, actor, typed, project).await;
    audited(hub, &actor.name, "claim.refused", "", done).await
}

async fn coded(
    hub: &Hub,
    actor: &Actor,
    typed: &str,
    project: Option<&str>,
) -> Result<ClaimInfo, Problem> {
    let now = clock::now_ms();
    let account = &actor.name;
    let mut tx = hub.db.begin().await?;
    may_guess(&mut tx, account, now).await?;
    let found = match code::typed(typed) {
        Some(code) => challenge::host_with(&mut tx, &hub.vault, &code, now).await?,
        None => None,
    };
    let Some(found) = found else {
        return Err(wrong_code(tx, account, now).await?);
    };
    let host = hosts::get(&mut tx, &found)
        .await?
        .ok_or_else(|| anyhow::anyhow!("the host of a challenge is gone"))?;
    let key = decide::key_of(&mut tx, &host.uid).await?;
    let scope = &actor.scope;
    let landed = landing::of_claim(&mut tx, scope, (&host, &key), project, unknown_code).await;
    let project = match landed {
        // A host that was called elsewhere is no more to be found than one that is not there.
        Err(problem) if problem.code == UNKNOWN_CODE => {
            return Err(wrong_code(tx, account, now).await?);
        }
        landed => landed?,
    };
    open_to_claims(&mut tx, &host).await?;
    let label = KeyLabel::of(&key.thumbprint).map_err(anyhow::Error::from)?;
    let row = ClaimRow {
        project,
        ..row(account, &label, &host.host_id, "code")
    };
    begin(hub, tx, &row).await
}

const UNKNOWN_CODE: &str = ProblemCode::UnknownCode.name();

fn unknown_code() -> Problem {
    let detail = "no host shows this code now; read it again, codes change every 15 minutes";
    Problem::new(StatusCode::NOT_FOUND, ProblemCode::UnknownCode, detail)
}

/// Counts a wrong code and says so.
async fn wrong_code(mut tx: Writing, account: &str, now: i64) -> Result<Problem, Problem> {
    challenge::guessed_wrong(&mut tx, account, now).await?;
    audit::record(&mut tx, account, "claim.wrong_code", "", now).await?;
    tx.commit().await?;
    Ok(unknown_code())
}

/// What to say of a host of a project in which the caller has nothing to look for.
fn nobodys() -> Problem {
    Problem::not_found("no host that you may claim has this key; ask an admin of the hub")
}

/// The claim of this account for a key.
///
/// # Errors
/// 404 when there is none, or its time is over.
pub(crate) async fn show(hub: &Hub, actor: &Actor, key: &str) -> Result<ClaimInfo, Problem> {
    let mut conn = hub.db.reader().acquire().await?;
    let (row, label) = own(&mut conn, actor, key).await?;
    info(&mut conn, &row, &label).await
}

/// Tells the number that stands on the host's screen; the right one lets the host in.
///
/// # Errors
/// 409 `wrong_number` and 429 after five wrong ones in ten minutes; 409 while the host has not
/// called, or when something else is in the way.
pub(crate) async fn confirm(
    hub: &Hub,
    actor: &Actor,
    key: &str,
    number: i64,
) -> Result<ClaimInfo, Problem> {
    let done = told(hub, actor, key, number).await;
    let about = key.parse::<KeyLabel>().map(|label| label.compact());
    audited(
        hub,
        &actor.name,
        "claim.refused",
        &about.unwrap_or_default(),
        done,
    )
    .await
}

async fn told(hub: &Hub, actor: &Actor, key: &str, number: i64) -> Result<ClaimInfo, Problem> {
    let now = clock::now_ms();
    let account = &actor.name;
    let mut tx = hub.db.begin().await?;
    let (row, label) = own(&mut tx, actor, key).await?;
    let Some((host, key)) = known(&mut tx, &label).await? else {
        let detail = "the host has not called yet; its screen shows the number once it has";
        return Err(Problem::new(
            StatusCode::CONFLICT,
            ProblemCode::NoContact,
            detail,
        ));
    };
    if !is_of(&mut tx, (&host, &key), &row.project).await? {
        return Err(nobodys());
    }
    open_to_claims(&mut tx, &host).await?;
    unblocked(&host)?;
    may_guess(&mut tx, account, now).await?;
    let shown = challenge::ensure(&mut tx, &hub.vault, &host.uid, now).await?;
    if shown.number != number {
        let left = challenge::wrong_number(&mut tx, &hub.vault, shown).await?;
        challenge::guessed_wrong(&mut tx, account, now).await?;
        audit::record(&mut tx, account, "claim.wrong_number", &host.uid, now).await?;
        tx.commit().await?;
        hub.wake();
        let detail = match left {
            0 => "this was not the number, and now the host shows another one".to_owned(),
            left => format!(
                "this is not the number on the host's screen; {} left",
                counted(left, "try", "tries")
            ),
        };
        return Err(Problem::new(
            StatusCode::CONFLICT,
            ProblemCode::WrongNumber,
            detail,
        ));
    }
    let by = decide::with_token(&mut tx, &row.kind, account, &host, &row.project).await?;
    decide::admit(&mut tx, &host, &key, &by, now).await?;
    let info = info(&mut tx, &row, &label).await?;
    tx.commit().await?;
    hub.wake();
    Ok(info)
}

fn row(account: &str, key: &KeyLabel, host_id: &str, kind: &str) -> ClaimRow {
    let now = clock::now_ms();
    ClaimRow {
        key_label: key.compact(),
        account: account.to_owned(),
        host_id: host_id.to_owned(),
        kind: kind.to_owned(),
        provisional: 0,
        waived: 0,
        created_at: now,
        expires_at: now + LIFETIME,
        project: String::new(),
    }
}

async fn begin(hub: &Hub, mut tx: Writing, row: &ClaimRow) -> Result<ClaimInfo, Problem> {
    claims::forget_old(&mut tx, row.created_at).await?;
    claims::put(&mut tx, row).await?;
    let action = match (row.provisional, row.waived) {
        (0, _) => "claim.begin",
        (_, 0) => "claim.begin provisional",
        _ => "claim.begin provisional, no number",
    };
    let object = format!("{} {}", row.host_id, row.key_label);
    audit::record(&mut tx, &row.account, action, &object, row.created_at).await?;
    let label: KeyLabel = row.key_label.parse().map_err(anyhow::Error::from)?;
    let info = info(&mut tx, row, &label).await?;
    tx.commit().await?;
    hub.matchers_changed();
    Ok(info)
}

async fn own(
    conn: &mut Connection,
    actor: &Actor,
    key: &str,
) -> Result<(ClaimRow, KeyLabel), Problem> {
    let missing =
        || Problem::not_found("this claim is over or was never made; scan the host again");
    let label: KeyLabel = key.parse().map_err(|_| missing())?;
    let row = claims::get(conn, &label.compact(), &actor.name, clock::now_ms()).await?;
    let row = row.ok_or_else(missing)?;
    actor.scope.admit(&row.project, missing)?;
    Ok((row, label))
}

/// The host with this key. A key that another one took the place of names nothing.
async fn known(
    conn: &mut Connection,
    label: &KeyLabel,
) -> Result<Option<(HostRow, KeyRow)>, Problem> {
    let Some(key) = hosts::key_by_prefix(conn, &label.prefix()).await? else {
        return Ok(None);
    };
    let host = hosts::get(conn, &key.host_uid).await?;
    Ok(host.map(|host| (host, key)))
}

/// Whether a claim into `project` has anything to do with a host: it landed there, or may.
async fn is_of(
    conn: &mut Connection,
    (host, key): (&HostRow, &KeyRow),
    project: &str,
) -> Result<bool, Problem> {
    if host.state != "pending" {
        return Ok(host.project == project);
    }
    let called = landing::of_waiting(conn, host, key, clock::now_ms()).await?;
    Ok(called.is_none_or(|called| called == project))
}

async fn info(
    conn: &mut Connection,
    row: &ClaimRow,
    label: &KeyLabel,
) -> Result<ClaimInfo, Problem> {
    let mut info = ClaimInfo {
        key: row.key_label.clone(),
        key_shown: label.to_string(),
        host_id: row.host_id.clone(),
        state: "waiting".to_owned(),
        reason: String::new(),
        host_uid: None,
        vendor: String::new(),
        product: String::new(),
        serial: String::new(),
        address: String::new(),
        first_seen: None,
        tries_left: challenge::TRIES,
        expires_at: row.expires_at,
    };
    let Some((host, key)) = known(conn, label).await? else {
        return Ok(info);
    };
    if !is_of(conn, (&host, &key), &row.project).await? {
        "rejected".clone_into(&mut info.state);
        "other_project".clone_into(&mut info.reason);
        return Ok(info);
    }
    let evidence: Evidence = from_json(&host.evidence)?;
    if let Some(shown) = claims::challenge(conn, &host.uid).await? {
        info.tries_left = challenge::TRIES - shown.tries;
    }
    info.state = match (host.state.as_str(), host.reason.as_str()) {
        ("pending", "blocked" | "id_conflict" | "replacement_wait") => "stopped",
        ("pending", _) => "number",
        ("accepted", _) => "accepted",
        _ => "rejected",
    }
    .to_owned();
    info.host_uid = (info.state == "accepted").then_some(host.uid);
    info.reason = host.reason;
    info.vendor = evidence.vendor;
    info.product = evidence.product;
    info.serial = evidence.serial;
    info.address = host.address;
    info.first_seen = Some(host.created_at);
    Ok(info)
}
