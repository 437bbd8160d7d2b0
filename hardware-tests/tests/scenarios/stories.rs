//! The three ways into the fleet, as the people in them see it: the host's screen, and the hub's pages in
//! a real browser. The way by token is the golden installation.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use burin_core::identity::{HostId, Source};
use burin_hardware_tests::{
    artifacts::{Artifacts, Profile},
    board::Board,
    hub::Hub,
    person::Person,
    register::{announce, approve, claim, host_id, matcher, newcomer},
    scenario,
    screen::{said, wait_for_code},
    site::{PROFILE, Ports, Site, Via},
};

use crate::signed::Signer;

/// From the acceptance until the installer writes: it pulls nothing before that.
const BEGINS: Duration = Duration::from_secs(10 * 60);

/// Writes down how long it took from a person's click to the host's console.
fn clicked(folder: &Path, took: Duration) -> Result<()> {
    let text = format!(
        "{:.1} s from the click to the console\n",
        took.as_secs_f64()
    );
    fs::write(folder.join("click.txt"), text).context("writing down the time")
}

/// Two minutes. The operator knows the host by its label, before it is plugged in; from then on the hub's
/// root asks for signed releases, and this one is not signed yet.
#[test]
fn an_operator_announces_a_host_that_comes_later_and_it_installs_what_was_signed() -> Result<()> {
    scenario::tell("manual-before", |folder| {
        let artifacts = Artifacts::build(Profile::Thin)?;
        let mut site = Site::open(&artifacts, &folder.join("site"), Ports::default())?;
        site.fill(&artifacts)?;
        site.publish(&artifacts, Via::Registry)?;
        let mut machine = newcomer(&artifacts, &site.hub, folder)?;
        let id = HostId::derive(Source::SmbiosUuid, &machine.spec_mut().uuid).to_string();
        let operator = Person::operator(&site.hub, folder)?;
        announce(&operator, &id, Some(PROFILE))?;
        operator.browser.keep("manual-announced")?;
        let signer = Signer::begin(&mut site, folder)?;

        machine.power_on()?;
        assert_eq!(host_id(&mut machine)?, id);
        let key = said(&mut machine, "key")?;
        clicked(folder, approve(&operator, &mut machine, &id, &key)?)?;
        let said = machine.console()?.text();
        assert!(said.contains("burin: pending reason=confirm_key"), "{said}");
        assert!(!said.contains("reason=no_token"), "it was not expected");
        assert_eq!(matcher(&site.hub)?, "host_id");

        machine.wait_for("burin: hub-state release.unsigned: ", BEGINS)?;
        assert_eq!(machine.written(0)?, 0, "it wrote what nobody signed");
        signer.sign(&site)?;
        machine.wait_for("burin: step partition done", BEGINS)?;
        operator.browser.sees("installing")?;
        operator.browser.quit()
    })
}

/// One minute.
#[test]
fn an_operator_announces_a_host_that_waits_and_compares_its_key() -> Result<()> {
    scenario::tell("manual-after", |folder| {
        let artifacts = Artifacts::build(Profile::Thin)?;
        let hub = Hub::start(&artifacts, folder, 0)?;
        let mut machine = newcomer(&artifacts, &hub, folder)?;
        machine.power_on()?;
        let id = host_id(&mut machine)?;
        let key = said(&mut machine, "key")?;
        let pending = said(&mut machine, "pending")?;
        assert!(pending.starts_with("reason=no_token "), "{pending}");

        let operator = Person::operator(&hub, folder)?;
        announce(&operator, &id, None)?;
        clicked(folder, approve(&operator, &mut machine, &id, &key)?)?;
        assert_eq!(matcher(&hub)?, "host_id");
        assert_eq!(machine.written(0)?, 0, "it wrote before it was told to");
        operator.browser.quit()
    })
}

/// One minute. Whether the hub was reached before the claim or after is told in `console`, too.
#[test]
fn a_technician_scans_the_screen_with_a_telephone_and_types_the_number() -> Result<()> {
    scenario::tell("qr", |folder| {
        let artifacts = Artifacts::build(Profile::Thin)?;
        let hub = Hub::start(&artifacts, folder, 0)?;
        let mut machine = newcomer(&artifacts, &hub, folder)?;
        let technician = Person::technician(&hub, folder)?;
        machine.power_on()?;
        let id = host_id(&mut machine)?;
        clicked(folder, claim(&technician, &mut machine, |_| ())?)?;
        assert_eq!(matcher(&hub)?, "qr");
        assert_eq!(hub.hosts()?[0]["host_id"], id);
        wait_for_code(&mut machine, "accepted.png", None)?;
        assert_eq!(machine.written(0)?, 0, "it wrote before it was told to");
        technician.browser.quit()
    })
}
