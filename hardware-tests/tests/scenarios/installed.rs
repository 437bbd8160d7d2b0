//! An installed host: what it says of itself, and what it survives.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use burin_hardware_tests::{
    artifacts::{Artifacts, Profile},
    board::Board,
    golden::{self, BOOT, Copy, Installed},
    person::Person,
    qemu::{Firmware, First, Medium},
    register::matcher,
    scenario,
};
use serde_json::Value;

use crate::bytes;

/// From a line on the console until the hub has it.
const HEARD: Duration = Duration::from_secs(180);
/// From power-on until the firmware says what it does not start.
const REFUSED: Duration = Duration::from_secs(120);
/// What a firmware without variables starts: shim, which the factory's keys know.
const FIRST_LOADER: &str = "EFI/BOOT/BOOTX64.EFI";

/// Waits until the hub has heard of the host after `before`, and that it runs its generation.
pub(crate) fn runs_again(host: &Installed, before: i64) -> Result<Value> {
    host.site
        .hub
        .wait_for("the host to run again", HEARD, |all| {
            let one = all.first()?;
            let fresh = one["seen_at"].as_i64()? > before;
            (fresh && one["phase"] == "running").then(|| one.clone())
        })
}

/// When the hub heard of the host last, milliseconds since 1970.
pub(crate) fn seen_at(host: &Installed) -> Result<i64> {
    let hosts = host.site.hub.hosts()?;
    let seen = hosts.first().and_then(|one| one["seen_at"].as_i64());
    seen.context("the hub knows no host")
}

/// One minute.
#[test]
fn a_host_that_was_shut_down_comes_back_with_a_firmware_that_forgot_everything() -> Result<()> {
    scenario::tell("nvram-wiped", |folder| {
        let mut host = golden::installed(folder, Copy::Overlay)?;
        let entry: Vec<u8> = "burin".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let known = |host: &Installed| -> Result<bool> {
            let variables = fs::read(host.machine.variables())?;
            Ok(variables.windows(entry.len()).any(|part| part == entry))
        };
        ensure!(known(&host)?, "the installation made no boot variable");
        host.machine.forget_firmware_variables()?;
        ensure!(!known(&host)?, "the firmware did not forget");
        // The emulator gives the firmware no hint either.
        host.machine.spec_mut().first = First::Variables;
        let before = seen_at(&host)?;

        host.boot()?;
        assert_eq!(runs_again(&host, before)?["observed"]["generation"], 1);
        let again = host.machine_console()?;
        assert!(!again.contains("burin: step partition"), "{again}");
        assert!(!again.contains("burin: step pull"), "{again}");
        assert_eq!(matcher(&host.site.hub)?, "token");
        let operator = Person::operator(&host.site.hub, folder)?;
        operator.open("/hosts")?;
        operator.browser.sees("running")?;
        operator.browser.keep("token-running")?;
        operator.browser.quit()
    })
}

/// One minute.
#[test]
fn the_iso_left_in_changes_no_partition_and_no_digest() -> Result<()> {
    scenario::tell("iso-left-in", |folder| {
        let mut host = golden::installed(folder, Copy::Raw)?;
        let disk = bytes::main_disk(&host.folder);
        let tables = bytes::partition_tables(&disk)?;
        let entries = bytes::boot_entries(&disk)?;
        let entry = bytes::on_esp(&disk, "loader/entries/burin-1.conf")?;
        let before = seen_at(&host)?;
        host.machine.spec_mut().medium = Some(Medium::UsbStick(host.iso()));
        host.machine.spec_mut().first = First::Medium;

        host.machine.power_on()?;
        // The installer comes up first, sees a live host, and hands the machine back to it.
        host.machine.wait_for("burin: rebooting", BOOT)?;
        host.machine.wait_for("burin: running generation 1", BOOT)?;
        let seen = runs_again(&host, before)?;
        assert_eq!(
            seen["observed"]["root_digest"],
            host.golden.host["observed"]["root_digest"]
        );
        assert_eq!(seen["uid"], host.golden.host["uid"], "another identity");
        assert_eq!(host.site.hub.hosts()?.len(), 1, "a second host appeared");
        let said = host.machine.console()?.text();
        assert!(!said.contains("step partition"), "the disk was worked on");
        host.machine.power_cut()?;
        assert_eq!(bytes::partition_tables(&disk)?, tables);
        assert_eq!(bytes::boot_entries(&disk)?, entries);
        let now = bytes::on_esp(&disk, "loader/entries/burin-1.conf")?;
        assert_eq!(now, entry);
        Ok(())
    })
}

