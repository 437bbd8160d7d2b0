//! The rigs themselves: without them every scenario would fail for the wrong reason.

use std::{fs, time::Duration};

use anyhow::Result;
use burin_hardware_tests::{
    board::{Board, Disk},
    qemu::{Qemu, Spec},
    registry::Registry,
    workspace,
};

#[test]
fn a_machine_with_an_empty_disk_finds_nothing_to_boot_and_says_so() -> Result<()> {
    let folder = workspace::scenario("rig-empty-machine")?;
    let disk = Disk::empty(&folder.join("disk.raw"), 128 << 30, "EMPTY-1")?;
    let mut machine = Qemu::new(Spec::edge_box(vec![disk], None), &folder)?;
    machine.power_on()?;
    machine.wait_for("BdsDxe: failed to load Boot", Duration::from_secs(120))?;
    let picture = folder.join("screen.png");
    machine.screenshot(&picture)?;
    assert!(fs::metadata(&picture)?.len() > 1000, "an empty picture");
    assert!(machine.is_on()?);
    machine.power_cut()?;
    assert!(!machine.is_on()?);
    assert!(
        machine.screenshot(&picture).is_err(),
        "a machine that is off has no screen"
    );
    Ok(())
}

#[test]
fn a_failed_wait_leaves_console_screenshot_and_disks() -> Result<()> {
    let folder = workspace::scenario("rig-traces")?;
    let disk = Disk::empty(&folder.join("disk.raw"), 1 << 30, "EMPTY-1")?;
    let mut machine = Qemu::new(Spec::edge_box(vec![disk], None), &folder)?;
    machine.power_on()?;
    let error = machine
        .wait_for("words that no firmware says", Duration::from_secs(3))
        .unwrap_err();
    assert!(format!("{error:#}").contains("not said within 3 s"));
    for name in ["console-1.log", "screenshot.png", "disks.txt"] {
        assert!(folder.join(name).exists(), "{name} is missing");
    }
    Ok(())
}

#[test]
fn the_registry_answers_over_tls_to_those_who_trust_its_authority() -> Result<()> {
    let folder = workspace::scenario("rig-registry")?;
    let registry = Registry::start(&folder, 0)?;
    let url = format!("https://{}/v2/", registry.local_name());
    let get = |authority: Option<&str>| {
        let mut command = std::process::Command::new("curl");
        command.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", &url]);
        if let Some(file) = authority {
            command.args(["--cacert", file]);
        }
        burin_hardware_tests::process::output(&mut command)
    };
    let authority = registry.tls().ca.display().to_string();
    assert_eq!(get(Some(&authority))?, "200");
    assert!(get(None).is_err(), "nobody else trusts it");
    Ok(())
}
