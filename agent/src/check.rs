//! `burin check`: everything wrong with a user-data file and a profile, on any machine, offline, by
//! the code that the host itself uses.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burin_core::yaml::{MAX_BYTES, Problem, Severity};
use burin_core::{profile, userdata};
use serde::Serialize;

/// What `burin check --json` prints.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub files: Vec<FileReport>,
}

/// What `--json` prints to standard error when there is nothing to report.
#[derive(Debug, Serialize)]
pub struct Failed {
    /// `unreadable`.
    #[serde(rename = "type")]
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

/// The problems of one file, in its order.
#[derive(Debug, Serialize)]
pub struct FileReport {
    pub file: String,
    pub problems: Vec<Problem>,
}

/// How strictly warnings are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warnings {
    Pass,
    Fail,
}

/// Checks user-data and, where given, a profile. Several files of user-data are the sources of one
/// host, lowest first.
///
/// # Errors
/// A file cannot be read. What is wrong inside a file is in the report.
pub fn check(user_data: &[PathBuf], profile: Option<&Path>) -> Result<Report> {
    let mut report = Report::default();
    let mut texts = Vec::new();
    let mut unreadable = Vec::new();
    for path in user_data {
        let read = read(path)?.and_then(|text| userdata::empty(&text).map_or(Ok(text), Err));
        unreadable.push(read.as_ref().err().cloned());
        texts.push(read.unwrap_or_default());
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let found = match userdata::merge(&texts) {
        Err(found) => found,
        // A profile alone names no hub.
        Ok(data) if user_data.is_empty() => data.warnings,
        Ok(data) => [Vec::from_iter(userdata::no_hub(&data)), data.warnings].concat(),
    };
    let sorted = userdata::by_source(&texts, found);
    for ((path, problems), bytes) in user_data.iter().zip(sorted).zip(unreadable) {
        report.add(path, bytes.map_or(problems, |problem| vec![problem]));
    }
    if let Some(path) = profile {
        let problems = match read(path)? {
            Ok(text) => profile::parse(&text).map_or_else(|found| found, |data| data.warnings),
            Err(problem) => vec![problem],
        };
        report.add(path, problems);
    }
    Ok(report)
}

/// The text of a file, or what is wrong with its bytes. One byte more than allowed is read, so that
/// the parser can say that it is too long.
fn read(path: &Path) -> Result<Result<String, Problem>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
        .with_context(|| format!("reading {}", path.display()))?;
    Ok(String::from_utf8(bytes).map_err(|err| {
        let good = &err.as_bytes()[..err.utf8_error().valid_up_to()];
        let line = good.iter().filter(|b| **b == b'\n').count() + 1;
        let column = good.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        Problem::error(line, column, "this is not UTF-8".to_owned()).expected("text in UTF-8")
    }))
}

impl Report {
    fn add(&mut self, path: &Path, problems: Vec<Problem>) {
        self.files.push(FileReport {
            file: path.display().to_string(),
            problems,
        });
    }

    /// 0 when all is well, 2 with an error, 1 with a warning where warnings fail.
    pub fn exit_code(&self, warnings: Warnings) -> u8 {
        let worst = self
            .files
            .iter()
            .flat_map(|f| &f.problems)
            .map(|p| p.severity)
            .max();
        match (worst, warnings) {
            (Some(Severity::Error), _) => 2,
            (Some(Severity::Warning), Warnings::Fail) => 1,
            _ => 0,
        }
    }

    /// For machines.
    ///
    /// # Errors
    /// Never in practice: all of it is text and numbers.
    pub fn json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).context("writing the problems as JSON")
    }

    /// For people and editors: `file:line:column: error: message; expected ...`.
    ///
    /// # Errors
    /// Never in practice: it writes to memory.
    pub fn text(&self) -> Result<String> {
        let mut out = String::new();
        for file in &self.files {
            for problem in &file.problems {
                writeln!(out, "{}:{problem}", file.file)?;
            }
            if file.problems.is_empty() {
                writeln!(out, "{}: fine", file.file)?;
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUB: &str = "#cloud-config\nburin: { hub: { url: https://hub.example } }\n";

    fn report(user_data: &[u8], profile: Option<&str>) -> Report {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user-data");
        std::fs::write(&path, user_data).unwrap();
        let other = profile.map(|text| {
            let path = folder.path().join("profile.yaml");
            std::fs::write(&path, text).unwrap();
            path
        });
        let mut report = check(&[path], other.as_deref()).unwrap();
        for file in &mut report.files {
            file.file = file.file.rsplit('/').next().unwrap().to_owned();
        }
        report
    }

    #[test]
    fn the_exit_code_tells_errors_from_warnings() {
        for (text, warnings, want) in [
            ("#cloud-config\n", Warnings::Pass, 0),
            ("#cloud-config\n", Warnings::Fail, 1),
            (HUB, Warnings::Fail, 0),
            ("", Warnings::Pass, 2),
            (" \n", Warnings::Pass, 2),
            ("#cloud-config\nstrict: true\n", Warnings::Pass, 0),
            (&format!("{HUB}strict: true\n"), Warnings::Fail, 1),
            ("#cloud-config\nbruin: {}\n", Warnings::Pass, 2),
        ] {
            let got = report(text.as_bytes(), None).exit_code(warnings);
            assert_eq!(got, want, "{text:?} {warnings:?}");
        }
    }

    #[test]
    fn every_line_names_its_file_and_place() {
        let got = report(b"#cloud-config\nbruin: {}\n", Some("kind: Profile\n"));
        let text = got.text().unwrap();
        assert!(
            text.starts_with("user-data:2:1: error: unknown key `bruin`; expected `burin`"),
            "{text}"
        );
        assert!(
            text.contains("profile.yaml:1:1: error: `apiVersion` is missing"),
            "{text}"
        );
        assert_eq!(
            report(HUB.as_bytes(), None).text().unwrap(),
            "user-data: fine\n"
        );
        let alone = report(b"#cloud-config\n", None).text().unwrap();
        assert!(
            alone.starts_with("user-data:1:1: warning: no hub is named")
                && alone.contains("`burin.hub.url`"),
            "{alone}"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_told_with_their_place() {
        let got = report(b"#cloud-config\nab\xff\n", None);
        assert_eq!(got.exit_code(Warnings::Pass), 2);
        assert!(
            got.text()
                .unwrap()
                .starts_with("user-data:2:3: error: this is not UTF-8")
        );
        assert!(check(&[PathBuf::from("/nonexistent/file")], None).is_err());
    }

    #[test]
    fn problems_of_several_sources_stand_with_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["built-in", "site"].map(|name| folder.path().join(name));
        let texts = [
            "#cloud-config\nburin: { hub: { url: https://hub.example }, token: x }\n",
            "#cloud-config\n\nburin: { hub: { url: https://other.example } }\nhostname: -x\n",
        ];
        for (path, text) in paths.iter().zip(texts) {
            std::fs::write(path, text).unwrap();
        }
        let got = check(&paths, None).unwrap();
        let places: Vec<_> = got
            .files
            .iter()
            .flat_map(|file| {
                file.problems
                    .iter()
                    .map(|p| (file.file.ends_with("site"), p.line))
            })
            .collect();
        assert_eq!(places, [(false, 2), (true, 3), (true, 4)]);
        assert!(
            got.text()
                .unwrap()
                .contains("an earlier source has decided the hub")
        );
    }
}
