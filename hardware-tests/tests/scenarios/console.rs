//! What a technician sees before anybody took the host in: the QR code, read off the screen.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use burin_api::claim::ClaimLink;
use burin_hardware_tests::{
    artifacts::{Artifacts, Profile},
    board::{Board, Disk},
    golden::{self, DISK, SERIAL},
    hub::Hub,
    process,
    qemu::{Medium, Qemu},
    workspace,
};

/// From power-on to the code: 40 s on an idle machine.
const SHOWN: Duration = Duration::from_secs(600);
/// From the line on the wire until the screen is drawn.
const DRAWN: Duration = Duration::from_secs(120);
/// From the hub's start until the host has called again: its pauses may have grown.
const HEARD: Duration = Duration::from_secs(600);

/// The rest of the console's line that begins with `name`.
fn said(machine: &mut Qemu, name: &str) -> Result<String> {
    let begin = format!("burin: {name} ");
    let line = machine.wait_for(&begin, SHOWN)?;
    let (_, rest) = line.split_once(&begin).context("the line is cut")?;
    Ok(rest.trim().to_owned())
}

/// What `zbarimg` reads off the screen, as soon as it reads anything.
fn scanned(machine: &mut Qemu, picture: &Path) -> Result<String> {
    let deadline = Instant::now() + DRAWN;
    loop {
        machine.screenshot(picture)?;
        let mut zbarimg = Command::new("zbarimg");
        zbarimg.args(["-q", "--raw", "-Sdisable", "-Sqrcode.enable"]);
        match process::output(zbarimg.arg(picture)) {
            Ok(text) => return Ok(text.trim().to_owned()),
            Err(error) if Instant::now() > deadline => {
                let shown = picture.display();
                return Err(error.context(format!("nothing could be read in {shown}")));
            }
            // Nothing is on the screen yet; the machine's end would be the end of the wait.
            Err(_) => {
                if machine
                    .console()?
                    .wait_for_end(Duration::from_secs(1))
                    .is_ok()
                {
                    bail!("the machine ended");
                }
            }
        }
    }
}

/// Two minutes: one boot, and the host's pause before it calls its hub again.
#[test]
fn a_host_without_token_shows_its_link_before_and_after_the_hub_knows_it() -> Result<()> {
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
    let key = said(&mut machine, "key")?;
    let link = said(&mut machine, "claim")?;
    let (id, _) = id.split_once(' ').context("no rule after the ID")?;
    let claim = ClaimLink {
        host_id: id.to_owned(),
        key: key.parse()?,
    };
    assert_eq!(link, claim.url(&url));
    let before = scanned(&mut machine, &folder.join("before.png"))?;
    assert_eq!(before, link, "the hub was never reached");

    let hub = Hub::start(&artifacts, &site, port)?;
    let pending = said(&mut machine, "pending")?;
    assert!(pending.starts_with("reason=no_token "), "{pending}");
    let host = hub.wait_for("the host", HEARD, |hosts| hosts.first().cloned())?;
    assert_eq!(host["host_id"], id);
    assert_eq!(host["state"], "pending");
    let after = scanned(&mut machine, &folder.join("after.png"))?;
    assert_eq!(after, link);
    assert_eq!(machine.written(0)?, 0, "bytes written to the disk");
    Ok(())
}
