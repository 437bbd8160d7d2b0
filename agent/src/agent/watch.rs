//! Watches the running generation once it is proven, and tells consoles and hub how it does.

use std::time::Duration;

use anyhow::{Context as _, Error, Result, anyhow};
use burin_api::desired::Health;
use burin_api::message::Phase;
use burin_core::health::{Observation, Standing, SystemState, Watch};
use burin_core::view::Fact;

use super::talk::Talk;
use crate::context::Context;
use crate::installed::generations::Settings;
use crate::steps::health;

/// Between two looks at a generation that comes up, that is up, and that is in trouble.
const COMING_UP: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_secs(60);
const TROUBLE: Duration = Duration::from_secs(10);
/// The step under which trouble is shown and filed.
const STEP: &str = "health";

/// What was seen of one generation in this boot, and what was said about it.
#[derive(Debug)]
pub(super) struct Eye {
    generation: u64,
    watch: Watch,
    told: Vec<String>,
    degraded: bool,
}

impl Eye {
    pub(super) fn new(generation: u64, limits: &Health) -> Self {
        Self {
            generation,
            watch: Watch::new(limits),
            told: Vec::new(),
            degraded: false,
        }
    }

    /// Looks and tells. Returns how long to wait until the next look.
    ///
    /// # Errors
    /// When the look's thread dies.
    pub(super) async fn look(
        &mut self,
        ctx: &Context,
        settings: &Settings,
        talk: &Talk,
    ) -> Result<Duration> {
        let runtime = tokio::runtime::Handle::current();
        let (ctx, settings) = (ctx.clone(), settings.clone());
        // It asks programs and reads files, which blocks.
        let look =
            tokio::task::spawn_blocking(move || runtime.block_on(health::observe(&ctx, &settings)));
        let seen = look.await.context("the thread of the look died")?;
        let seen = seen.unwrap_or_else(|err| unseen(&err));
        Ok(self.tell(talk, health::since_boot(), &seen))
    }

    fn tell(&mut self, talk: &Talk, now: Duration, seen: &Observation) -> Duration {
        let standing = self.watch.observe(now, seen).clone();
        match &standing {
            Standing::Running { missing } if missing.is_empty() => {
                if self.degraded {
                    let number = self.generation;
                    talk.events
                        .note(format!("generation {number} is healthy again"));
                    talk.events.done(STEP);
                    talk.observe(|observed| observed.last_error = None);
                }
                self.degraded = false;
                self.told.clear();
                talk.phase(Phase::Running);
                talk.events.tell(&Fact::Running(self.generation));
                GLANCE
            }
            Standing::Running { missing } => {
                self.note(talk, missing);
                talk.phase(Phase::Running);
                TROUBLE
            }
            Standing::Starting { missing } => {
                self.note(talk, missing);
                talk.phase(Phase::Starting);
                COMING_UP
            }
            Standing::Degraded { causes } => {
                self.fail(talk, causes);
                talk.phase(Phase::Degraded);
                TROUBLE
            }
        }
    }

    fn note(&mut self, talk: &Talk, missing: &[String]) {
        if self.told != missing {
            let why = missing.join("; ");
            talk.events.note(format!("not healthy: {why}"));
            self.told = missing.to_vec();
        }
    }

    /// Files the trouble when it begins and whenever its reasons change.
    fn fail(&mut self, talk: &Talk, causes: &[String]) {
        if self.degraded && self.told == causes {
            return;
        }
        let why = causes.join("; ");
        let what = format!(
            "generation {} is not healthy for longer than its profile allows",
            self.generation
        );
        talk.observe(|observed| observed.last_error = Some(format!("{STEP}: {what}: {why}")));
        talk.events.failed(STEP, &Error::msg(why).context(what));
        self.degraded = true;
        self.told = causes.to_vec();
    }
}

/// A host that cannot be looked at is not known to be healthy.
fn unseen(err: &Error) -> Observation {
    let err = anyhow!("the host's health cannot be seen: {err:#}");
    Observation {
        systemd: SystemState::Reached,
        failed_checks: vec![err.to_string()],
        ..Observation::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Events;
    use burin_core::health::Kubernetes;

    fn seen(node: bool) -> Observation {
        Observation {
            systemd: SystemState::Reached,
            kubernetes: Some(Kubernetes {
                api: true,
                node,
                reason: if node { "" } else { "no network" }.to_owned(),
            }),
            ..Observation::default()
        }
    }

    fn eye() -> (Eye, Talk) {
        let limits = Health {
            deadline: 100,
            soak: 10,
            checks: Vec::new(),
        };
        (
            Eye::new(3, &limits),
            Talk::unconnected(&Events::new("boot")),
        )
    }

    #[test]
    fn a_host_says_running_only_when_kubernetes_was_asked_in_this_boot() {
        let (mut eye, talk) = eye();
        let second = Duration::from_secs;
        let running = "burin: running generation 3".to_owned();
        assert_eq!(eye.tell(&talk, second(5), &seen(false)), COMING_UP);
        assert_eq!(talk.reported().phase, Phase::Starting);
        assert!(!talk.events.lines(0).1.contains(&running));

        assert_eq!(eye.tell(&talk, second(9), &seen(true)), GLANCE);
        assert_eq!(talk.reported().phase, Phase::Running);
        assert!(talk.events.lines(0).1.contains(&running));
    }

    #[test]
    fn trouble_is_told_once_to_hub_and_console_and_taken_back() {
        let (mut eye, talk) = eye();
        let second = Duration::from_secs;
        for now in [50, 120, 130, 140] {
            eye.tell(&talk, second(now), &seen(false));
        }
        let report = talk.reported();
        assert_eq!(report.phase, Phase::Degraded);
        let error = report.observed.last_error.unwrap();
        assert!(error.contains("no network"), "{error}");
        let (last, lines) = talk.events.lines(0);
        let failed = |line: &&String| line.starts_with("burin: step health failed");
        assert_eq!(lines.iter().filter(failed).count(), 1, "{lines:?}");
        assert!(talk.events.view().failed.is_some());

        eye.tell(&talk, second(150), &seen(true));
        let report = talk.reported();
        assert_eq!(report.phase, Phase::Running);
        assert_eq!(report.observed.last_error, None);
        assert_eq!(talk.events.view().failed, None);
        let (_, lines) = talk.events.lines(last);
        assert!(
            lines.contains(&"burin: state=running".to_owned()),
            "{lines:?}"
        );
    }

    #[test]
    fn a_look_that_fails_is_not_health() {
        let (mut eye, talk) = eye();
        let seen = unseen(&anyhow!("systemctl is gone"));
        eye.tell(&talk, Duration::from_secs(100), &seen);
        assert_eq!(talk.reported().phase, Phase::Degraded);
    }
}
