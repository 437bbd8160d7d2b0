//! A generation that never becomes healthy.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use burin_hardware_tests::{
    artifacts::{Artifacts, Profile},
    board::{Board, Disk},
    golden::{self, BOOT, DISK, INSTALL, SERIAL},
    qemu::Medium,
    scenario,
    site::{Ports, Site, Via},
};

use crate::{bytes, gate::token_uses};

/// From a line on the console until the hub has it.
const HEARD: Duration = Duration::from_secs(180);

/// The profile of the site with a network layer that brings no network, and little patience.
fn without_network(profile: &str) -> Result<String> {
    let mut lines: Vec<&str> = profile.lines().collect();
    let network = lines.iter().position(|line| line.contains("manifests:"));
    let at = network.context("the profile has no network layer")?;
    lines[at] = "  - manifests: { name: network, inline: \"{apiVersion: v1, kind: Namespace, \
                 metadata: {name: a}}\" }";
    let health = lines.iter().position(|line| line.starts_with("health:"));
    let at = health.context("the profile says nothing about health")?;
    lines[at] = "health: { deadline: 2m, soak: 5s }";
    Ok(lines.join("\n") + "\n")
}

/// Twelve minutes: an installation, three tries, and the recovery.
#[test]
#[ignore = "minutes: 12, scripts/check --full"]
fn a_first_generation_that_never_gets_healthy_ends_in_the_recovery_with_its_reason() -> Result<()> {
    scenario::tell("never-healthy", |folder| {
        let artifacts = Artifacts::build(Profile::Thin)?;
        let site = Site::open(&artifacts, &folder.join("site"), Ports::default())?;
        site.fill(&artifacts)?;
        site.publish_changed(&artifacts, Via::Registry, |profile| {
            without_network(&profile)
        })?;
        let iso = folder.join("burin.iso");
        artifacts.make_iso(&site.user_data("unhealthy", "")?, &iso)?;
        let disk = Disk::empty(&folder.join("disk.raw"), DISK, SERIAL)?;
        let mut machine = golden::machine(folder, vec![disk], Some(Medium::UsbStick(iso)))?;
        machine.power_on()?;

        machine.wait_for("burin: step entry done", INSTALL)?;
        for _try in 0..3 {
            let line = machine.wait_for("burin: step health failed", BOOT)?;
            assert!(
                line.contains("did not become healthy in its time"),
                "{line}"
            );
            assert!(line.contains("cni plugin not initialized"), "{line}");
            machine.wait_for("burin: rebooting", BOOT)?;
        }
        let line = machine.wait_for("burin: step boot failed", BOOT)?;
        assert!(
            line.contains("generation 1 did not come up (health)"),
            "{line}"
        );
        assert!(line.contains("cni plugin not initialized"), "{line}");
        machine.wait_for("burin: state=degraded", BOOT)?;
        let seen = site.hub.wait_for("the host to be degraded", HEARD, |all| {
            let one = all.first()?;
            (one["phase"] == "degraded" && one["mode"] == "installer").then(|| one.clone())
        })?;
        let error = seen["observed"]["last_error"].to_string();
        assert!(error.contains("cni plugin not initialized"), "{error}");
        assert_eq!(token_uses(&site)?, 1);
        assert_eq!(site.hub.hosts()?.len(), 1, "a second host appeared");
        let said = machine.console()?.text();
        let partitioned = said.matches("burin: step partition done").count();
        assert_eq!(partitioned, 1, "it was installed again");
        machine.power_cut()?;
        let entries = bytes::boot_entries(&bytes::main_disk(folder))?;
        ensure!(
            entries.iter().any(|it| it == "burin-1+0-3.conf"),
            "the loader did not count: {entries:?}"
        );
        Ok(())
    })
}
