//! The clock, in the unit of the database and the wire.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970; 0 for a clock before that.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}

/// A database time as the wire carries it.
pub(crate) fn wire(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}
