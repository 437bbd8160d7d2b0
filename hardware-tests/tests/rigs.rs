//! The rigs themselves: without them every scenario would fail for the wrong reason.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result};
use burin_hardware_tests::{
    board::{Board, Disk},
    process,
    proxy::{Fault, FaultProxy},
    qemu::{Qemu, Spec, accel},
    registry::Registry,
    workspace,
};
use sha2::{Digest, Sha256};

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
        let mut command = Command::new("curl");
        command.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", &url]);
        if let Some(file) = authority {
            command.args(["--cacert", file]);
        }
        process::output(&mut command)
    };
    let authority = registry.tls().ca.display().to_string();
    assert_eq!(get(Some(&authority))?, "200");
    assert!(get(None).is_err(), "nobody else trusts it");
    Ok(())
}

/// Uploads `bytes` as a blob of the repository `test` and returns its path.
fn upload(registry: &Registry, bytes: &[u8], folder: &Path) -> Result<String> {
    let authority = registry.tls().ca.display().to_string();
    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        command
            .args(["-sSf", "--http1.1", "--cacert", &authority])
            .args(arguments);
        process::output(&mut command)
    };
    let start = format!("https://{}/v2/test/blobs/uploads/", registry.local_name());
    let head = curl(&["-i", "-X", "POST", &start])?;
    let place = head
        .lines()
        .find_map(|line| line.strip_prefix("Location: "))
        .context("no place to upload to")?;
    let digest = hex::encode(Sha256::digest(bytes));
    let file = folder.join("blob");
    fs::write(&file, bytes)?;
    let put = format!("{}&digest=sha256:{digest}", place.trim());
    let kind = "Content-Type: application/octet-stream";
    curl(&[
        "-X",
        "PUT",
        "-H",
        kind,
        "--data-binary",
        &format!("@{}", file.display()),
        &put,
    ])?;
    Ok(format!("/v2/test/blobs/sha256:{digest}"))
}

#[test]
fn the_proxy_cuts_a_blob_once_and_a_range_gets_the_rest() -> Result<()> {
    let folder = workspace::scenario("rig-proxy")?;
    let registry = Registry::start(&folder, 0)?;
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let path = upload(&registry, &bytes, &folder)?;
    let proxy = FaultProxy::start(&registry, 0)?;
    let url = format!("https://127.0.0.1:{}{path}", proxy.port());
    let get = |range: &str, to: &str| {
        let mut command = Command::new("curl");
        command
            .args(["-sS", "-r", range, "-o"])
            .arg(folder.join(to));
        command.arg("--cacert").arg(&registry.tls().ca).arg(&url);
        process::output(&mut command)
    };
    proxy.plan(Fault::CutAfter(100_000), 1);
    assert!(get("0-", "first").is_err(), "the cut must be seen");
    assert_eq!(fs::read(folder.join("first"))?, bytes[..100_000]);
    get("100000-", "rest")?;
    assert_eq!(fs::read(folder.join("rest"))?, bytes[100_000..]);
    let seen = proxy.seen();
    assert_eq!(
        (seen[0].sent, seen[1].from, seen[1].fault),
        (100_000, 100_000, None)
    );
    proxy.plan(Fault::TooMany(7), 1);
    get("0-", "limited")?;
    assert_eq!(
        fs::metadata(folder.join("limited")).map_or(0, |m| m.len()),
        0
    );
    Ok(())
}

#[test]
fn the_answer_about_virtualization_is_kept_and_is_the_same_when_asked_again() -> Result<()> {
    let first = accel::choose(None)?;
    let again = accel::choose(None)?;
    assert_eq!(first, again);
    if fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_err()
    {
        assert_eq!(first, accel::Accel::Tcg, "no device, no virtualization");
    }
    Ok(())
}
