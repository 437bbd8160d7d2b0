//! Admission of hosts.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::StatusCode;
use burin_api::dsse::{Envelope, PublicKey};
use burin_api::message::{Enroll, EnrollAnswer};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};

use super::admission::Known;
use super::caller::{self, Caller};
use super::refusal::Refused;
use super::said;
use crate::clock;
use crate::codes::HostCode;
use crate::db::{from_json, pending, tokens};
use crate::registration::challenge;
use crate::state::Hub;

/// A host that nobody approved is turned away after this, milliseconds.
const PENDING_LIFETIME: i64 = 24 * 3_600_000;
/// How long such a host is still shown, milliseconds.
const EXPIRED_KEPT: i64 = 7 * 24 * 3_600_000;
/// Longest long poll, seconds.
const WAIT: u32 = 25;
/// How often a hub looks whether another hub of its database decided about the host.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

pub(super) async fn answer(
    hub: &Hub,
    ip: IpAddr,
    envelope: &Envelope,
) -> Result<EnrollAnswer, Refused> {
    let now = clock::now_ms();
    super::door(hub, ip, now)?;
    let enroll: Enroll = said::peeked(envelope)?;
    check_form(&enroll)?;
    hub.nonces.check(&enroll.nonce, now)?;
    // Before the one writer is taken: a forged request shall cost nobody else anything.
    envelope
        .open::<Enroll>(&[&enroll.public_key])
        .map_err(|err| Refused::signature(&err))?;

    let news = News {
        changed: hub.changed.subscribe(),
        matchers: hub.matchers.subscribe(),
    };
    let mut tx = hub.db.begin().await?;
    let token = match &enroll.token_id {
        Some(id) => Some(tokens::get(&mut tx, id).await?.ok_or_else(|| {
            let message = format!("the hub knows no token {id}; make a new one");
            Refused::new(StatusCode::FORBIDDEN, HostCode::TokenUnknown, message)
        })?),
        None => None,
    };
    let token_key: Option<PublicKey> = token
        .as_ref()
        .map(|token| from_json(&token.public_key))
        .transpose()?;
    let mut signers = vec![&enroll.public_key];
    signers.extend(&token_key);
    let enroll: Enroll = said::opened(envelope, &signers).inspect_err(|refused| {
        // Somebody knows the public id of a token, and not its seed.
        let id = token.as_ref().map_or("", |token| token.id.as_str());
        tracing::warn!(token = id, from = %ip, "a host was refused: {}", refused.body.message);
    })?;
    hub.nonces.spend(&hub.db, &enroll.nonce, now).await??;

    pending::expire(&mut tx, now - PENDING_LIFETIME).await?;
    pending::forget_expired(&mut tx, now - EXPIRED_KEPT).await?;
    let mut caller = Caller::new(&enroll, token.as_ref(), ip.to_canonical(), now)?;
    let verdict = caller.judge(&mut tx, hub.settings.replace_after).await?;
    let answer = caller.carry_out(&mut tx, verdict, &hub.vault).await;
    let answer = answer.map_err(|refused| refused.of(caller.known_uid()))?;
    tx.commit().await?;
    let news_for_others = caller.is_new() || matches!(answer, EnrollAnswer::Accepted { .. });
    let print = caller.thumbprint;
    if news_for_others {
        hub.wake();
    }
    hold(hub, &print, answer, &enroll, news).await
}

/// Texts that go into the database and onto pages are short; nothing else is asked of them.
fn check_form(enroll: &Enroll) -> Result<(), Refused> {
    said::check(&[
        ("host_id", &enroll.host_id, 64),
        ("host_id_source", &enroll.host_id_source, 64),
        ("boot_id", &enroll.boot_id, 64),
        ("agent", &enroll.agent, 64),
        ("arch", &enroll.arch, 16),
    ])?;
    if !matches!(enroll.public_key, PublicKey::EcdsaP256(_)) {
        return Err(Refused::bad_request("the identity key must be ECDSA P-256"));
    }
    Ok(())
}

/// What ends a long poll.
struct News {
    /// Somebody decided about a host.
    changed: Receiver<u64>,
    /// Somebody announced or claimed one.
    matchers: Receiver<u64>,
}

/// Holds an answer that the host shows already, until it is out of date.
async fn hold(
    hub: &Hub,
    print: &str,
    answer: EnrollAnswer,
    asked: &Enroll,
    mut news: News,
) -> Result<EnrollAnswer, Refused> {
    let EnrollAnswer::Pending { etag, reason, .. } = &answer else {
        return Ok(answer);
    };
    if asked.held.is_none() || asked.held != *etag {
        return Ok(answer);
    }
    let deadline = Instant::now() + Duration::from_secs(asked.wait.min(WAIT).into());
    loop {
        let until = if hub.db.is_shared() {
            deadline.min(Instant::now() + LOOK_AGAIN)
        } else {
            deadline
        };
        tokio::select! {
            // The next enroll is judged anew.
            _ = news.matchers.changed() => return Ok(answer),
            _ = news.changed.changed() => {}
            () = sleep_until(until) => {}
        }
        if !is_shown(hub, print, reason, etag.as_deref()).await? {
            return Ok(match accepted(hub, print).await? {
                Some(host_uid) => EnrollAnswer::Accepted { host_uid },
                None => answer,
            });
        }
        if Instant::now() >= deadline {
            return Ok(answer);
        }
    }
}

/// Whether the host is still pending with the code and number that it shows.
async fn is_shown(
    hub: &Hub,
    print: &str,
    reason: &str,
    etag: Option<&str>,
) -> Result<bool, Refused> {
    let mut conn = hub.db.reader().acquire().await?;
    let known = caller::known(&mut conn, print).await?;
    let Some((Known::Key { uid, state, .. }, _)) = known else {
        return Ok(false);
    };
    let shown = challenge::shown(&mut conn, &hub.vault, &uid).await?;
    let now = shown.map(|shown| challenge::etag(reason, &shown));
    Ok(state == "pending" && now.as_deref() == etag)
}

async fn accepted(hub: &Hub, print: &str) -> Result<Option<String>, Refused> {
    let mut conn = hub.db.reader().acquire().await?;
    Ok(match caller::known(&mut conn, print).await? {
        Some((Known::Key { uid, state, .. }, _)) if state == "accepted" => Some(uid),
        _ => None,
    })
}
