//! A host's way to running, as its events at the hub tell it.

use std::fmt;

use anyhow::{Context, Result};
use burin_api::event::{Event, EventKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Steps that took less are no line of their own, seconds.
const SHORT: f64 = 0.1;

/// Seconds from power-on to running, split, and what the host noted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Story {
    pub seconds: f64,
    /// Names and seconds; together they are [`Self::seconds`].
    pub parts: Vec<(String, f64)>,
    pub notes: Vec<String>,
}

#[derive(Deserialize)]
struct Stored {
    event: Event,
}

impl Story {
    /// Out of `event list --json`, for a way that took `seconds`.
    ///
    /// # Errors
    /// When it is no list of events.
    pub fn new(list: Value, seconds: f64) -> Result<Self> {
        let stored: Vec<Stored> =
            serde_json::from_value(list).context("understanding the list of events")?;
        let events: Vec<Event> = stored.into_iter().map(|it| it.event).collect();
        let mut parts = Vec::new();
        for (number, boot) in (1..).zip(events.chunk_by(|a, b| a.boot_id == b.boot_id)) {
            if let Some(first) = boot.iter().find(|it| it.kind == EventKind::Started) {
                let name = format!("start {number}, from its kernel to its first step");
                parts.push((name, first.monotonic as f64 / 1000.0));
            }
            parts.extend(steps(boot));
        }
        let told: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
        parts.push((
            "firmware, boot loader, shutdown, between steps".to_owned(),
            seconds - told,
        ));
        let notes = events.into_iter().filter(|it| it.kind == EventKind::Note);
        Ok(Self {
            seconds,
            parts,
            notes: notes.map(|it| it.message).collect(),
        })
    }
}

/// The steps of one boot, from the first time each was started until it was done.
fn steps(boot: &[Event]) -> impl Iterator<Item = (String, f64)> {
    let done = boot.iter().filter(|it| it.kind == EventKind::Done);
    done.filter_map(|done| {
        let started = boot
            .iter()
            .find(|it| it.kind == EventKind::Started && it.step == done.step)?;
        let seconds = done.monotonic.saturating_sub(started.monotonic) as f64 / 1000.0;
        (seconds >= SHORT).then(|| (format!("step {}", done.step), seconds))
    })
}

impl fmt::Display for Story {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "from power-on to running:")?;
        for (name, seconds) in &self.parts {
            writeln!(out, "  {seconds:7.1} s  {name}")?;
        }
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(boot: &str, monotonic: u64, step: &str, kind: &str, message: &str) -> Value {
        json!({"number": 1, "event": {
            "id": "x", "sequence": 1, "boot_id": boot, "monotonic": monotonic, "time": 1,
            "operation": "", "step": step, "kind": kind, "message": message,
        }})
    }

    #[test]
    fn the_parts_are_the_whole_and_a_step_that_was_tried_again_is_one() {
        let list = json!([
            event("a", 1000, "", "note", "hello"),
            event("a", 9000, "pull", "started", ""),
            event("a", 9900, "pull", "retrying", "cut"),
            event("a", 10000, "pull", "started", ""),
            event("a", 20000, "pull", "done", ""),
            event("a", 20010, "entry", "started", ""),
            event("a", 20020, "entry", "done", ""),
            event("b", 4000, "health", "started", ""),
            event("b", 9000, "health", "done", ""),
        ]);
        let story = Story::new(list, 40.0).unwrap();
        let parts: Vec<_> = story.parts.iter().map(|(n, s)| (n.as_str(), *s)).collect();
        assert_eq!(
            parts,
            [
                ("start 1, from its kernel to its first step", 9.0),
                ("step pull", 11.0),
                ("start 2, from its kernel to its first step", 4.0),
                ("step health", 5.0),
                ("firmware, boot loader, shutdown, between steps", 11.0),
            ]
        );
        assert_eq!(story.notes, ["hello"]);
        assert!(Story::new(json!({"items": []}), 1.0).is_err());
    }
}
