//! Tells somebody's program when a host falls silent and when it is heard again: signed, tried
//! again for a day, and never more than a bounded number waiting.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use burin_core::display::counted;
use ring::hmac;
use serde::Serialize;

use crate::db::silence::{self as table, Change, WebhookRow};
use crate::files::{self, Readers};
use crate::host_api::interval;
use crate::secret::random;
use crate::state::Hub;
use crate::{clock, silence};

/// In the data folder: 64 hex digits, the text itself is the key of the signature.
const KEY_FILE: &str = "webhook.key";
/// `t=<milliseconds since 1970>,v1=<hex of HMAC-SHA-256 over "<t>.<body>">`.
const SIGNATURE: &str = "burin-signature";
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Sent in one round.
const ROUND: i64 = 20;
/// Most that may wait to be told.
const MOST: i64 = 10_000;
/// Milliseconds after which nobody wants to know it any more.
const STALE: i64 = 24 * 3_600_000;
/// Milliseconds before the second try; doubled by each further one.
const AGAIN: i64 = 5_000;
const AGAIN_AT_MOST: i64 = 3_600_000;

/// Where to tell.
struct Webhook {
    url: reqwest::Url,
    key: hmac::Key,
    http: reqwest::Client,
}

#[derive(Serialize)]
struct Body<'a> {
    /// Stays the same when it is told again.
    id: &'a str,
    /// `host.silent` or `host.heard`.
    event: &'a str,
    time: i64,
    host_uid: &'a str,
    host_id: &'a str,
    seen_at: i64,
    /// The host's page.
    page: String,
}

/// Starts the task that looks and tells, if there is somebody to tell. It runs until it is aborted.
///
/// # Errors
/// An address that is no URL, a key file that cannot be read.
pub(crate) fn start(
    hub: &Arc<Hub>,
    url: Option<&str>,
    folder: &Path,
) -> anyhow::Result<Option<tokio::task::JoinHandle<()>>> {
    let Some(url) = url else {
        return Ok(None);
    };
    let url: reqwest::Url = url
        .parse()
        .with_context(|| format!("--webhook `{url}` is not a URL"))?;
    anyhow::ensure!(
        matches!(url.scheme(), "https" | "http"),
        "--webhook must begin with https:// or http://"
    );
    let path = folder.join(KEY_FILE);
    let key = match files::read(&path)? {
        Some(key) => key,
        None => {
            let key = hex::encode(random::<32>()?).into_bytes();
            files::replace(&path, &key, Readers::Owner)?;
            key
        }
    };
    let http = reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("preparing the webhook's client")?;
    let webhook = Webhook {
        url,
        key: hmac::Key::new(hmac::HMAC_SHA256, key.trim_ascii()),
        http,
    };
    let hub = hub.clone();
    Ok(Some(tokio::spawn(async move {
        loop {
            let wait = match round(&hub, &webhook).await {
                Ok(wait) => wait,
                Err(err) => {
                    tracing::error!("looking for silent hosts: {err:#}");
                    PATIENCE
                }
            };
            tokio::time::sleep(wait).await;
        }
    })))
}

/// Looks once, tells what is due, and returns when to look again.
async fn round(hub: &Hub, webhook: &Webhook) -> anyhow::Result<Duration> {
    let now = clock::now_ms();
    look(hub, now).await?;
    for row in table::due(&hub.db, now, ROUND).await? {
        let again = AGAIN.saturating_mul(1 << row.tries.clamp(0, 10));
        let mut tx = hub.db.begin().await?;
        let mine = table::take(&mut tx, &row, now + again.min(AGAIN_AT_MOST)).await?;
        tx.commit().await?;
        if !mine {
            continue;
        }
        match send(webhook, &row, clock::now_ms()).await {
            Ok(()) => {
                let mut tx = hub.db.begin().await?;
                table::told(&mut tx, &row.id).await?;
                tx.commit().await?;
            }
            Err(err) => tracing::warn!("the webhook did not take {}: {err:#}", row.id),
        }
    }
    let seconds = u64::from(interval(hub, now).await?).clamp(1, 10);
    Ok(Duration::from_secs(seconds))
}

/// Finds what changed and keeps it to be told.
async fn look(hub: &Hub, now: i64) -> anyhow::Result<()> {
    let heard_since = silence::heard_since(hub, now).await?;
    let mut tx = hub.db.begin().await?;
    let dropped = table::give_up(&mut tx, now - STALE).await?;
    if dropped > 0 {
        tracing::warn!(
            "dropped after a day: {}",
            counted(dropped, "message to the webhook", "messages to the webhook")
        );
    }
    if table::queued(&mut tx).await? < MOST {
        for host in table::fallen(&mut tx, heard_since).await? {
            table::note(&mut tx, &host.uid, now).await?;
            queue(hub, &mut tx, "host.silent", &host, now).await?;
        }
        for host in table::heard(&mut tx, heard_since).await? {
            table::forget(&mut tx, &host.uid).await?;
            queue(hub, &mut tx, "host.heard", &host, now).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

async fn queue(
    hub: &Hub,
    conn: &mut crate::db::Connection,
    event: &str,
    host: &Change,
    now: i64,
) -> anyhow::Result<()> {
    let id = uuid::Uuid::now_v7().to_string();
    let body = Body {
        id: &id,
        event,
        time: now,
        host_uid: &host.uid,
        host_id: &host.host_id,
        seen_at: host.seen_at,
        page: format!("{}/hosts/{}", hub.settings.public_url, host.uid),
    };
    let body = serde_json::to_string(&body)?;
    table::queue(conn, &id, &body, now).await?;
    Ok(())
}

async fn send(webhook: &Webhook, row: &WebhookRow, now: i64) -> anyhow::Result<()> {
    let signed = format!("{now}.{}", row.body);
    let tag = hmac::sign(&webhook.key, signed.as_bytes());
    let answer = webhook
        .http
        .post(webhook.url.clone())
        .header("content-type", "application/json")
        .header(SIGNATURE, format!("t={now},v1={}", hex::encode(tag)))
        .body(row.body.clone())
        .send()
        .await
        // The address may hold a secret of its own.
        .map_err(reqwest::Error::without_url)
        .context("sending")?;
    anyhow::ensure!(
        answer.status().is_success(),
        "the answer was {}",
        answer.status()
    );
    Ok(())
}
