//! What the agents of a fleet count together, and what follows from it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::sync::watch;

/// How many; each only grows, but for `back`.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) accepted: u32,
    /// Hosts whose sync was answered in the current round.
    pub(super) back: u32,
    pub(super) syncs: u64,
    /// TLS connections that were opened.
    pub(super) connections: u64,
    /// Attempts that failed, refusals among them.
    pub(super) failures: u64,
    /// What the newest of them said.
    pub(super) problem: String,
}

/// An answered sync.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    /// When the answer was there.
    pub(super) at: Instant,
    /// From the wish to send until the whole answer, with a new connection where one was needed.
    pub(super) took: Duration,
}

/// Shared by all agents.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: watch::Sender<Counts>,
    answered: Mutex<Vec<Answered>>,
    round: AtomicU32,
    /// Bytes of the TCP connections: TLS records with handshakes, without TCP's and IP's headers.
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
}

impl Tally {
    pub(super) fn counts(&self) -> Counts {
        self.counts.borrow().clone()
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }

    /// Counts an answered sync of a host whose newest one was in `round`.
    pub(super) fn synced(&self, took: Duration, round: &mut u32) {
        let at = Instant::now();
        let mut all = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Answered { at, took });
        drop(all);
        let current = self.round.load(Ordering::Relaxed);
        let is_back = std::mem::replace(round, current) != current;
        self.count(|counts| {
            counts.syncs += 1;
            counts.back += u32::from(is_back);
        });
    }

    /// From now on every host counts as away until its next sync. Rounds are counted from 1, so
    /// that a new host is away at first.
    pub(super) fn new_round(&self) {
        self.round.fetch_add(1, Ordering::Relaxed);
        self.count(|counts| counts.back = 0);
    }

    /// The syncs that were answered between two moments.
    pub(super) fn between(&self, from: Instant, to: Instant) -> Vec<Answered> {
        let all = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let within = all.iter().filter(|it| from <= it.at && it.at < to);
        within.copied().collect()
    }

    /// Waits until the counts are as `wanted`, and returns how long that took.
    ///
    /// # Errors
    /// When they are not within the time; the error tells the counts.
    pub(super) async fn wait_for(
        &self,
        what: &str,
        within: Duration,
        wanted: impl FnMut(&Counts) -> bool,
    ) -> Result<Duration> {
        let began = Instant::now();
        let mut counts = self.counts.subscribe();
        let reached = tokio::time::timeout(within, counts.wait_for(wanted)).await;
        if reached.is_err() {
            let seconds = within.as_secs();
            bail!("{what}: not within {seconds} s: {:?}", self.counts());
        }
        Ok(began.elapsed())
    }
}

/// The time that `share` (0..=1) of the syncs did not exceed, in milliseconds; none of nothing.
pub(super) fn quantile(answered: &[Answered], share: f64) -> Option<f64> {
    let mut took: Vec<Duration> = answered.iter().map(|it| it.took).collect();
    took.sort_unstable();
    let place = (share * took.len() as f64).ceil() as usize;
    let value = took.get(place.max(1) - 1)?;
    Some(value.as_secs_f64() * 1000.0)
}

/// Syncs in the fullest of the equal parts of a time, as a multiple of their mean. 1 is a fleet
/// that is evenly spread; a fleet that comes back at one moment has as much as there are parts.
pub(super) fn peak(answered: &[Answered], from: Instant, part: Duration, parts: u32) -> f64 {
    let mut counts = vec![0_u32; parts as usize];
    for it in answered {
        let place = it.at.saturating_duration_since(from).div_duration_f64(part) as usize;
        if let Some(count) = counts.get_mut(place) {
            *count += 1;
        }
    }
    let all: u32 = counts.iter().sum();
    let most = counts.into_iter().max().unwrap_or(0);
    f64::from(most) * f64::from(parts) / f64::from(all.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(began: Instant, millis: &[(u64, u64)]) -> Vec<Answered> {
        let one = |&(at, took)| Answered {
            at: began + Duration::from_millis(at),
            took: Duration::from_millis(took),
        };
        millis.iter().map(one).collect()
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let all: Vec<(u64, u64)> = (1..=200).map(|it| (0, it)).collect();
        let all = answered(Instant::now(), &all);
        for (share, want) in [(0.0, 1.0), (0.5, 100.0), (0.99, 198.0), (1.0, 200.0)] {
            assert_eq!(quantile(&all, share), Some(want), "{share}");
        }
        assert_eq!(quantile(&[], 0.99), None);
    }

    #[test]
    fn an_even_fleet_has_no_peak_and_a_herd_has_the_highest() {
        let began = Instant::now();
        let second = Duration::from_secs(1);
        let even = answered(began, &[(100, 1), (1100, 1), (2100, 1), (3100, 1)]);
        assert_eq!(peak(&even, began, second, 4), 1.0);
        let herd = answered(began, &[(2100, 1), (2200, 1), (2300, 1), (2400, 1)]);
        assert_eq!(peak(&herd, began, second, 4), 4.0);
    }

    #[tokio::test]
    async fn a_host_is_back_once_in_a_round() {
        let tally = Tally::default();
        tally.new_round();
        let (mut one, mut other) = (0, 0);
        tally.synced(Duration::ZERO, &mut one);
        tally.synced(Duration::ZERO, &mut one);
        tally.synced(Duration::ZERO, &mut other);
        assert_eq!((tally.counts().back, tally.counts().syncs), (2, 3));
        tally.new_round();
        tally.synced(Duration::ZERO, &mut one);
        assert_eq!(tally.counts().back, 1);
        let never = |counts: &Counts| counts.back == 2;
        let late = tally
            .wait_for("both", Duration::from_millis(10), never)
            .await;
        assert!(late.is_err());
    }
}
