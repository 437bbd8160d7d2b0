//! How a generation that is proven good does in this boot. It is watched, never given up.

use std::time::Duration;

use burin_api::desired::Health;

use super::{Gate, Observation, Verdict, missing};

/// How a proven generation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not yet healthy in this boot, still within its time; what is missing.
    Starting { missing: Vec<String> },
    /// Healthy, or not for so short a time that it says nothing; what is missing.
    Running { missing: Vec<String> },
    /// Not healthy for longer than the release allows.
    Degraded { causes: Vec<String> },
}

impl Standing {
    /// What keeps the generation from being healthy, most basic first; empty when nothing does.
    #[must_use]
    pub fn missing(&self) -> &[String] {
        match self {
            Self::Starting { missing } | Self::Running { missing } => missing,
            Self::Degraded { causes } => causes,
        }
    }
}

/// Watches one proven generation in one boot. It has the release's deadline to come up; once it
/// was healthy it may be unhealthy for as long as the release makes a new generation soak.
#[derive(Debug, Clone)]
pub struct Watch {
    gate: Gate,
    grace: u64,
    standing: Standing,
}

impl Watch {
    /// A watch that has seen nothing in this boot.
    #[must_use]
    pub fn new(health: &Health) -> Self {
        Self {
            gate: gate(health.deadline),
            grace: health.soak,
            standing: Standing::Starting {
                missing: Vec::new(),
            },
        }
    }

    /// Judges what was seen at `now`, a time since the machine's start.
    ///
    /// As with [`Gate::observe`] the clock stands still while images are pulled and bytes move.
    /// A degraded generation stays so until it is healthy.
    pub fn observe(&mut self, now: Duration, seen: &Observation) -> &Standing {
        let missing = missing(seen);
        let well = self.standing == Standing::Running { missing: vec![] };
        if !missing.is_empty() && well {
            // Looks at a healthy host are rare: trouble counts from when it is seen.
            self.gate = gate(self.grace);
            self.gate.last = Some((now, seen.received));
        }
        let over = matches!(self.gate.observe(now, seen), Verdict::Failed { .. });
        self.standing = match &self.standing {
            _ if missing.is_empty() => Standing::Running { missing },
            _ if over => Standing::Degraded { causes: missing },
            Standing::Degraded { .. } => Standing::Degraded { causes: missing },
            Standing::Starting { .. } => Standing::Starting { missing },
            Standing::Running { .. } => Standing::Running { missing },
        };
        &self.standing
    }
}

/// A judge who asks for no soak: the generation has soaked when it was proven.
fn gate(seconds: u64) -> Gate {
    Gate::new(&Health {
        deadline: seconds,
        soak: 0,
        checks: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::tests::{healthy, node_down, secs};

    fn watch() -> Watch {
        Watch::new(&Health {
            deadline: 100,
            soak: 20,
            checks: Vec::new(),
        })
    }

    fn word(standing: &Standing) -> &'static str {
        match standing {
            Standing::Starting { .. } => "starting",
            Standing::Running { .. } => "running",
            Standing::Degraded { .. } => "degraded",
        }
    }

    /// Each look: second, whether the node is ready, what is said.
    #[test]
    fn a_proven_generation_runs_only_when_it_was_seen_healthy_in_this_boot() {
        let stories: [&[(u64, bool, &str)]; 4] = [
            &[(10, false, "starting"), (30, true, "running")],
            &[
                (10, false, "starting"),
                (99, false, "starting"),
                (100, false, "degraded"),
                (900, false, "degraded"),
                (901, true, "running"),
            ],
            // The grace counts anew for each trouble.
            &[
                (10, true, "running"),
                (70, false, "running"),
                (89, false, "running"),
                (500, true, "running"),
                (560, false, "running"),
                (579, false, "running"),
                (580, false, "degraded"),
                (581, true, "running"),
                (582, false, "running"),
            ],
            // An agent that was started again long after the machine.
            &[(5000, false, "degraded"), (5002, true, "running")],
        ];
        for story in stories {
            let mut watch = watch();
            for &(second, ready, want) in story {
                let seen = if ready { healthy() } else { node_down() };
                let standing = watch.observe(secs(second), &seen);
                assert_eq!(word(standing), want, "second {second} of {story:?}");
                assert_eq!(standing.missing().is_empty(), ready, "second {second}");
            }
        }
    }

    #[test]
    fn a_slow_pull_is_no_trouble_and_does_not_hide_one() {
        let mut watch = watch();
        let mut seen = node_down();
        seen.pulling = true;
        for n in 1..50 {
            seen.received += 1 << 20;
            let standing = watch.observe(secs(n * 10), &seen);
            assert_eq!(word(standing), "starting", "{n}");
        }
        let stuck = (50..70).any(|n| word(watch.observe(secs(n * 10), &seen)) == "degraded");
        assert!(stuck, "no byte moved any more");
        seen.received += 1 << 30;
        assert_eq!(word(watch.observe(secs(701), &seen)), "degraded");
    }
}