/// One minute.
#[test]
fn a_flipped_bit_in_a_program_is_refused_by_the_kernel_and_told_to_the_hub() -> Result<()> {
    scenario::tell("flipped-bit", |folder| {
        let mut host = golden::installed(folder, Copy::Raw)?;
        let program = fs::read(Artifacts::build(Profile::Thin)?.standin())?;
        // The first block holds the ELF header: the program cannot start without it.
        bytes::damage(&bytes::main_disk(&host.folder), &program[..bytes::BLOCK])?;

        host.machine.power_on()?;
        let line = host.machine.wait_for("burin: corruption", BOOT)?;
        // The read of the header itself was refused, and nothing starts without its header.
        assert!(line.contains("FILE CORRUPTED! pos=0,"), "{line}");
        let event = host.site.hub.wait_for("the event", HEARD, |_| {
            let events = host.site.hub.ask(&["event", "list"]).ok()?;
            let mut kinds = events.as_array()?.iter().map(|it| &it["event"]);
            kinds.find(|it| it["kind"] == "corruption").cloned()
        })?;
        assert!(event["message"].to_string().contains("FILE CORRUPTED"));
        Ok(())
    })
}

/// Two minutes. The image is refused, and with it everything in it: the host falls to its recovery.
#[test]
fn a_flipped_bit_in_the_image_of_the_root_starts_nothing_and_is_told() -> Result<()> {
    scenario::tell("flipped-root", |folder| {
        let mut host = golden::installed(folder, Copy::Raw)?;
        let disk = bytes::main_disk(&host.folder);
        let root = host.golden.host["observed"]["root_digest"].as_str();
        let hex = root.and_then(|root| root.rsplit(':').next());
        let (folder, name) = hex.context("no root digest")?.split_at(2);
        bytes::damage_file(&disk, &format!("/store/objects/{folder}/{name}"))?;
        let entries = bytes::boot_entries(&disk)?;

        host.machine.power_on()?;
        for _try in 0..2 {
            let why = "burin: this generation does not come up: mounting the sealed image";
            host.machine.wait_for(why, BOOT)?;
            let line = host.machine.wait_for("burin: corruption", BOOT)?;
            assert!(line.contains("FILE CORRUPTED! pos=0,"), "{line}");
        }
        host.machine
            .wait_for("the boot loader then starts burin-recovery.conf", BOOT)?;
        host.machine.wait_for(
            "burin: step boot failed: generation 1 did not come up",
            BOOT,
        )?;
        host.machine.wait_for("burin: state=degraded", BOOT)?;
        let seen = host
            .site
            .hub
            .wait_for("the host to be degraded", HEARD, |all| {
                let one = all.first()?;
                (one["phase"] == "degraded").then(|| one.clone())
            })?;
        assert_eq!(seen["uid"], host.golden.host["uid"], "another identity");
        let error = seen["observed"]["last_error"].to_string();
        assert!(error.contains("mounting the sealed image"), "{error}");
        assert_eq!(host.site.hub.hosts()?.len(), 1, "a second host appeared");
        let events = host.site.hub.ask(&["event", "list"])?.to_string();
        assert!(events.contains("FILE CORRUPTED"), "{events}");
        let said = host.machine.console()?.text();
        assert!(
            !said.contains("step partition"),
            "the disk was installed over"
        );
        assert!(!said.contains("burin: running"), "it ran after all");
        host.machine.power_cut()?;
        assert_eq!(bytes::boot_entries(&disk)?, entries);
        Ok(())
    })
}

/// One minute. That Secure Boot is on is seen by what it refuses.
#[test]
#[ignore = "minutes: 1, scripts/check --full"]
fn an_installed_disk_starts_under_secure_boot_with_the_factorys_keys() -> Result<()> {
    scenario::tell("secure-boot", |folder| {
        let mut host = golden::installed(folder, Copy::Raw)?;
        host.machine.spec_mut().firmware = Firmware::SecureBoot;
        host.machine.forget_firmware_variables()?;
        let before = seen_at(&host)?;
        let disk = bytes::main_disk(&host.folder);
        bytes::damage_on_esp(&disk, FIRST_LOADER)?;
        host.machine.power_on()?;
        host.machine.wait_for("Access Denied", REFUSED)?;
        host.machine.power_cut()?;
        bytes::damage_on_esp(&disk, FIRST_LOADER)?;

        host.boot()?;
        assert_eq!(runs_again(&host, before)?["observed"]["generation"], 1);
        Ok(())
    })
}
