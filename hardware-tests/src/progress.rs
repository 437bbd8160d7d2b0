//! What demo prints while a host installs: one line for each change, and the time of each phase.

use std::time::Instant;

use serde_json::Value;

/// Follows one host by what `host list --json` says of it.
#[derive(Debug)]
pub struct Follow {
    started: Instant,
    phase: String,
    phase_since: Instant,
    shown: String,
    phases: Vec<(String, f64)>,
}

impl Follow {
    /// Starts the clock in the phase `name`.
    pub fn named(name: &str) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            phase: name.to_owned(),
            phase_since: now,
            shown: String::new(),
            phases: Vec::new(),
        }
    }

    /// Takes in what the hub says of the host; returns a line when it is worth one.
    pub fn see(&mut self, host: &Value) -> Option<String> {
        let phase = text(host, "phase");
        if !phase.is_empty() && phase != self.phase {
            self.enter(&phase);
        }
        let step = text(&host["progress"], "step");
        let percent = percent(&host["progress"]);
        let error = text(host, "last_error");
        let line = [text(host, "state"), phase, step, percent, error]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("  ");
        if line == self.shown {
            return None;
        }
        self.shown.clone_from(&line);
        Some(format!(
            "{:7.1} s  {line}",
            self.started.elapsed().as_secs_f64()
        ))
    }

    /// Starts a phase that the hub does not see.
    pub fn enter(&mut self, phase: &str) {
        let seconds = self.phase_since.elapsed().as_secs_f64();
        self.phases.push((
            std::mem::replace(&mut self.phase, phase.to_owned()),
            seconds,
        ));
        self.phase_since = Instant::now();
    }

    /// Ends the last phase; name and seconds of each, in order.
    pub fn finish(mut self) -> Vec<(String, f64)> {
        self.enter("");
        self.phases
    }

    /// Seconds since the beginning.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// In steps of ten, so that a slow download is some lines and not hundreds.
fn percent(progress: &Value) -> String {
    match (progress["done"].as_u64(), progress["total"].as_u64()) {
        (Some(done), Some(total)) if total > 0 => {
            format!("{} %", (done.saturating_mul(10) / total * 10).min(100))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_is_shown_once_and_phases_are_timed_in_order() {
        let mut follow = Follow::named("power-on");
        let host = json!({"state": "active", "phase": "pull", "progress": {"step": "pull_blob", "done": 31, "total": 100}});
        let line = follow.see(&host).unwrap();
        assert!(line.ends_with("active  pull  pull_blob  30 %"), "{line}");
        assert_eq!(follow.see(&host), None);
        let names: Vec<_> = follow.finish().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["power-on", "pull"]);
    }
}
