//! The clock: never earlier than a time that is known to have passed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

/// What became of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    Kept,
    /// It was earlier than the floor and now stands at it. Seconds since 1970.
    Raised {
        from: u64,
        to: u64,
    },
}

/// The time to set, if any. A clock that runs behind the build of the installer was lost with its
/// battery; with it, every certificate looks as if it were not valid yet.
pub fn raised(now: u64, floor: u64) -> Option<u64> {
    (now < floor).then_some(floor)
}

/// Raises the clock to `floor` (seconds since 1970) if it is behind.
///
/// # Errors
/// When the kernel refuses, which it does to anybody but root.
pub fn raise(floor: u64) -> Result<Clock> {
    let from = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let Some(to) = raised(from, floor) else {
        return Ok(Clock::Kept);
    };
    set(Duration::from_secs(to))?;
    Ok(Clock::Raised { from, to })
}

/// Sets the clock to a time since 1970.
///
/// # Errors
/// When the kernel refuses, which it does to anybody but root.
pub fn set(since_1970: Duration) -> Result<()> {
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from(since_1970)).context("setting the clock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clock_behind_the_floor_is_raised() {
        assert_eq!(raised(5, 10), Some(10));
        assert_eq!(raised(10, 10), None);
        assert_eq!(raised(11, 10), None);
    }

    #[test]
    fn a_floor_in_the_past_leaves_the_clock_alone() {
        assert_eq!(raise(1).unwrap(), Clock::Kept);
    }
}
