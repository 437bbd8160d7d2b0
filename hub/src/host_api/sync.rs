//! The heartbeat: what the host sees goes up, what it shall be comes down.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::StatusCode;
use burin_api::dsse::{Envelope, PublicKey};
use burin_api::event::Event;
use burin_api::message::{Phase, Sync, SyncAnswer};
use tokio::time::Instant;

use super::desired::{self, Target};
use super::refusal::Refused;
use super::said;
use super::secrets;
use super::session::admitted;
use crate::clock;
use crate::codes::HostCode;
use crate::db::hosts::HostRow;
use crate::db::live::LiveRow;
use crate::db::sessions::{self, SessionRow};
use crate::db::{from_json, hosts, to_json};
use crate::heartbeats::{Heartbeat, HeartbeatError};
use crate::state::Hub;

/// Longest long poll, seconds.
const WAIT: u32 = 25;
/// Seconds between syncs of a host that installs or waits for its profile.
const BUSY: u32 = 5;
/// How often a hub looks whether another hub of its database changed what a host shall be.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Longest event that is stored, bytes of JSON.
const EVENT_BYTES: usize = 16 * 1024;

pub(super) async fn answer(
    hub: &Hub,
    ip: IpAddr,
    envelope: &Envelope,
) -> Result<SyncAnswer, Refused> {
    let now = clock::now_ms();
    let asked: Sync = said::peeked(envelope)?;
    let mut conn = hub.db.reader().acquire().await?;
    let session = sessions::get(&mut conn, &asked.session)
        .await?
        .filter(|session| session.ended_at.is_none() && session.expires_at > now)
        .ok_or_else(Refused::session_unknown)?;
    let key: PublicKey = from_json(&session.public_key)?;
    let asked: Sync = said::opened(envelope, &[&key])?;
    drop(conn);
    let done = proven(hub, ip, &asked, &session).await;
    done.map_err(|refused| refused.of(&session.host_uid))
}

/// The answer to a sync that the session's key signed.
async fn proven(
    hub: &Hub,
    ip: IpAddr,
    asked: &Sync,
    session: &SessionRow,
) -> Result<SyncAnswer, Refused> {
    let now = clock::now_ms();
    let changed = hub.changed.subscribe();
    if i64::try_from(asked.sequence).is_ok_and(|number| number <= session.sequence) {
        // Before it is counted: whoever has an old message must not use up what the host may send.
        return Err(replayed(asked, session));
    }
    if let Some(etag) = &asked.etag {
        said::check(&[("etag", etag, 128)])?;
    }
    hub.limits
        .sync
        .take(&session.host_uid, now)
        .map_err(Refused::limited)?;
    let mut conn = hub.db.reader().acquire().await?;
    let host = hosts::get(&mut conn, &session.host_uid)
        .await?
        .ok_or_else(Refused::session_unknown)?;
    // The writer is waited for below, and reading needs the connection meanwhile.
    drop(conn);
    admitted(&host.state)?;
    secrets::check(asked)?;
    let live = live_row(asked, session, ip, now)?;
    keep(hub, &host, session, asked, live).await?;
    let stored = asked.events.iter().map(|event| event.sequence).max();

    let target = wait_for_change(hub, &host, asked, changed).await?;
    let etag = target.as_ref().map(|target| target.etag.clone());
    let held = asked.secrets.as_deref();
    let secrets = secrets::news(hub, session, target.as_ref(), held).await?;
    let mut desired = None;
    if let Some(target) = target.filter(|target| asked.etag.as_ref() != Some(&target.etag)) {
        let mut conn = hub.db.reader().acquire().await?;
        desired = Some(Box::new(desired::desired(&mut conn, &host, &target).await?));
    }
    let now = clock::now_ms();
    Ok(SyncAnswer {
        etag,
        desired,
        next: next(hub, asked.phase, now).await?,
        events_stored: stored,
        // A key in RAM ends with the installation anyhow.
        rekey: Some(host.rekey).filter(|why| !why.is_empty() && session.key_store != "ram"),
        time: clock::wire(now),
        secrets,
        root_version: hub.keys.root.version,
    })
}

/// Writes what the host says of itself, and its kubeconfig when it brought one.
async fn keep(
    hub: &Hub,
    host: &HostRow,
    session: &SessionRow,
    asked: &Sync,
    live: LiveRow,
) -> Result<(), Refused> {
    let written = hub.heartbeats.write(Heartbeat {
        session: session.id.clone(),
        sequence: i64::try_from(asked.sequence).unwrap_or(i64::MAX),
        live,
        settles: session.key_store != "ram" && host.settled == 0,
        events: checked_events(asked)?,
    });
    match written.await {
        Ok(()) => {}
        Err(HeartbeatError::Refused) => return Err(not_written(hub, asked).await?),
        Err(HeartbeatError::Full) => return Err(Refused::limited(5)),
        Err(HeartbeatError::Database(err)) => return Err(Refused::database(&err)),
    }
    if let Some(sealed) = &asked.kubeconfig {
        secrets::keep(hub, &host.uid, sealed).await?;
    }
    Ok(())
}

