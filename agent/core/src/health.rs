//! Whether a generation is healthy: a pure verdict from what was seen, over time.

use std::time::Duration;

use burin_api::desired::Health;

mod watch;

pub use watch::{Standing, Watch};

/// What was seen at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    pub systemd: SystemState,
    /// Failed units that the host cannot do without.
    pub failed_units: Vec<String>,
    /// None when the release has no Kubernetes.
    pub kubernetes: Option<Kubernetes>,
    /// The profile's own checks that do not hold, each as one sentence.
    pub failed_checks: Vec<String>,
    /// Images are being pulled for workloads.
    pub pulling: bool,
    /// Bytes received on all links since boot.
    pub received: u64,
}

/// The state of the service manager, as `systemctl is-system-running` names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SystemState {
    #[default]
    Starting,
    /// Reached its target; `degraded` counts too: what failed is judged unit by unit.
    Reached,
    /// Rescue, emergency or on its way down.
    Other(String),
}

impl SystemState {
    /// Reads the word that systemd prints.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word.trim() {
            "running" | "degraded" => Self::Reached,
            "initializing" | "starting" => Self::Starting,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// What Kubernetes says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kubernetes {
    /// The API answers that it is ready.
    pub api: bool,
    /// The node's condition Ready is true.
    pub node: bool,
    /// The reason that Kubernetes gives when it is not.
    pub reason: String,
}

/// Units without which a host is not what it should be. Others may fail: what they mean is for the
/// profile's own checks to say.
const CRITICAL: [&str; 9] = [
    "k3s.service",
    "systemd-journald.service",
    "systemd-udevd.service",
    "systemd-networkd.service",
    "NetworkManager.service",
    "dbus.service",
    "dbus-broker.service",
    "local-fs.target",
    "systemd-modules-load.service",
];

/// The critical ones among the failed units, from `systemctl list-units --output=json`.
///
/// # Errors
/// The text is not the list that systemd prints.
pub fn critical_failures(json: &str) -> Result<Vec<String>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Unit {
        unit: String,
    }
    let units: Vec<Unit> = serde_json::from_str(json)?;
    let failed = units.into_iter().map(|unit| unit.unit);
    Ok(failed
        .filter(|unit| CRITICAL.contains(&unit.as_str()))
        .collect())
}

/// Bytes received on all links but the loopback, from `/proc/net/dev`.
#[must_use]
pub fn received(net_dev: &str) -> u64 {
    let links = net_dev.lines().filter_map(|line| line.split_once(':'));
    links
        .filter(|(name, _)| name.trim() != "lo")
        .filter_map(|(_, counters)| counters.split_whitespace().next()?.parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

/// Received bytes per second from which a pull counts as moving.
const MOVING: u64 = 4 * 1024;

/// The judge of one generation. Times are since its start, on a clock that never jumps.
#[derive(Debug, Clone)]
pub struct Gate {
    deadline: Duration,
    soak: Duration,
    /// Time that counts against the deadline.
    spent: Duration,
    healthy_since: Option<Duration>,
    last: Option<(Duration, u64)>,
}

/// What the judge says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not healthy yet, and why.
    Waiting {
        missing: Vec<String>,
        left: Duration,
    },
    /// Healthy; must stay so for this long.
    Soaking {
        left: Duration,
    },
    Good,
    /// The deadline passed; the reasons are the last words.
    Failed {
        causes: Vec<String>,
    },
}

impl Gate {
    /// A judge with the limits of a release.
    #[must_use]
    pub fn new(health: &Health) -> Self {
        Self {
            deadline: Duration::from_secs(health.deadline),
            soak: Duration::from_secs(health.soak),
            spent: Duration::ZERO,
            healthy_since: None,
            last: None,
        }
    }

    /// Judges what was seen at `now`.
    ///
    /// The clock stands still while images are pulled and bytes move, because a slow line is no
    /// failure, and while the host soaks, because then it is healthy.
    pub fn observe(&mut self, now: Duration, seen: &Observation) -> Verdict {
        let moved = self.account(now, seen);
        let missing = missing(seen);
        if missing.is_empty() {
            let since = *self.healthy_since.get_or_insert(now);
            let left = self.soak.saturating_sub(now.saturating_sub(since));
            return if left.is_zero() {
                Verdict::Good
            } else {
                Verdict::Soaking { left }
            };
        }
        self.healthy_since = None;
        let left = self.deadline.saturating_sub(self.spent);
        if left.is_zero() && !moved {
            return Verdict::Failed { causes: missing };
        }
        Verdict::Waiting { missing, left }
    }

    /// Adds the time since the last look unless bytes moved for a pull; says whether they did.
    fn account(&mut self, now: Duration, seen: &Observation) -> bool {
        let (before, received) = self.last.replace((now, seen.received)).unwrap_or((
            // Everything before the first look counts: the kernel and systemd took it.
            Duration::ZERO,
            seen.received,
        ));
        let passed = now.saturating_sub(before);
        let bytes = seen.received.saturating_sub(received);
        let needed = MOVING.saturating_mul(passed.as_secs().max(1));
        let moved = seen.pulling && bytes >= needed;
        if !moved && self.healthy_since.is_none() {
            self.spent += passed;
        }
        moved
    }
}

/// What keeps the host from being healthy, most basic first.
fn missing(seen: &Observation) -> Vec<String> {
    let mut missing = Vec::new();
    match &seen.systemd {
        SystemState::Reached => {}
        SystemState::Starting => missing.push("systemd is still starting units".to_owned()),
        SystemState::Other(word) => missing.push(format!("systemd is in the state `{word}`")),
    }
    for unit in &seen.failed_units {
        missing.push(format!("the unit {unit} failed"));
    }
    if let Some(kubernetes) = &seen.kubernetes {
        let because = if kubernetes.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", kubernetes.reason)
        };
        if !kubernetes.api {
            missing.push(format!("the Kubernetes API is not ready{because}"));
        } else if !kubernetes.node {
            missing.push(format!("the Kubernetes node is not ready{because}"));
        }
    }
    missing.extend(seen.failed_checks.iter().cloned());
    missing
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
