//! An installed host whose key and whose hub's address change.

use std::time::Duration;

use anyhow::{Context, Result};
use burin_hardware_tests::{
    artifacts::{Artifacts, Profile},
    board::Board,
    golden::{self, Copy, Installed},
    hub::GUEST_SEES,
    scenario,
};
use serde_json::Value;

use crate::installed::{runs_again, seen_at};

/// From the operator's word until the hub sees that the host has done it.
const DONE: Duration = Duration::from_secs(300);
/// An orderly shutdown.
const SHUTDOWN: Duration = Duration::from_secs(180);

/// The only host as `host show --json` has it.
fn shown(host: &Installed) -> Result<Value> {
    let id = host.golden.host["host_id"].as_str();
    host.site.hub.ask(&["host", "show", id.context("no ID")?])
}

/// Shuts the host down and boots it again: what the hub shows of it then.
fn reboot(host: &mut Installed) -> Result<Value> {
    host.machine.press_power_button()?;
    host.machine.wait_for_power_off(SHUTDOWN)?;
    let before = seen_at(host)?;
    host.boot()?;
    runs_again(host, before)?;
    shown(host)
}

/// Four minutes: three boots.
#[test]
#[ignore = "minutes: 4, scripts/check --full"]
fn a_host_changes_its_key_and_follows_its_hub_to_another_address() -> Result<()> {
    scenario::tell("rekey-and-move", |folder| {
        let mut host = golden::installed(folder, Copy::Overlay)?;
        host.boot()?;
        let first = shown(&host)?;
        let id = first["host_id"].as_str().context("no ID")?.to_owned();
        host.site.hub.run(&["host", "rekey", &id])?;
        let rekeyed = host.site.hub.wait_for("another key", DONE, |_| {
            let now = shown(&host).ok()?;
            (now["key"] != first["key"] && now["rekey"] == "").then_some(now)
        })?;
        let again = reboot(&mut host)?;
        for field in ["uid", "host_id", "key"] {
            assert_eq!(again[field], rekeyed[field], "{field} changed by a reboot");
        }
        assert_eq!(again["uid"], first["uid"], "another host");

        let artifacts = Artifacts::built(Profile::Thin);
        let (old, new) = (host.site.hub.port(), burin_ports::free()?);
        let address = format!("https://{GUEST_SEES}:{new}");
        host.site.hub.rotate(&["--address", &address])?;
        host.site.start_hub_again(&artifacts, old)?;
        // The host has the new address from here on; nobody is there yet.
        let told = format!("it answers at https://{GUEST_SEES}:{old}");
        host.machine.wait_for(&told, DONE)?;
        let before = seen_at(&host)?;
        host.site.start_hub_again(&artifacts, new)?;
        assert_eq!(host.site.hub.greeting.url, address);
        runs_again(&host, before)?;

        let moved = reboot(&mut host)?;
        let said = host.machine_console()?;
        assert!(
            said.contains(&format!("burin: hub {address}")),
            "the next boot did not begin with the new address"
        );
        for field in ["uid", "host_id", "key"] {
            assert_eq!(moved[field], rekeyed[field], "{field} changed by the move");
        }
        assert_eq!(moved["state"], "accepted");
        assert_eq!(host.site.hub.hosts()?.len(), 1, "a second host appeared");
        Ok(())
    })
}