/// Whether the session ended since it was read, or the sequence number was used before.
async fn not_written(hub: &Hub, asked: &Sync) -> Result<Refused, Refused> {
    let mut conn = hub.db.reader().acquire().await?;
    let session = sessions::get(&mut conn, &asked.session).await?;
    Ok(match session.filter(|session| session.ended_at.is_none()) {
        None => Refused::session_unknown(),
        Some(session) => replayed(asked, &session),
    })
}

fn replayed(asked: &Sync, session: &SessionRow) -> Refused {
    let message = format!(
        "sequence {} was used before (the newest is {}); open a new session",
        asked.sequence, session.sequence
    );
    Refused::new(StatusCode::CONFLICT, HostCode::Sequence, message).after(0)
}

/// Id and JSON of each event.
fn checked_events(asked: &Sync) -> Result<Vec<(String, String)>, Refused> {
    let checked = |event: &Event| {
        let body = to_json(event)?;
        let id = &event.id;
        // PostgreSQL keeps no NUL, and none of the others belongs into an id.
        if !(1..=128).contains(&id.len())
            || id.chars().any(char::is_control)
            || body.len() > EVENT_BYTES
        {
            return Err(Refused::bad_request(format!(
                "an event must have an id of 1 to 128 printable bytes and at most {EVENT_BYTES} \
                 bytes in all"
            )));
        }
        Ok((id.clone(), body))
    };
    asked.events.iter().map(checked).collect()
}

fn live_row(asked: &Sync, session: &SessionRow, ip: IpAddr, now: i64) -> Result<LiveRow, Refused> {
    let phase = serde_json::json!(asked.phase);
    Ok(LiveRow {
        host_uid: session.host_uid.clone(),
        seen_at: now,
        phase: phase.as_str().unwrap_or("unknown").to_owned(),
        progress: asked.progress.as_ref().map(to_json).transpose()?,
        observed: to_json(&asked.observed)?,
        findings: to_json(&asked.findings)?,
        etag: asked.etag.clone(),
        agent: session.agent.clone(),
        mode: session.mode.clone(),
        address: ip.to_canonical().to_string(),
    })
}

/// The target, after holding the answer as long as the host asked for and nothing is new.
async fn wait_for_change(
    hub: &Hub,
    host: &HostRow,
    asked: &Sync,
    mut changed: tokio::sync::watch::Receiver<u64>,
) -> Result<Option<Target>, Refused> {
    let wait = match asked.phase {
        Phase::Starting | Phase::Waiting | Phase::Installing | Phase::Blocked => asked.wait,
        _ => 0,
    };
    let deadline = Instant::now() + Duration::from_secs(wait.min(WAIT).into());
    loop {
        let mut conn = hub.db.reader().acquire().await?;
        let target = desired::target(hub, &mut conn, host).await?;
        drop(conn);
        let etag = target.as_ref().map(|target| &target.etag);
        if etag != asked.etag.as_ref() {
            return Ok(target);
        }
        let until = if hub.db.is_shared() {
            deadline.min(Instant::now() + LOOK_AGAIN)
        } else {
            deadline
        };
        match tokio::time::timeout_at(until, changed.changed()).await {
            Ok(Ok(())) => {}
            Err(_) if until < deadline => {}
            // Out of time, or the hub is stopping.
            Ok(Err(_)) | Err(_) => return Ok(target),
        }
    }
}

/// Seconds until the next sync.
async fn next(hub: &Hub, phase: Phase, now: i64) -> Result<u32, Refused> {
    let usual = interval(hub, now).await?;
    Ok(match phase {
        Phase::Running | Phase::Degraded | Phase::Unknown => usual,
        _ => usual.min(BUSY),
    })
}

/// The polling interval of the protocol: clamp(active hosts / 800, 60, 900) s. Hosts add the
/// jitter.
pub(crate) async fn interval(hub: &Hub, now: i64) -> sqlx::Result<u32> {
    if let Some(fixed) = hub.settings.interval {
        return Ok(fixed);
    }
    let active = hub.census.active(&hub.db, now).await?;
    Ok(u32::try_from((active / 800).clamp(60, 900)).unwrap_or(900))
}
