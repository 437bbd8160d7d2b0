//! Time without a clock: when the host's clock is believed, and when the hub's corrects it.

/// Longest that a clock may be ahead of the newest time known to have passed: ten years, in
/// milliseconds. A battery that died shows the past, a broken one anything.
const AHEAD: u64 = 10 * 365 * 24 * 3600 * 1000;
/// A difference below this is a slow clock, not a wrong one. Milliseconds.
const SLACK: u64 = 5 * 60 * 1000;

/// Whether a clock can be right. All times in milliseconds since 1970; `floor` is the newest of
/// build time and the last time the hub confirmed.
#[must_use]
pub fn is_believable(clock: u64, floor: u64) -> bool {
    clock >= floor && clock - floor <= AHEAD
}

/// The time to set the host's clock to, after the hub said the time in a signed answer to a fresh
/// nonce; none when the clock is good as it is, or when the hub's own time cannot be right.
#[must_use]
pub fn correction(clock: u64, hub: u64, floor: u64) -> Option<u64> {
    let wrong = clock.abs_diff(hub) > SLACK;
    (wrong && is_believable(hub, floor)).then_some(hub)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000;
    const BUILT: u64 = NOW - 1_000_000_000;

    #[test]
    fn a_clock_is_believed_from_the_floor_to_ten_years_after() {
        for (clock, want) in [
            (0, false),
            (BUILT - 1, false),
            (BUILT, true),
            (NOW, true),
            (BUILT + AHEAD, true),
            (BUILT + AHEAD + 1, false),
            (u64::MAX, false),
        ] {
            assert_eq!(is_believable(clock, BUILT), want, "{clock}");
        }
    }

    #[test]
    fn the_hub_corrects_a_wrong_clock_only_to_a_time_that_can_be() {
        for (clock, hub, want) in [
            (0, NOW, Some(NOW)),
            (NOW + 1000, NOW, None),
            (NOW + SLACK + 1, NOW, Some(NOW)),
            (NOW, 0, None),
            (0, BUILT + AHEAD + 1, None),
        ] {
            assert_eq!(correction(clock, hub, BUILT), want, "{clock} {hub}");
        }
    }
}
