//! The job end to end: an empty machine, an ISO that the hub made, as a stick, and nobody touches anything.
//! Every scenario of an installed host starts from its disk.

use anyhow::{Context, Result};
use burin_core::cost::Cost;
use burin_hardware_tests::{
    artifacts::{Artifacts, Profile},
    bench::machine::{MOST_MEMORY, MOST_WRITTEN},
    golden::{self, Golden},
    workspace,
};

use crate::bytes;

/// What an installation does, in this order and once each.
const STEPS: [&str; 13] = [
    "partition",
    "filesystems",
    "identity",
    "recovery",
    "pull",
    "seal",
    "generation",
    "kernel",
    "entry",
    "reboot",
    "kubernetes",
    "health",
    "good",
];

/// Three minutes.
#[test]
fn an_empty_machine_becomes_a_running_host_with_the_iso_plugged_in() -> Result<()> {
    let golden = golden::ready(&Artifacts::build(Profile::Thin)?)?;
    let host = &golden.host;
    assert_eq!(host["state"], "accepted", "{host}");
    assert_eq!(host["phase"], "running", "{host}");
    assert_eq!(host["observed"]["generation"], 1, "{host}");
    every_step_was_done_once(&golden.console)?;
    it_starts_what_the_hub_knows(&golden)?;

    let cost = Cost::find(&golden.console).context("the installer told no cost")?;
    let memory = cost.memory as f64 / f64::from(1 << 20);
    assert!(memory < MOST_MEMORY, "{memory:.1} MiB of memory were held");
    let written = cost.written as f64 / cost.content as f64;
    assert!(written <= MOST_WRITTEN, "{written:.2} x were written");
    Ok(())
}

fn every_step_was_done_once(console: &str) -> Result<()> {
    let mut rest = console;
    for step in STEPS {
        let line = format!("burin: step {step} done");
        let at = rest
            .find(&line)
            .with_context(|| format!("{line:?} does not follow\n{console}"))?;
        rest = &rest[at..];
        assert_eq!(console.matches(&line).count(), 1, "{line}");
    }
    let wrong = |line: &&str| {
        line.contains("panicked")
            || line.contains("ended unexpectedly")
            || line.starts_with("burin: corruption")
            || (line.starts_with("burin: step") && line.contains(" failed"))
    };
    assert_eq!(console.lines().find(wrong), None, "{console}");
    Ok(())
}

/// The boot entry names the root that the hub was told, and counts no tries: it was proven good.
fn it_starts_what_the_hub_knows(golden: &Golden) -> Result<()> {
    let disk = bytes::main_disk(&workspace::target().join("vm/golden"));
    let entries = bytes::boot_entries(&disk)?;
    let name = "burin-1.conf";
    assert!(entries.iter().any(|it| it == name), "{entries:?}");
    let entry = bytes::on_esp(&disk, &format!("loader/entries/{name}"))?;
    let root = golden.host["observed"]["root_digest"].as_str();
    let root = root.context("the hub knows no root digest")?;
    let digest = root.strip_prefix("v1-sha512-12:");
    let digest = digest.context("no digest of the root")?;
    assert_eq!(digest.len(), 128, "SHA-512 in hex: {digest}");
    assert!(
        entry.contains(&format!("composefs.digest={root} ")),
        "{root} is not what {entry} starts"
    );
    Ok(())
}
