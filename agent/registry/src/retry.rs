use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Error;

/// Longest pause that a registry can ask for; more is cut to it.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Told of a failure and the pause that follows it.
pub type Report = dyn Fn(&Error, Duration) + Send + Sync;

/// How often, after which pause and with which patience a request is repeated.
#[derive(Clone)]
pub struct Retry {
    /// Failures in a row, without a byte between them, after which the error is handed on.
    pub attempts: u32,
    /// Time without any byte after which a connection counts as dead.
    pub stall: Duration,
    /// Pause before the n-th repetition (from 1).
    pub delay: Arc<dyn Fn(u32) -> Duration + Send + Sync>,
    /// Told of every failure that will be repeated, before the pause.
    pub report: Arc<Report>,
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("attempts", &self.attempts)
            .field("stall", &self.stall)
            .finish_non_exhaustive()
    }
}

impl Default for Retry {
    /// Six attempts, doubling from one second to half a minute; a minute of patience.
    fn default() -> Self {
        Self {
            attempts: 6,
            stall: Duration::from_secs(60),
            delay: Arc::new(|n| {
                Duration::from_secs(1 << n.saturating_sub(1).min(5)).min(Duration::from_secs(30))
            }),
            report: Arc::new(|error, pause| {
                tracing::warn!(%error, pause_ms = pause.as_millis(), "trying again");
            }),
        }
    }
}

impl Retry {
    /// The pause before trying again after `failures` failures in a row, or `None` to give up.
    pub(crate) fn pause(&self, error: &Error, failures: u32) -> Option<Duration> {
        if !error.is_transient() || failures >= self.attempts {
            return None;
        }
        let asked = error.pause().unwrap_or_default().min(LONGEST_PAUSE);
        let pause = (self.delay)(failures).max(asked);
        (self.report)(error, pause);
        Some(pause)
    }
}
