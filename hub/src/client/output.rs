//! What is printed: JSON for programs, columns for people.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use burin_core::display::{disturbs, plain};
use serde::Serialize;

use super::connect::Failure;

/// Between two lines of progress.
const BETWEEN: Duration = Duration::from_secs(1);

/// A line that is replaced may not reach the end of the narrowest terminal: the rest would stay.
const WIDTH: usize = 79;

/// Where results go.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    /// When progress was shown last.
    shown: Option<Instant>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, shown: None }
    }

    /// Prints a result: as JSON, or what `text` makes of it.
    pub(crate) fn show<T: Serialize>(
        &mut self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let shown = if self.json {
            escaped(&serde_json::to_string(value).map_err(anyhow::Error::from)?)
        } else {
            lines(&text(value))
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", shown.trim_end())
            .and_then(|()| out.flush())
            .map_err(|err| Failure::Other(anyhow::Error::from(err).context("printing the result")))
    }

    /// Says how far something is, in bytes, on standard error: once a second, and at its end.
    pub(crate) fn progress(&mut self, what: &str, done: u64, total: u64) {
        let due = self.shown.is_none_or(|at| at.elapsed() >= BETWEEN);
        if !due && done < total {
            return;
        }
        self.shown = Some(Instant::now());
        if self.json {
            eprintln!(
                "{}",
                serde_json::json!({ "progress": what, "done": done, "total": total })
            );
        } else {
            eprintln!("{what}: {} of {} MiB", done >> 20, total >> 20);
        }
    }

    /// Whether a person sees what goes on meanwhile.
    pub(crate) fn is_watched(&self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }

    /// Shows a line on the terminal in the place of the last one; with `None` it is gone.
    pub(crate) fn status(&mut self, line: Option<&str>) {
        let line: String = plain(line.unwrap_or_default())
            .chars()
            .take(WIDTH)
            .collect();
        eprint!("\r{line}\x1b[K");
    }

    /// Says why it did not work, on standard error.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        if self.json {
            let problem = match failure {
                Failure::Refused(problem) => serde_json::json!(problem),
                other => serde_json::json!({ "type": "client", "detail": other.to_string() }),
            };
            eprintln!("{}", escaped(&problem.to_string()));
            return;
        }
        eprintln!("burin-hub: {}", lines(&failure.to_string()));
        if let Failure::Refused(problem) = failure {
            for error in &problem.errors {
                eprintln!("  {}", plain(error));
            }
        }
    }
}

/// Text for a terminal: what hosts say of themselves is in it.
fn lines(text: &str) -> String {
    let stays = |c: char| matches!(c, '\n' | '\t') || !disturbs(c);
    text.chars()
        .map(|c| if stays(c) { c } else { ' ' })
        .collect()
}

/// JSON that a terminal may show, too: outside of strings there is nothing to escape.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if disturbs(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Columns that line up.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.len()).collect();
    // A line feed in a cell could make up a row of its own.
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| plain(cell)).collect())
        .collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        text.trim_end().to_owned() + "\n"
    };
    let mut text = line(&mut head.iter().copied());
    for row in &rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

/// A time of the wire as UTC, for people.
pub(crate) fn time(ms: i64) -> String {
    let (days, seconds) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000) / 1000);
    // Days to a date by Howard Hinnant's civil_from_days.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_dates() {
        for (ms, want) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_795_305_599_999, "2026-11-21T23:59:59Z"),
        ] {
            assert_eq!(time(ms), want);
        }
    }

    #[test]
    fn what_hosts_say_moves_no_cursor_and_makes_no_row() {
        let rows = [vec![
            "a\x1b[2J\nb\u{202e}c".to_owned(),
            "d\u{9b}0m".to_owned(),
        ]];
        let shown = lines(&table(&["A", "B"], &rows));
        assert_eq!(shown.lines().count(), 2, "{shown:?}");
        assert!(
            !shown.chars().any(|c| c != '\n' && disturbs(c)),
            "{shown:?}"
        );

        let value = serde_json::json!({ "a": "\u{1f600}\u{9b}2J\u{202e}\u{e0041}\n\x7f" });
        let json = escaped(&value.to_string());
        assert!(!json.chars().any(disturbs), "{json:?}");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["long value".to_owned(), "b".to_owned()]];
        assert_eq!(table(&["A", "B"], &rows), "A           B\nlong value  b\n");
    }
}
