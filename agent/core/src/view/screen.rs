//! The screen as rows of characters: status, or what a person needs to take the host in.

use burin_api::event::Severity;

use super::text::{row, unknown, wrap};
use super::{HUB, View, pending, phase_word, severity_word};
use crate::display::plain;

/// One row of the screen. The code is drawn bright white on black, the text as the console has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// Half blocks of a QR code at the left edge; empty on rows without.
    pub code: String,
    /// What follows it.
    pub text: String,
}

impl Row {
    pub(super) fn text(text: String) -> Self {
        Self {
            code: String::new(),
            text,
        }
    }
}

/// The rows of the screen, at most `height`, each at most `width` characters.
#[must_use]
pub fn screen(view: &View, version: &str, width: usize, height: usize) -> Vec<Row> {
    let mut rows = match pending::applies(view) {
        true => pending::rows(view, version, width, height),
        false => status(view, version, width, height)
            .into_iter()
            .map(Row::text)
            .collect(),
    };
    rows.truncate(height);
    for row in &mut rows {
        let room = width.saturating_sub(row.code.chars().count());
        row.text = plain(&row.text).chars().map(drawable).take(room).collect();
    }
    rows
}

/// Latin letters as they are. Of the rest some take two columns on a terminal and some none, which
/// would shift what stands beside them, and the ISO's font has hardly any.
fn drawable(c: char) -> char {
    match c {
        ' '..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => c,
        _ => '?',
    }
}

fn status(view: &View, version: &str, width: usize, height: usize) -> Vec<String> {
    let mut rows = vec![format!("burin {version}"), String::new()];
    let state = if view.leaving {
        "restarting"
    } else {
        phase_word(view.phase)
    };
    rows.push(row("State", state));
    rows.push(row("Host ID", unknown(&view.host_id)));
    if !view.name.is_empty() {
        rows.push(row("Name", &view.name));
    }
    if !view.accepted {
        rows.extend(compared(view, width));
    }
    rows.push(row("Address", unknown(&view.address)));
    rows.push(row("Hub", unknown(&view.hub)));
    if !view.hub_state.is_empty() {
        rows.extend(wrap("", &view.hub_state, width));
    }
    if !view.release.is_empty() {
        rows.push(row("Profile", &view.release));
    }
    if let Some(generation) = view.running {
        rows.push(row("Generation", &generation.to_string()));
    }
    rows.extend(work(view));
    rows.extend(trouble(view, width));
    let room = height.saturating_sub(rows.len() + 1);
    if room > 0 && !view.recent.is_empty() {
        rows.push(String::new());
        let newest = view.recent.len().saturating_sub(room);
        rows.extend(view.recent.iter().skip(newest).cloned());
    }
    rows
}

/// What a person compares with the hub's page or types into it.
pub(super) fn compared(view: &View, width: usize) -> Vec<String> {
    let mut rows = Vec::new();
    if !view.key.is_empty() {
        rows.extend(wrap("Key", &view.key, width));
    }
    if let Some(pending) = &view.pending {
        if !pending.code.is_empty() {
            rows.push(row("Code", &pending.code));
        }
        if let Some(number) = pending.match_number {
            rows.push(row("Number", &number.to_string()));
        }
    }
    rows
}

/// Bad findings and the last error with its causes.
pub(super) fn trouble(view: &View, width: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let bad: Vec<_> = view
        .findings
        .iter()
        .filter(|finding| finding.severity > Severity::Ok)
        .collect();
    if !bad.is_empty() {
        rows.push(String::new());
        for finding in bad {
            let text = format!(
                "{} {}: {}, required {}. {}",
                severity_word(finding.severity).to_uppercase(),
                finding.name,
                finding.measured,
                finding.required,
                finding.advice
            );
            rows.extend(wrap("", &text, width));
        }
    }
    // What the hub refused stands as its state already.
    let shown = view
        .failed
        .as_ref()
        .filter(|it| it.step != HUB || view.hub_state.is_empty());
    if let Some(failed) = shown {
        rows.push(String::new());
        let step = if failed.step.is_empty() {
            "agent"
        } else {
            &failed.step
        };
        rows.extend(wrap(
            "Last error",
            &format!("{step}: {}", failed.message),
            width,
        ));
        for cause in failed
            .causes
            .iter()
            .filter(|cause| !failed.message.contains(cause.as_str()))
        {
            rows.extend(wrap("  because", cause, width));
        }
    }
    rows
}

