//! Which hosts were turned away, and why: written down together and a little later, so that a flood
//! of bad requests costs one small transaction a second and no answer waits for it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::clock;
use crate::db::refusals::{self, RefusalRow};
use crate::db::{self, Db};

/// Refusals that may wait; more in one second are not worth a row each.
const QUEUE: usize = 256;
/// Between two transactions.
const SPACING: Duration = Duration::from_secs(1);
/// Characters that are kept of what a caller says of itself.
const LONGEST: usize = 256;

/// One refusal.
#[derive(Debug, Clone)]
pub(crate) struct Noted {
    pub(crate) code: &'static str,
    /// What the host was told.
    pub(crate) message: String,
    /// As [`crate::limit::caller`] names it.
    pub(crate) address: String,
    /// Of the host whose key signed the request; empty otherwise.
    pub(crate) host_uid: String,
    /// What the caller says of itself.
    pub(crate) said: String,
    /// Seconds.
    pub(crate) retry_after: Option<u32>,
}

/// The way to the task that writes.
#[derive(Debug, Clone)]
pub(crate) struct Refusals(mpsc::Sender<Noted>);

impl Refusals {
    /// Starts the task. It ends with the last clone, after it has written what waits.
    pub(crate) fn start(db: Db) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(write_all(db, receiver));
        Self(sender)
    }

    /// Notes a refusal, without waiting. In a flood some are not counted.
    pub(crate) fn note(&self, noted: Noted) {
        if self.0.try_send(noted).is_err() {
            tracing::debug!("a refusal was not counted: too many at once");
        }
    }
}

async fn write_all(db: Db, mut queue: mpsc::Receiver<Noted>) {
    let mut next = Instant::now();
    while let Some(first) = queue.recv().await {
        tokio::time::sleep_until(next).await;
        let mut batch = vec![first];
        while let Ok(more) = queue.try_recv() {
            batch.push(more);
        }
        next = Instant::now() + SPACING;
        let rows = together(batch, clock::now_ms());
        if let Err(err) = write(&db, &rows).await {
            // The host has its answer; what is lost is a line of a list.
            let passes = db::passes(&err);
            tracing::warn!(passes, "writing down who was turned away: {err}");
        }
    }
}

/// One row for all that are alike.
fn together(batch: Vec<Noted>, now: i64) -> Vec<RefusalRow> {
    let mut rows: HashMap<(&'static str, String, String), RefusalRow> = HashMap::new();
    for noted in batch {
        let key = (noted.code, noted.address.clone(), noted.host_uid.clone());
        let times = rows.get(&key).map_or(0, |row| row.times) + 1;
        let row = RefusalRow {
            code: noted.code.to_owned(),
            message: noted.message,
            address: noted.address,
            host_uid: noted.host_uid,
            said: noted.said.chars().take(LONGEST).collect(),
            retry_after: noted.retry_after.map(i64::from),
            times,
            first_at: now,
            last_at: now,
        };
        rows.insert(key, row);
    }
    rows.into_values().collect()
}

async fn write(db: &Db, rows: &[RefusalRow]) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    for row in rows {
        refusals::count(&mut tx, row).await?;
    }
    refusals::trim(&mut tx).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::scope::Projects;

    fn noted(code: &'static str, address: &str, said: &str) -> Noted {
        Noted {
            code,
            message: "a sentence".to_owned(),
            address: address.to_owned(),
            host_uid: String::new(),
            said: said.to_owned(),
            retry_after: None,
        }
    }

    #[test]
    fn what_is_alike_is_one_row_with_the_newest_words() {
        let batch = vec![
            noted("limited", "192.0.2.1", "a"),
            noted("limited", "192.0.2.1", "b"),
            noted("token_used", "192.0.2.1", "c"),
            noted("limited", "192.0.2.2", &"d".repeat(1_000)),
        ];
        let mut rows = together(batch, 7);
        rows.sort_by(|a, b| (&a.code, &a.address).cmp(&(&b.code, &b.address)));
        let short: Vec<_> = rows
            .iter()
            .map(|row| (row.address.as_str(), row.said.len(), row.times))
            .collect();
        let want = [
            ("192.0.2.1", 1, 2),
            ("192.0.2.2", LONGEST, 1),
            ("192.0.2.1", 1, 1),
        ];
        assert_eq!(short, want);
        assert_eq!(rows[0].said, "b");
    }

    #[tokio::test]
    async fn the_list_never_grows_beyond_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&db::Place::in_folder(dir.path())).await.unwrap();
        let rows = |from: u32, to: u32| {
            let all = (from..to).map(|n| noted("limited", &format!("192.0.2.{n}"), ""));
            together(all.collect(), i64::from(to))
        };
        write(&db, &rows(0, 900)).await.unwrap();
        write(&db, &rows(800, 1_100)).await.unwrap();
        let kept = refusals::newest(&db, &Projects::all(), "", 5_000)
            .await
            .unwrap();
        assert_eq!(kept.len(), 1_000);
        let twice = kept.iter().filter(|row| row.times == 2).count();
        assert_eq!(twice, 100);
        assert_eq!(
            refusals::since(&db, &Projects::all(), 1_100).await.unwrap(),
            300
        );
    }
}
