//! Syncs are written together: one transaction for all that came while the one before it was
//! written. A sync is answered after its transaction, so that nothing that a host was told it had
//! reported can be lost, and every page shows it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::db::live::{self, LiveRow};
use crate::db::{Db, events, hosts, sessions};

/// Most syncs of one transaction: ten parameters each stay far below what the databases take.
const BATCH: usize = 256;
/// Syncs that may wait; more are told to come back.
const QUEUE: usize = 8_192;
/// Least time between two transactions: an idle hub writes at once, a busy one in larger batches.
const SPACING: Duration = Duration::from_millis(20);
/// Events kept of one host.
const EVENTS_KEPT: i64 = 10_000;
/// How long the number of active hosts is believed, in milliseconds.
const COUNT_GOOD_FOR: i64 = 10_000;

/// What one sync writes.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    pub(crate) session: String,
    pub(crate) sequence: i64,
    pub(crate) live: LiveRow,
    /// Its key outlives a power cut from now on.
    pub(crate) settles: bool,
    /// Id and JSON.
    pub(crate) events: Vec<(String, String)>,
}

/// Why a sync was not written.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum HeartbeatError {
    /// The session is over, or its sequence number was used before.
    #[error("the session is over or went on")]
    Refused,
    #[error("too many syncs wait to be written")]
    Full,
    /// Shared by all syncs of a transaction.
    #[error("writing a sync")]
    Database(#[source] Arc<sqlx::Error>),
}

struct Waiting {
    heartbeat: Heartbeat,
    answer: oneshot::Sender<Result<(), HeartbeatError>>,
}

/// The way to the task that writes.
#[derive(Debug, Clone)]
pub(crate) struct Heartbeats(mpsc::Sender<Waiting>);

impl Heartbeats {
    /// Starts the task. It ends with the last clone, after it has written what waits.
    pub(crate) fn start(db: Db) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(write_all(db, receiver));
        Self(sender)
    }

    /// Returns when the sync is in the database.
    pub(crate) async fn write(&self, heartbeat: Heartbeat) -> Result<(), HeartbeatError> {
        let (answer, written) = oneshot::channel();
        self.0
            .try_send(Waiting { heartbeat, answer })
            .map_err(|_| HeartbeatError::Full)?;
        written.await.unwrap_or(Err(HeartbeatError::Full))
    }
}

async fn write_all(db: Db, mut queue: mpsc::Receiver<Waiting>) {
    let mut later = Vec::new();
    let mut next = Instant::now();
    loop {
        let mut batch = std::mem::take(&mut later);
        if batch.is_empty() {
            match queue.recv().await {
                Some(first) => batch.push(first),
                None => return,
            }
        }
        tokio::time::sleep_until(next).await;
        while batch.len() < BATCH {
            match queue.try_recv() {
                Ok(more) => batch.push(more),
                Err(_) => break,
            }
        }
        next = Instant::now() + SPACING;
        later = one_each(&mut batch);
        write_batch(&db, batch).await;
    }
}

/// Leaves one sync of each host, the first; gives back the others. A statement cannot change a row
/// twice.
fn one_each(batch: &mut Vec<Waiting>) -> Vec<Waiting> {
    let mut seen = HashSet::new();
    let (first, later) = std::mem::take(batch)
        .into_iter()
        .partition(|waiting| seen.insert(waiting.heartbeat.live.host_uid.clone()));
    *batch = first;
    later
}

async fn write_batch(db: &Db, batch: Vec<Waiting>) {
    let beats: Vec<&Heartbeat> = batch.iter().map(|waiting| &waiting.heartbeat).collect();
    match write(db, &beats).await {
        Ok(advanced) => {
            for Waiting { heartbeat, answer } in batch {
                let known = advanced.contains(&heartbeat.session);
                tell(answer, known.then_some(()).ok_or(HeartbeatError::Refused));
            }
        }
        // One that the database does not take must not cost the others their sync.
        Err(err) if batch.len() > 1 && !crate::db::passes(&err) => {
            for Waiting { heartbeat, answer } in batch {
                let result = match write(db, &[&heartbeat]).await {
                    Ok(advanced) if advanced.is_empty() => Err(HeartbeatError::Refused),
                    Ok(_) => Ok(()),
                    Err(err) => Err(HeartbeatError::Database(Arc::new(err))),
                };
                tell(answer, result);
            }
        }
        Err(err) => {
            let err = HeartbeatError::Database(Arc::new(err));
            for waiting in batch {
                tell(waiting.answer, Err(err.clone()));
            }
        }
    }
}

fn tell(answer: oneshot::Sender<Result<(), HeartbeatError>>, result: Result<(), HeartbeatError>) {
    if answer.send(result).is_err() {
        tracing::debug!("a host hung up before its sync was written");
    }
}

/// Writes heartbeats of different hosts and returns the sessions that went on; the others are
/// replays, or over, and leave no trace.
async fn write(db: &Db, beats: &[&Heartbeat]) -> sqlx::Result<HashSet<String>> {
    let mut tx = db.begin_for_many().await?;
    let moves: Vec<(&str, i64)> = beats
        .iter()
        .map(|beat| (beat.session.as_str(), beat.sequence))
        .collect();
    let advanced: HashSet<String> = sessions::advance(&mut tx, &moves)
        .await?
        .into_iter()
        .collect();
    let good = || beats.iter().filter(|beat| advanced.contains(&beat.session));
    let rows: Vec<&LiveRow> = good().map(|beat| &beat.live).collect();
    live::put(&mut tx, &rows).await?;
    for beat in good() {
        let (uid, now) = (&beat.live.host_uid, beat.live.seen_at);
        if beat.settles {
            hosts::settle(&mut tx, uid).await?;
        }
        for (id, body) in &beat.events {
            events::store(&mut tx, uid, id, body, now).await?;
        }
        if !beat.events.is_empty() {
            events::trim(&mut tx, uid, EVENTS_KEPT).await?;
        }
    }
    tx.commit().await?;
    Ok(advanced)
}

/// How many hosts are active, counted now and then and not at every sync.
#[derive(Debug, Default)]
pub(crate) struct Census {
    counted_at: AtomicI64,
    active: AtomicI64,
}

impl Census {
    /// Hosts that were heard in the last hour, as counted within the last ten seconds.
    pub(crate) async fn active(&self, db: &Db, now: i64) -> sqlx::Result<i64> {
        let counted_at = self.counted_at.load(Ordering::Relaxed);
        if now.saturating_sub(counted_at) > COUNT_GOOD_FOR {
            // First the time: the others need not count while this one does.
            self.counted_at.store(now, Ordering::Relaxed);
            let active = hosts::count_active(db, now - 3_600_000).await?;
            self.active.store(active, Ordering::Relaxed);
        }
        Ok(self.active.load(Ordering::Relaxed))
    }
}
