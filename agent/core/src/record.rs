//! What cannot be seen on the disk afterwards: the operation, its attempts, its last error.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The record of the operation under way. One JSON file, replaced as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Which installation, upgrade or boot this is. An installation's is the GUID of its disk.
    pub operation: String,
    /// Name of the step that was begun and not ended: the machine may be in the middle of it.
    pub under_way: Option<String>,
    /// Step name -> how often it was begun in this operation.
    pub attempts: BTreeMap<String, u32>,
    pub last_error: Option<LastError>,
    /// What must have happened by when: name -> seconds since this operation's first boot was
    /// entered here. Kept, so that a crash does not give a sick generation new time.
    pub deadlines: BTreeMap<String, u64>,
    /// Step name -> what the step found out and a later step needs, when it cannot be seen on disk.
    pub results: BTreeMap<String, serde_json::Value>,
}

/// Why the last failed step failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    pub step: String,
    /// The chain of causes, outermost first.
    pub causes: Vec<String>,
    /// What a person can do; empty when nothing is needed.
    #[serde(default)]
    pub advice: String,
    /// Whether the step will be tried again by itself.
    #[serde(default)]
    pub retried: bool,
}

impl Record {
    /// An empty record of an operation.
    #[must_use]
    pub fn new(operation: &str) -> Self {
        Self {
            operation: operation.to_owned(),
            ..Self::default()
        }
    }

    /// Notes that `step` is about to touch the machine.
    pub fn begin(&mut self, step: &str) {
        self.under_way = Some(step.to_owned());
        let attempts = self.attempts.entry(step.to_owned()).or_default();
        *attempts = attempts.saturating_add(1);
    }

    /// Notes that `step` was done: its failures no longer count.
    pub fn end(&mut self, step: &str) {
        self.under_way = None;
        self.attempts.remove(step);
        if self
            .last_error
            .as_ref()
            .is_some_and(|error| error.step == step)
        {
            self.last_error = None;
        }
    }

    /// Notes that a step failed.
    pub fn fail(&mut self, error: LastError) {
        self.under_way = None;
        self.last_error = Some(error);
    }

    /// How often `step` was begun without an end.
    #[must_use]
    pub fn attempts(&self, step: &str) -> u32 {
        self.attempts.get(step).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_ends_takes_its_failures_with_it() {
        let mut record = Record::new("op");
        record.begin("seal");
        record.fail(LastError {
            step: "seal".to_owned(),
            causes: vec!["no space".to_owned()],
            advice: String::new(),
            retried: true,
        });
        record.begin("seal");
        assert_eq!(record.attempts("seal"), 2);
        assert_eq!(record.under_way.as_deref(), Some("seal"));
        record.end("seal");
        assert_eq!(
            (record.attempts("seal"), record.last_error.clone()),
            (0, None)
        );
        assert_eq!(record.under_way, None);
    }

    #[test]
    fn a_record_of_an_older_agent_is_read() {
        let record: Record = serde_json::from_str(r#"{"operation":"op","new_field":1}"#).unwrap();
        assert_eq!(record, Record::new("op"));
    }
}
