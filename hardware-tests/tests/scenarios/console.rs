//! What a technician sees before anybody took the host in: the QR code, read off the screen.

use std::time::Duration;

use anyhow::{Context, Result};
use burin_api::claim::{ClaimLink, KeyLabel};
use burin_hardware_tests::{
    artifacts::{Artifacts, Profile},
    board::{Board, Disk},
    golden::{self, DISK, SERIAL},
    hub::Hub,
    qemu::Medium,
    scenario,
    screen::{said, wait_for_code},
};
use serde_json::json;

/// From the hub's start until the host has called again: its pauses may have grown.
const HEARD: Duration = Duration::from_secs(600);

/// Two minutes: one boot, and the host's pause before it calls its hub again.
#[test]
fn a_host_without_token_is_taken_in_by_the_code_on_its_screen() -> Result<()> {
    scenario::tell("console-claim", |folder| {
        let artifacts = Artifacts::build(Profile::Thin)?;
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
        let mut machine = golden::machine(folder, vec![disk], Some(Medium::UsbStick(iso)))?;
        machine.power_on()?;
        let id = said(&mut machine, "host")?;
        let key: KeyLabel = said(&mut machine, "key")?.parse()?;
        let link = said(&mut machine, "claim")?;
        let (id, _) = id.split_once(' ').context("no rule after the ID")?;
        let host_id = id.to_owned();
        assert_eq!(link, ClaimLink { host_id, key }.url(&url));
        wait_for_code(&mut machine, "before.png", Some(&link))
            .context("the hub was never reached")?;

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
    })
}
