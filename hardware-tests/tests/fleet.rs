//! A small fleet of fake agents against the real hub: everybody is let in, and comes back after the
//! hub's end. How long it takes is `scripts/bench --fleet`.

use std::time::Duration;

use anyhow::Result;
use burin_hardware_tests::{
    artifacts::{Artifacts, Profile},
    bench::fleet::{self, Plan},
    workspace,
};

#[test]
fn two_hundred_hosts_are_accepted_and_back_after_the_hub_was_killed() -> Result<()> {
    let folder = workspace::scenario("fleet")?;
    // Longer than an interval, so that every host notices.
    let plan = Plan {
        away: Duration::from_secs(3),
        ..Plan::of(200, 2, None)
    };
    let seen = fleet::run(&Artifacts::build(Profile::Thin)?, &folder, &plan)?;
    assert_eq!((seen.accepted, seen.synced), (200, 200));
    Ok(())
}
