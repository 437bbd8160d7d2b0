//! Lines for a serial console: stable, one fact a line, so that a person and a program can wait on
//! them. docs/console.md lists them.

use burin_api::event::{Event, EventKind, Progress};

use super::{Fact, phase_word, severity_word};
use crate::display::plain;

/// The line of an event. Control characters never reach a terminal.
#[must_use]
pub fn event_line(event: &Event) -> String {
    let what = match event.kind {
        EventKind::Started => "started",
        EventKind::Retrying => "retrying",
        EventKind::Done => "done",
        EventKind::Failed => "failed",
        EventKind::Corruption => return plain(&format!("burin: corruption {}", event.message)),
        EventKind::Note | EventKind::Unknown => {
            return plain(&format!("burin: note {}", with_causes(event)));
        }
    };
    let text = with_causes(event);
    if text.is_empty() {
        plain(&format!("burin: step {} {what}", event.step))
    } else {
        plain(&format!("burin: step {} {what}: {text}", event.step))
    }
}

fn with_causes(event: &Event) -> String {
    let mut text = event.message.clone();
    for cause in &event.causes {
        // The message often is the outermost cause already.
        if !text.contains(cause.as_str()) {
            text.push_str(": ");
            text.push_str(cause);
        }
    }
    text
}

/// The line of a step's progress.
#[must_use]
pub fn progress_line(progress: &Progress) -> String {
    let left = progress
        .left
        .map_or_else(|| "unknown".to_owned(), |left| format!("{left}s"));
    plain(&format!(
        "burin: progress step={} position={}/{} done={} total={} left={left}",
        progress.step, progress.position, progress.steps, progress.done, progress.total
    ))
}

/// The lines of a fact.
#[must_use]
pub fn fact_line(fact: &Fact) -> Vec<String> {
    let lines = match fact {
        Fact::Phase(phase) => vec![format!("burin: state={}", phase_word(*phase))],
        Fact::Host { id, source } => vec![format!("burin: host {id} ({source})")],
        Fact::Name(name) => vec![format!("burin: name {name}")],
        Fact::Address(address) => vec![format!("burin: address {address}")],
        Fact::Hub(hub) => vec![format!("burin: hub {hub}")],
        Fact::HubState(state) if state.is_empty() => Vec::new(),
        Fact::HubState(state) => vec![format!("burin: hub-state {state}")],
        Fact::Claim { key, link } => {
            let mut lines = vec![format!("burin: key {key}")];
            if !link.is_empty() {
                lines.push(format!("burin: claim {link}"));
            }
            lines
        }
        Fact::Pending(pending) => {
            let number = pending.match_number.map(|number| number.to_string());
            vec![format!(
                "burin: pending reason={} code={} number={}",
                pending.reason,
                pending.code,
                number.unwrap_or_default()
            )]
        }
        Fact::Refused { reason } => vec![format!("burin: refused reason={reason}")],
        Fact::Accepted { host_uid } => vec![format!("burin: accepted {host_uid}")],
        Fact::Release { name, version } => vec![format!("burin: release {name} {version}")],
        Fact::Findings(findings) => findings
            .iter()
            .map(|finding| {
                let advice = if finding.advice.is_empty() {
                    String::new()
                } else {
                    format!(" advice={:?}", finding.advice)
                };
                format!(
                    "burin: finding {} {} measured={:?} required={:?}{advice}",
                    finding.name,
                    severity_word(finding.severity),
                    finding.measured,
                    finding.required
                )
            })
            .collect(),
        Fact::Blocked => vec!["burin: blocked".to_owned()],
        Fact::Rebooting => vec!["burin: rebooting".to_owned()],
        Fact::PoweringOff => vec!["burin: powering off".to_owned()],
        Fact::Running(generation) => vec![format!("burin: running generation {generation}")],
    };
    lines.iter().map(|line| plain(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burin_api::event::{Finding, Severity};
    use burin_api::message::Phase;

    fn event(kind: EventKind, message: &str, causes: &[&str]) -> Event {
        Event {
            id: "boot:1".to_owned(),
            sequence: 1,
            boot_id: "boot".to_owned(),
            monotonic: 1,
            time: 1,
            operation: "op".to_owned(),
            step: "pull".to_owned(),
            kind,
            message: message.to_owned(),
            causes: causes.iter().map(|&it| it.to_owned()).collect(),
        }
    }

    #[test]
    fn lines_are_what_the_manual_promises() {
        let finding = Finding {
            name: "memory.size".to_owned(),
            measured: "4 GB".to_owned(),
            required: "8 GB".to_owned(),
            severity: Severity::Block,
            advice: "Add memory.".to_owned(),
        };
        for (facts, want) in [
            (Fact::Phase(Phase::Installing), "burin: state=installing"),
            (
                Fact::Findings(vec![finding]),
                "burin: finding memory.size block measured=\"4 GB\" required=\"8 GB\" advice=\"Add memory.\"",
            ),
            (Fact::Blocked, "burin: blocked"),
            (Fact::Rebooting, "burin: rebooting"),
            (Fact::Running(3), "burin: running generation 3"),
        ] {
            assert_eq!(fact_line(&facts), [want]);
        }
        for (kind, message, want) in [
            (EventKind::Started, "", "burin: step pull started"),
            (EventKind::Done, "", "burin: step pull done"),
            (
                EventKind::Failed,
                "no route",
                "burin: step pull failed: no route: timed out",
            ),
        ] {
            let causes: &[&str] = if kind == EventKind::Failed {
                &["no route", "timed out"]
            } else {
                &[]
            };
            assert_eq!(event_line(&event(kind, message, causes)), want);
        }
    }

    #[test]
    fn no_control_character_reaches_a_terminal() {
        let line = event_line(&event(EventKind::Note, "a\x1b[2Jb\r\nc\u{202e}d", &[]));
        assert!(!line.chars().any(crate::display::disturbs), "{line:?}");
    }

    #[test]
    fn progress_names_bytes_and_time_left() {
        let progress = Progress {
            step: "pull".to_owned(),
            position: 5,
            steps: 9,
            done: 10,
            total: 20,
            left: Some(3),
        };
        assert_eq!(
            progress_line(&progress),
            "burin: progress step=pull position=5/9 done=10 total=20 left=3s"
        );
    }
}
