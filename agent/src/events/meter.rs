//! Bytes of a step, or of several that run at once, as one figure with the time left.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use burin_api::event::Progress;

use super::Events;

/// Reports the progress of one step. Clones count into the same figure.
#[derive(Debug, Clone)]
pub struct Meter {
    group: Arc<Group>,
    /// What this meter has added to the group so far.
    own: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Group {
    events: Events,
    step: String,
    position: u32,
    steps: u32,
    total: AtomicU64,
    done: AtomicU64,
    started: Mutex<Option<(Instant, u64)>>,
}

impl Meter {
    /// A meter of step number `position` of `steps`. `total` is in bytes, 0 when unknown.
    #[must_use]
    pub fn new(events: &Events, step: &str, position: u32, steps: u32, total: u64) -> Self {
        Self {
            group: Arc::new(Group {
                events: events.clone(),
                step: step.to_owned(),
                position,
                steps,
                total: AtomicU64::new(total),
                done: AtomicU64::new(0),
                started: Mutex::new(None),
            }),
            own: Arc::new(AtomicU64::new(0)),
        }
    }

    /// A meter of a further step that runs at the same time and counts into the same figure.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self {
            group: Arc::clone(&self.group),
            own: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Sets the total of a step that knows it only when it runs. Ignored where it was known before.
    pub fn total(&self, bytes: u64) {
        // Whether it was set or known before makes no difference here.
        let _ = self
            .group
            .total
            .compare_exchange(0, bytes, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// This step has done `bytes` in all. May go back when a step starts again.
    pub fn report(&self, bytes: u64) {
        let before = self.own.swap(bytes, Ordering::Relaxed);
        let done = if bytes >= before {
            let more = bytes - before;
            self.group.done.fetch_add(more, Ordering::Relaxed) + more
        } else {
            let less = before - bytes;
            self.group.done.fetch_sub(less, Ordering::Relaxed) - less
        };
        let total = self.group.total.load(Ordering::Relaxed);
        self.group.events.progress(Progress {
            step: self.group.step.clone(),
            position: self.group.position,
            steps: self.group.steps,
            done: if total > 0 { done.min(total) } else { done },
            total,
            left: self.group.left(done, total),
        });
    }
}

impl Group {
    /// Seconds left at the rate since the first report.
    fn left(&self, done: u64, total: u64) -> Option<u64> {
        let mut started = self
            .started
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let (since, at) = *started.get_or_insert_with(|| (Instant::now(), done));
        let millis = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let moved = done.saturating_sub(at);
        if moved == 0 || millis < 1000 || total == 0 {
            return None;
        }
        Some(total.saturating_sub(done).saturating_mul(millis) / moved / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_run_at_once_count_into_one_figure() {
        let events = Events::new("boot");
        let first = Meter::new(&events, "pull", 5, 9, 100);
        let second = first.beside();
        first.report(30);
        second.report(50);
        first.report(10);
        second.report(90);
        assert_eq!(events.view().progress.unwrap().done, 100);
    }
}