fn work(view: &View) -> Vec<String> {
    let Some(progress) = &view.progress else {
        return if view.step.is_empty() {
            Vec::new()
        } else {
            vec![row("Step", &view.step)]
        };
    };
    let mut rows = vec![row(
        "Step",
        &format!(
            "{} ({} of {})",
            progress.step, progress.position, progress.steps
        ),
    )];
    let percent = progress
        .done
        .saturating_mul(100)
        .checked_div(progress.total);
    if let Some(percent) = percent {
        let filled = usize::try_from(percent.min(100) / 4).unwrap_or(25);
        let left = progress.left.map_or_else(String::new, |left| {
            format!(", {}:{:02} left", left / 60, left % 60)
        });
        rows.push(row(
            "",
            &format!(
                "[{}{}] {} of {} MB{left}",
                "#".repeat(filled),
                ".".repeat(25 - filled),
                progress.done / 1_000_000,
                progress.total / 1_000_000
            ),
        ));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::super::{Fact, Failed};
    use super::*;
    use burin_api::event::{Finding, Progress};
    use burin_api::message::Phase;
    use proptest::prelude::*;

    fn full() -> View {
        let mut view = View::default();
        view.fact(&Fact::Phase(Phase::Installing));
        view.fact(&Fact::Host {
            id: "K7QF-2M9X-0TRD-8HWN".to_owned(),
            source: "smbios-uuid".to_owned(),
        });
        view.fact(&Fact::Address("10.0.2.15".to_owned()));
        view.fact(&Fact::Hub("https://hub.example:8443".to_owned()));
        view.progress(Progress {
            step: "pull".to_owned(),
            position: 5,
            steps: 9,
            done: 50_000_000,
            total: 200_000_000,
            left: Some(75),
        });
        view.failed = Some(Failed {
            step: "pull".to_owned(),
            message: "reading the blob".to_owned(),
            causes: vec!["connection reset".to_owned()],
        });
        view
    }

    fn shown(view: &View, width: usize, height: usize) -> String {
        let rows = screen(view, "0.1.0", width, height);
        let text: Vec<_> = rows.into_iter().map(|row| row.text).collect();
        text.join("\n")
    }

    #[test]
    fn the_screen_shows_what_a_person_needs() {
        let text = shown(&full(), 80, 24);
        for want in [
            "State       installing",
            "Host ID     K7QF-2M9X-0TRD-8HWN",
            "Address     10.0.2.15",
            "Step        pull (5 of 9)",
            "[######...................] 50 of 200 MB, 1:15 left",
            "Last error  pull: reading the blob",
            "  because   connection reset",
        ] {
            assert!(text.contains(want), "{want:?} in\n{text}");
        }
    }

    #[test]
    fn a_block_says_what_was_measured_and_what_to_do() {
        let mut view = View::default();
        view.fact(&Fact::Findings(vec![Finding {
            name: "disk.kind".to_owned(),
            measured: "rotational".to_owned(),
            required: "SSD".to_owned(),
            severity: Severity::Block,
            advice: "Use an SSD.".to_owned(),
        }]));
        let text = shown(&view, 80, 24);
        assert!(
            text.contains("BLOCK disk.kind: rotational, required SSD. Use an SSD."),
            "{text}"
        );
    }

    #[test]
    fn what_is_not_one_column_wide_is_not_drawn() {
        let mut view = View::default();
        view.fact(&Fact::Name(
            "Tromsø-\u{4e2d}\u{200b}\u{301}\u{ad}-1".to_owned(),
        ));
        let text = shown(&view, 80, 24);
        // What hides is a space, what is wide or sits on another character a question mark.
        assert!(text.contains("Name        Tromsø-? ? -1"), "{text}");
    }

    proptest! {
        #[test]
        fn it_always_fits(message in ".{0,400}", causes in proptest::collection::vec(".{0,300}", 0..30), width in 20_usize..120, height in 1_usize..40) {
            let mut view = full();
            view.failed = Some(Failed { step: "pull".to_owned(), message: message.clone(), causes });
            view.recent = vec![message; 6];
            let rows = screen(&view, "0.1.0", width, height);
            prop_assert!(rows.len() <= height);
            for row in rows {
                prop_assert!(row.text.chars().count() <= width);
                prop_assert!(!row.text.chars().any(char::is_control));
            }
        }
    }
}
