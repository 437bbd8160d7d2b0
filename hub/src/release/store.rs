//! The envelopes that a hub holds: brought in by people, handed to hosts, never made here.

use burin_api::desired::Release;
use burin_api::dsse::Envelope;
use burin_api::release::Statement;
use burin_core::release::{self, Refusal, Signed};

use crate::admin::problem::Problem;
use crate::admin::profiles::published;
use crate::admin::types::SignedInfo;
use crate::clock;
use crate::codes::ProblemCode;
use crate::db::releases::{self, SignedRow};
use crate::db::{Connection, audit, from_json, to_json};
use crate::people::Actor;
use crate::state::Hub;

/// Largest envelope, bytes of JSON: an answer to a host, which is base 64 again, has to hold it.
const LARGEST_ENVELOPE: usize = 180 * 1024;

/// What is to be signed for a published version: everything but the day, which the signer names.
///
/// # Errors
/// 404 when there is no such version.
pub(crate) async fn statement(
    hub: &Hub,
    actor: &Actor,
    name: &str,
    version: &str,
) -> Result<Statement, Problem> {
    let mut conn = hub.db.reader().acquire().await?;
    let row = published(&mut conn, actor, name, version).await?;
    let before = releases::highest(&mut conn, name).await?;
    Ok(Statement {
        hub_id: hub.keys.root.hub_id.clone(),
        counter: before.map_or(1, |row| clock::wire(row.counter) + 1),
        expires: 0,
        agent: None,
        release: from_json(&row.release)?,
    })
}

/// Takes an envelope in, after every check that a host makes and some that only the hub can.
///
/// # Errors
/// What hosts would refuse; another release than the published one; a counter that was used.
pub(crate) async fn import(
    hub: &Hub,
    actor: &Actor,
    envelope: &Envelope,
) -> Result<SignedInfo, Problem> {
    let json = to_json(envelope)?;
    if json.len() > LARGEST_ENVELOPE {
        return Err(Problem::bad_input(format!(
            "the envelope has {} bytes, a host reads at most {LARGEST_ENVELOPE}",
            json.len()
        )));
    }
    if !hub.keys.wants_signatures() {
        let detail = "the hub's root document lists no release key, so nobody can have signed for \
                      it; list one with `burin-hub root rotate --add-release-key` and start the \
                      hub again";
        return Err(Problem::refused(detail));
    }
    let Signed {
        statement,
        signer,
        digest,
    } = release::open(envelope, &hub.keys.root).map_err(|refusal| refused(&refusal))?;
    let now = clock::now_ms();
    if statement.expires < clock::wire(now) {
        let refusal = Refusal::Expired(statement.expires);
        let detail = format!("{refusal}. Sign it again with a later day.");
        return Err(Problem::refused(detail).with_errors(vec![refusal.code().to_owned()]));
    }
    let number = |value: u64| {
        i64::try_from(value).map_err(|_| Problem::bad_input("counter or day is absurdly high"))
    };
    let row = SignedRow {
        counter: number(statement.counter)?,
        expires_at: number(statement.expires)?,
        digest: digest.to_string(),
        signer,
        envelope: json,
        imported_at: now,
        imported_by: actor.name.clone(),
        profile: statement.release.name.clone(),
        version: statement.release.version.clone(),
    };
    let mut tx = hub.db.begin().await?;
    if let Some(known) = fits(&mut tx, actor, &statement.release, &row).await? {
        return Ok(info(hub, known));
    }
    releases::insert(&mut tx, &row).await?;
    let object = format!(
        "{}@{} counter {} {} by key {}",
        row.profile, row.version, row.counter, row.digest, row.signer
    );
    audit::record(&mut tx, &actor.name, "release.import", &object, now).await?;
    tx.commit().await?;
    hub.wake();
    Ok(info(hub, row))
}

/// Holds an envelope against what the hub has. Gives back the row of one that it has already.
async fn fits(
    conn: &mut Connection,
    actor: &Actor,
    release: &Release,
    row: &SignedRow,
) -> Result<Option<SignedRow>, Problem> {
    let (name, version) = (&row.profile, &row.version);
    let row_of = published(conn, actor, name, version).await?;
    if from_json::<Release>(&row_of.release)? != *release {
        return Err(Problem::refused(format!(
            "what was signed as {name}@{version} is another release than the published one; find \
             out which of them was changed"
        )));
    }
    match releases::highest(conn, name).await? {
        Some(held) if held.counter == row.counter && held.digest == row.digest => Ok(Some(held)),
        Some(held) if held.counter >= row.counter => Err(Problem::refused(format!(
            "counter {} was used: the newest of {name} is {}, and hosts that took it never take a \
             lower one; sign with --counter {}",
            row.counter,
            held.counter,
            held.counter.saturating_add(1)
        ))),
        _ => Ok(None),
    }
}

fn refused(refusal: &Refusal) -> Problem {
    Problem::refused(format!("{refusal}. {}", refusal.advice()))
        .with_errors(vec![refusal.code().to_owned()])
}

/// What people see of an envelope.
pub(crate) fn info(hub: &Hub, row: SignedRow) -> SignedInfo {
    SignedInfo {
        state: state(hub, &row, clock::now_ms()).to_owned(),
        profile: row.profile,
        version: row.version,
        counter: row.counter,
        expires_at: row.expires_at,
        signer: row.signer,
        digest: row.digest,
        imported_at: row.imported_at,
        imported_by: row.imported_by,
    }
}

/// Whether hosts still take it: `good`, `ending` within [`ENDING`], `expired`, or `unlisted` when the
/// root document does not name the key for the profile any more.
fn state(hub: &Hub, row: &SignedRow, now: i64) -> &'static str {
    let listed = hub.keys.root.release.iter().any(|listed| {
        listed.may_sign(&row.profile) && listed.key.thumbprint().is_ok_and(|it| it == row.signer)
    });
    match row.expires_at {
        _ if !listed => "unlisted",
        until if until < now => "expired",
        until if until < now + ENDING => "ending",
        _ => "good",
    }
}

/// How long before its last day a signature is called ending, milliseconds: 30 days.
const ENDING: i64 = 30 * 24 * 3600 * 1000;

/// The envelope's facts of a version, when it has one.
pub(crate) async fn of_version(
    hub: &Hub,
    conn: &mut Connection,
    name: &str,
    version: &str,
) -> sqlx::Result<Option<SignedInfo>> {
    let row = releases::of_version(conn, name, version).await?;
    Ok(row.map(|row| info(hub, row)))
}

/// Refuses a version that no host would install.
///
/// # Errors
/// 409 where the root document lists release keys and no signature of theirs is good for it.
pub(crate) async fn assignable(
    hub: &Hub,
    conn: &mut Connection,
    name: &str,
    version: &str,
) -> Result<(), Problem> {
    if !hub.keys.wants_signatures() {
        return Ok(());
    }
    let signed = of_version(hub, conn, name, version).await?;
    let why = match signed.as_ref().map(|it| it.state.as_str()) {
        Some("good" | "ending") => return Ok(()),
        Some("expired") => "its signature has ended",
        Some(_) => "the key that signed it is not listed for it any more",
        None => "it is not signed",
    };
    Err(Problem::new(
        axum::http::StatusCode::CONFLICT,
        ProblemCode::NotSigned,
        format!(
            "hosts would refuse {name}@{version}: {why}, and the hub's root document asks for a \
             signature; see `burin-hub release export`, `sign` and `import`"
        ),
    ))
}
