//! `burin host`: what a box is, who it would be, and whether it passes, on any Linux.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use burin_api::event::{Finding, Severity};
use burin_core::checks::{self, Lowered, Requirements};
use burin_core::display::counted;
use burin_core::host::HostFacts;
use burin_core::identity::{self, HostIdentity, Source, Wish};
use serde::Serialize;

use crate::machine::probe::{self, Seen};

/// 2026-01-01: no burin was built before it, so no clock that runs may be behind it.
const EARLIEST: u64 = 1_767_225_600;

/// What `burin host --json` prints.
#[derive(Debug, Serialize)]
pub struct Report {
    pub identity: HostIdentity,
    pub findings: Vec<Finding>,
    pub facts: HostFacts,
    /// Paths that exist and could not be read: run as root to have them.
    pub unreadable: Vec<String>,
}

/// Looks at the machine under `root`. `random` stands for the ID of a box without any usable number.
pub fn report(root: &Path, random: [u8; 16]) -> Report {
    let Seen { facts, unreadable } = probe::look(root);
    let need = Requirements {
        clock_floor: EARLIEST,
        ..Requirements::default()
    };
    Report {
        identity: identity::identify(&Wish::default(), &facts, &|_| None, random),
        findings: checks::gate(&facts, &need, None, &Lowered::new()),
        facts,
        unreadable,
    }
}

impl Report {
    /// Whether a finding forbids an installation.
    pub fn is_blocked(&self) -> bool {
        checks::is_blocked(&self.findings)
    }

    /// For machines.
    ///
    /// # Errors
    /// Never in practice: all of it is text and numbers.
    pub fn json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).context("writing the facts as JSON")
    }

    /// For people.
    ///
    /// # Errors
    /// Never in practice: it writes to memory.
    pub fn text(&self) -> Result<String> {
        let mut out = String::new();
        writeln!(out, "host      {}", self.identity.id)?;
        writeln!(out, "from      {}", self.identity.source.name())?;
        if self.identity.source == Source::Random {
            writeln!(
                out,
                "          nothing on this box names it; an installation draws and keeps its own ID"
            )?;
        }
        for skipped in &self.identity.skipped {
            let (name, value) = (skipped.source.name(), &skipped.value);
            writeln!(out, "          not by {name} {value:?}: {}", skipped.reason)?;
        }
        self.write_facts(&mut out)?;
        self.write_findings(&mut out)?;
        Ok(out)
    }

    fn write_facts(&self, out: &mut String) -> Result<()> {
        let facts = &self.facts;
        let (vendor, product) = (&facts.dmi.sys_vendor, &facts.dmi.product_name);
        let names = [vendor, product, &facts.device_tree.model];
        match known(&names.map(String::as_str)) {
            named if named.is_empty() => writeln!(out, "machine   of no known maker")?,
            named => writeln!(out, "machine   {named}")?,
        }
        let cpu = &facts.cpu;
        writeln!(
            out,
            "cpu       {}, {}",
            cpu.model,
            counted(cpu.cores, "core", "cores")
        )?;
        writeln!(out, "memory    {}", gigabytes(facts.memory))?;
        for disk in &facts.disks {
            let kind = if disk.rotational { "rotating" } else { "ssd" };
            let (name, size, bus) = (&disk.name, gigabytes(disk.size), disk.bus.name());
            let words = [name.as_str(), &size, bus, kind, &disk.model, &disk.serial];
            writeln!(out, "disk      {}", known(&words))?;
        }
        for link in &facts.links {
            let state = if link.carrier { "up" } else { "no carrier" };
            let words = [link.name.as_str(), &link.mac, &link.driver, state];
            writeln!(out, "link      {}", known(&words))?;
        }
        Ok(())
    }

    fn write_findings(&self, out: &mut String) -> Result<()> {
        for finding in &self.findings {
            let word = match finding.severity {
                Severity::Ok => "ok",
                Severity::Warn => "warn",
                Severity::Block => "block",
            };
            let (name, measured) = (&finding.name, &finding.measured);
            writeln!(
                out,
                "{word:<9} {name}: {measured} (required: {})",
                finding.required
            )?;
            if finding.severity != Severity::Ok && !finding.advice.is_empty() {
                writeln!(out, "          {}", finding.advice)?;
            }
        }
        for path in &self.unreadable {
            writeln!(out, "unread    {path}: run as root to have it")?;
        }
        Ok(())
    }
}

/// The words that say something.
fn known(words: &[&str]) -> String {
    let words: Vec<&str> = words.iter().copied().filter(|it| !it.is_empty()).collect();
    words.join(" ")
}

fn gigabytes(bytes: u64) -> String {
    format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_machine_is_reported_with_all_findings() {
        let root = tempfile::tempdir().unwrap();
        let report = report(root.path(), [7; 16]);
        assert_eq!(report.findings.len(), checks::NAMES.len());
        assert!(report.is_blocked());
        let text = report.text().unwrap();
        assert!(text.contains("draws and keeps its own ID"), "{text}");
        assert!(text.contains("\nmachine   of no known maker\n"), "{text}");
        for name in checks::NAMES {
            assert!(text.contains(&format!(" {name}: ")), "{name} in {text}");
        }
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(json["identity"]["source"], "random");
    }

    #[test]
    fn sizes_are_as_makers_print_them() {
        assert_eq!(gigabytes(512_110_190_592), "512.1 GB");
    }
}
