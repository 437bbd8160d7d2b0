//! The machine's clock, behind a door: what a host does without the right time is tried with others.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

/// A clock that is read and set.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Milliseconds since 1970; may be wrong.
    fn now(&self) -> u64;

    /// Sets it to milliseconds since 1970.
    ///
    /// # Errors
    /// When it cannot be set: the kernel lets nobody but root.
    fn set(&self, millis: u64) -> Result<()>;
}

/// The kernel's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel;

impl Clock for Kernel {
    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX))
    }

    fn set(&self, millis: u64) -> Result<()> {
        let time = TimeSpec::from(Duration::from_millis(millis));
        clock_settime(ClockId::CLOCK_REALTIME, time).context("setting the clock")
    }
}
