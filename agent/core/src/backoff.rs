//! When to try again: the class of an error and the pause that follows from it.

use std::time::Duration;

/// The first pause after a failure.
pub const FIRST: Duration = Duration::from_secs(5);
/// The longest pause. A hub that was away for days is asked four times an hour.
pub const LONGEST: Duration = Duration::from_secs(15 * 60);
/// The shortest pause.
const SHORTEST: Duration = Duration::from_millis(500);

/// What trying the same thing again can bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// May work at any moment: a cut, a busy device, a server that restarts.
    Again,
    /// Works not before this time has passed: the other side said so.
    After(Duration),
    /// Works only when something else changes first: the plan, the hardware, a person.
    Never,
}

/// The pause before attempt number `attempt` + 1, or none when trying again cannot help.
///
/// `attempt` counts the failures so far, from 1. `random` is any random number; the pause is drawn
/// evenly from half a second up to the bound ("full jitter"), so that a fleet that lost its hub at
/// one moment does not come back at one moment. A pause that the other side asked for is a lower
/// bound, with up to a quarter more.
pub fn pause(class: Class, attempt: u32, random: u64) -> Option<Duration> {
    match class {
        Class::Never => None,
        Class::After(asked) => {
            let asked = asked.min(LONGEST);
            Some(asked + share(asked / 4, random))
        }
        Class::Again => Some(share(bound(attempt), random).max(SHORTEST)),
    }
}

/// As [`pause`], while the other side has not answered for `lasted`: no pause that this host chooses
/// itself is longer than the outage so far, or [`FIRST`]. A host that drew some short pauses would
/// otherwise come to long ones within a short outage; so it is back before the outage has lasted
/// twice as long, and the hosts of a fleet still come spread over that time.
pub fn pause_in_outage(
    class: Class,
    attempt: u32,
    lasted: Duration,
    random: u64,
) -> Option<Duration> {
    match class {
        Class::Again => {
            let bound = bound(attempt).min(lasted.max(FIRST));
            Some(share(bound, random).max(SHORTEST))
        }
        class => pause(class, attempt, random),
    }
}

/// Longest pause after so many failures.
fn bound(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

fn share(whole: Duration, random: u64) -> Duration {
    let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX - 1);
    Duration::from_millis(random % (millis + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bound_doubles_from_five_seconds_to_fifteen_minutes() {
        for (attempt, bound) in [
            (1, 5),
            (2, 10),
            (3, 20),
            (7, 320),
            (8, 640),
            (9, 900),
            (1000, 900),
        ] {
            let top = bound * 1000;
            assert_eq!(
                pause(Class::Again, attempt, top),
                Some(Duration::from_secs(bound)),
                "attempt {attempt}"
            );
        }
    }

    #[test]
    fn what_cannot_help_is_not_tried_again() {
        assert_eq!(pause(Class::Never, 1, 0), None);
    }

    #[test]
    fn an_outage_bounds_the_pauses_within_it() {
        for (attempt, lasted, bound) in [
            (1, 0, 5),
            (5, 3, 5),
            (7, 90, 90),
            (3, 90, 20),
            (20, 3600, 900),
        ] {
            let lasted = Duration::from_secs(lasted);
            assert_eq!(
                pause_in_outage(Class::Again, attempt, lasted, bound * 1000),
                Some(Duration::from_secs(bound)),
                "attempt {attempt} after {lasted:?}"
            );
        }
        let asked = Class::After(Duration::from_secs(60));
        assert_eq!(
            pause_in_outage(asked, 1, Duration::ZERO, 0),
            Some(Duration::from_secs(60))
        );
    }

    proptest! {
        #[test]
        fn a_host_is_back_before_an_outage_has_lasted_twice_as_long(
            outage in 5_u64..=450,
            draws in proptest::collection::vec(any::<u64>(), 2000),
        ) {
            let outage = Duration::from_secs(outage);
            let mut lasted = Duration::ZERO;
            for (attempt, draw) in (1..).zip(draws) {
                lasted += pause_in_outage(Class::Again, attempt, lasted, draw).unwrap();
                if lasted >= outage {
                    break;
                }
            }
            prop_assert!(lasted >= outage && lasted <= outage * 2);
        }

        #[test]
        fn a_pause_is_never_zero_and_never_longer_than_the_longest(attempt: u32, random: u64) {
            let pause = pause(Class::Again, attempt, random).unwrap();
            prop_assert!(pause >= Duration::from_millis(500) && pause <= LONGEST);
        }

        #[test]
        fn a_pause_that_was_asked_for_is_kept(seconds in 1_u64..900, random: u64) {
            let asked = Duration::from_secs(seconds);
            let pause = pause(Class::After(asked), 3, random).unwrap();
            prop_assert!(pause >= asked && pause <= asked + asked / 4);
        }
    }
}
