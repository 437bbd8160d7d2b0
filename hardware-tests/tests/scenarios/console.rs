//! What a technician sees before anybody took the host in: the QR code, read off the screen.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use burin_api::claim::{ClaimLink, KeyLabel};
use burin_hardware_tests::{
    artifacts::{Artifacts, Profile},
    board::{Board, Disk},
    golden::{self, DISK, SERIAL},
    hub::Hub,
    qemu::{Medium, Qemu},
    workspace,
};
use serde_json::json;

/// From power-on to the code: 40 s on an idle machine.
const SHOWN: Duration = Duration::from_secs(600);
/// From the line on the wire until the screen is drawn.
const DRAWN: Duration = Duration::from_secs(120);
/// Exit code of zbarimg that found nothing.
const NO_CODE: i32 = 4;
/// From the hub's start until the host has called again: its pauses may have grown.
const HEARD: Duration = Duration::from_secs(600);

/// The rest of the console's line that begins with `name`.
fn said(machine: &mut Qemu, name: &str) -> Result<String> {
    let begin = format!("burin: {name} ");
    let line = machine.wait_for(&begin, SHOWN)?;
    let (_, rest) = line.split_once(&begin).context("the line is cut")?;
    Ok(rest.trim().to_owned())
}

/// What `zbarimg` reads off the screen now; none when it finds no code.
fn scan(machine: &mut Qemu, picture: &Path) -> Result<Option<String>> {
    machine.screenshot(picture)?;
    let mut zbarimg = Command::new("zbarimg");
    zbarimg.args(["-q", "--raw", "-Sdisable", "-Sqrcode.enable"]);
    let ran = zbarimg.arg(picture).output();
    let ran = ran.context("running zbarimg (Debian package zbar-tools)")?;
    match ran.status.code() {
        Some(0) => {
            let text = String::from_utf8(ran.stdout).context("the code holds no text")?;
            Ok(Some(text.trim().to_owned()))
        }
        Some(NO_CODE) => Ok(None),
        other => bail!("zbarimg ended with {other:?}"),
    }
}

/// Looks at the screen every second until it shows `wanted`; none for no code.
fn wait_for_code(machine: &mut Qemu, name: &str, wanted: Option<&str>) -> Result<()> {
    let picture = machine.folder().join(name);
    let deadline = Instant::now() + DRAWN;
    loop {
        let seen = scan(machine, &picture)?;
        if seen.as_deref() == wanted {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{} shows {seen:?}, not {wanted:?}", picture.display());
        }
        // A screen tells nobody that it changed; the machine's end would be the end of the wait.
        let ended = machine.console()?.wait_for_end(Duration::from_secs(1));
        if ended.is_ok() {
            bail!("the machine ended");
        }
    }
}

/// Two minutes: one boot, and the host's pause before it calls its hub again.
#[test]
fn a_host_without_token_is_taken_in_by_the_code_on_its_screen() -> Result<()> {
    let artifacts = Artifacts::build(Profile::Thin)?;
    let folder = workspace::scenario("console-claim")?;
    let site = folder.join("site");
    std::fs::create_dir_all(&site).context("making the hub's folder")?;
    let hub = Hub::start(&artifacts, &site, 0)?;
    let (url, port) = (hub.greeting.url.clone(), hub.port());
    let user_data = folder.join("user-data");
    std::fs::write(&user_data, hub.run(&["user-data"])?).context("writing the user-data")?;
    drop(hub);

    let iso = folder.join("burin.iso");
    artifacts.make_iso(&user_data, &iso)?;
    let disk = Disk::empty(&folder.join("disk.raw"), DISK, SERIAL)?;
    let mut machine = golden::machine(&folder, vec![disk], Some(Medium::UsbStick(iso)))?;
    machine.power_on()?;
    let id = said(&mut machine, "host")?;
    let key: KeyLabel = said(&mut machine, "key")?.parse()?;
    let link = said(&mut machine, "claim")?;
    let (id, _) = id.split_once(' ').context("no rule after the ID")?;
    let host_id = id.to_owned();
    assert_eq!(link, ClaimLink { host_id, key }.url(&url));
    wait_for_code(&mut machine, "before.png", Some(&link)).context("the hub was never reached")?;

    let hub = Hub::start(&artifacts, &site, port)?;
    let claim = hub.post("/api/v1/claims", &json!({ "link": link }))?;
    assert_eq!(claim["state"], "waiting", "{claim}");
    let pending = said(&mut machine, "pending")?;
    assert!(pending.starts_with("reason=confirm_number "), "{pending}");
    let (_, number) = pending.split_once("number=").context("no number")?;
    let number: u8 = number.parse().context("reading the number")?;
    wait_for_code(&mut machine, "number.png", Some(&link))?;

    let path = format!("/api/v1/claims/{}/number", key.compact());
    let claim = hub.post(&path, &json!({ "number": number }))?;
    assert_eq!(claim["state"], "accepted", "{claim}");
    machine.wait_for("burin: accepted", HEARD)?;
    wait_for_code(&mut machine, "accepted.png", None)?;
    let host = hub.hosts()?;
    assert_eq!(host[0]["host_id"], id);
    assert_eq!(host[0]["state"], "accepted");
    assert_eq!(machine.written(0)?, 0, "bytes written to the disk");
    Ok(())
}
