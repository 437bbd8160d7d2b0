//! Hosts that must not be installed: nothing is written to them, and a person learns why.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result};
use burin_hardware_tests::{
    artifacts::{Artifacts, Profile},
    board::{Board, Bus, Disk},
    golden::{DISK, SERIAL},
    process,
    qemu::{Medium, Qemu, Spec, accel},
    scenario,
    site::{Ports, Site, Via},
};
use serde_json::Value;

use crate::bytes;

/// From power-on to the verdict: 40 s on an idle machine.
const VERDICT: Duration = Duration::from_secs(600);
/// From the verdict on the console until the hub has it.
const HEARD: Duration = Duration::from_secs(180);

/// A site, and a machine with the site's ISO and `disks` that is still off.
fn machine(folder: &Path, disks: impl FnOnce(&Path) -> Result<Vec<Disk>>) -> Result<(Site, Qemu)> {
    let artifacts = Artifacts::build(Profile::Thin)?;
    let site = Site::open(&artifacts, &folder.join("site"), Ports::default())?;
    site.fill(&artifacts)?;
    site.publish(&artifacts, Via::Registry)?;
    let user_data = site.user_data("gate", "")?;
    let iso = folder.join("burin.iso");
    artifacts.make_iso(&user_data, &iso)?;
    let mut spec = Spec::edge_box(disks(folder)?, Some(Medium::UsbStick(iso)));
    spec.accel = accel::choose(None)?;
    Ok((site, Qemu::new(spec, folder)?))
}

/// The finding `name` that blocks, as the hub shows it.
fn blocking(site: &Site, name: &str) -> Result<Value> {
    site.hub.wait_for(name, HEARD, |hosts| {
        let findings = hosts.first()?["findings"].as_array()?;
        let named = findings.iter().find(|it| it["name"] == name)?;
        (named["severity"] == "block").then(|| named.clone())
    })
}

/// Uses of the only token of the site.
pub(crate) fn token_uses(site: &Site) -> Result<u64> {
    let tokens = site.hub.ask(&["token", "list"])?;
    let used = tokens[0]["used"].as_u64();
    used.with_context(|| format!("no token in {tokens}"))
}

/// Cuts the power; an error when a disk is not as `before` says or a byte was written to it.
fn assert_untouched(machine: &mut Qemu, before: &[String]) -> Result<()> {
    for (index, _) in before.iter().enumerate() {
        assert_eq!(machine.written(index)?, 0, "bytes written to disk {index}");
    }
    machine.power_cut()?;
    for (disk, before) in machine.disks().iter().zip(before) {
        assert_eq!(
            &bytes::digest(&disk.path)?,
            before,
            "{} changed",
            disk.serial
        );
    }
    Ok(())
}

fn digests(machine: &Qemu) -> Result<Vec<String>> {
    let disks = machine.disks().iter();
    disks.map(|disk| bytes::digest(&disk.path)).collect()
}

/// One minute.
#[test]
fn hardware_below_the_minimum_is_blocked_with_reasons_and_nothing_is_written() -> Result<()> {
    scenario::tell("gate-minimum", |folder| {
        let (site, mut machine) = machine(folder, |folder| {
            let small = Disk::empty(&folder.join("disk.raw"), 20 << 30, SERIAL)?;
            Ok(vec![small.on(Bus::Virtio)])
        })?;
        machine.spec_mut().cores = 1;
        machine.spec_mut().memory = 4096;
        let before = digests(&machine)?;
        machine.power_on()?;

        machine.wait_for("burin: blocked", VERDICT)?;
        let said = machine.console()?.text();
        for (name, measured) in [
            ("cpu.cores", "measured=\"1\" required=\">= 2\""),
            ("memory.size", "measured=\"4.0 GiB installed"),
            ("storage.size", "measured=\"21 GB on vda"),
            ("storage.ssd", "measured=\"rotating: "),
        ] {
            let line = format!("burin: finding {name} block {measured}");
            assert!(said.contains(&line), "{line:?} is not on the console");
            assert!(
                !blocking(&site, name)?["advice"]
                    .as_str()
                    .unwrap_or("")
                    .is_empty(),
                "the hub does not say what to do about {name}"
            );
        }
        assert_eq!(site.hub.hosts()?[0]["state"], "pending");
        assert_eq!(token_uses(&site)?, 0, "a use of the token was spent");
        assert_untouched(&mut machine, &before)
    })
}

/// One minute.
#[test]
fn two_eligible_disks_are_refused_with_both_listed() -> Result<()> {
    scenario::tell("gate-two-disks", |folder| {
        let (site, mut machine) = machine(folder, |folder| {
            Ok(vec![
                Disk::empty(&folder.join("first.raw"), DISK, "FIRST-1")?,
                Disk::empty(&folder.join("second.raw"), DISK, "SECOND-2")?,
            ])
        })?;
        let before = digests(&machine)?;
        machine.power_on()?;

        let line = machine.wait_for("burin: finding storage.choice block", VERDICT)?;
        for word in ["FIRST-1", "SECOND-2", "install.device"] {
            assert!(line.contains(word), "{word} is not in {line}");
        }
        machine.wait_for("burin: blocked", VERDICT)?;
        let seen = blocking(&site, "storage.choice")?["measured"].to_string();
        assert!(
            seen.contains("FIRST-1") && seen.contains("SECOND-2"),
            "{seen}"
        );
        assert_untouched(&mut machine, &before)
    })
}

/// One minute.
#[test]
fn a_disk_with_foreign_data_is_refused_and_keeps_every_byte() -> Result<()> {
    scenario::tell("gate-foreign-data", |folder| {
        let (site, mut machine) = machine(folder, |folder| {
            let disk = Disk::empty(&folder.join("disk.raw"), DISK, SERIAL)?;
            let mut format = Command::new("mke2fs");
            format.args(["-q", "-F", "-t", "ext4", "-L", "family-photos"]);
            process::output(format.arg(&disk.path).arg("1G"))?;
            Ok(vec![disk])
        })?;
        let before = digests(&machine)?;
        machine.power_on()?;

        let line = machine.wait_for("burin: finding storage.choice block", VERDICT)?;
        for word in ["/dev/nvme0n1 (", "holds ext", "install.wipe"] {
            assert!(line.contains(word), "{word} is not in {line}");
        }
        machine.wait_for("burin: blocked", VERDICT)?;
        let seen = blocking(&site, "storage.choice")?["measured"].to_string();
        assert!(seen.contains("holds ext"), "{seen}");
        assert_untouched(&mut machine, &before)
    })
}
