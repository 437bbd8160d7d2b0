//! The three ways by which a host is let in, as the people who do it would: at the hub's pages, in a
//! browser, with what they read off the host's screen.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::{
    artifacts::Artifacts,
    board::{Board, Disk},
    golden::{self, DISK, SERIAL},
    hub::Hub,
    person::Person,
    qemu::{Medium, Qemu},
    screen::{read_code, said, wait_for_code},
    site::PROFILE,
};

/// From the click until the host's console says that it was let in: it waits at the hub for that.
const HEARD: Duration = Duration::from_secs(600);

/// Who lets the host in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// An operator who announces its ID and compares its key
    Manual,
    /// A token in the ISO
    Token,
    /// A technician who scans the code on its screen
    Qr,
}

impl Mode {
    /// Lets the host of `machine`, which was just switched on, into `hub`, and gives it [`PROFILE`]. `say`
    /// is told what a person does. Returns the time from a person's click to the host's console, where
    /// there was a click.
    ///
    /// # Errors
    /// When the host's screen or the hub's pages do not show what they should.
    pub fn admit(
        self,
        hub: &Hub,
        machine: &mut Qemu,
        say: impl Fn(&str),
    ) -> Result<Option<Duration>> {
        let folder = machine.folder().to_owned();
        match self {
            Self::Token => Ok(None),
            Self::Manual => {
                let operator = Person::operator(hub, &folder)?;
                let id = host_id(machine)?;
                say(&format!("the operator announces {id}"));
                announce(&operator, &id, Some(PROFILE))?;
                let key = said(machine, "key")?;
                say(&format!("the operator compares the key {key} and approves"));
                approve(&operator, machine, &id, &key).map(Some)
            }
            Self::Qr => {
                let id = host_id(machine)?;
                let technician = Person::technician(hub, &folder)?;
                let took = claim(&technician, machine, &say)?;
                say("the operator assigns the profile");
                hub.run(&["assign", &id, PROFILE])?;
                Ok(Some(took))
            }
        }
    }
}

/// An empty machine with an ISO that knows `hub` and holds no secret, still off.
///
/// # Errors
/// When the ISO cannot be made.
pub fn newcomer(artifacts: &Artifacts, hub: &Hub, folder: &Path) -> Result<Qemu> {
    let user_data = folder.join("user-data");
    fs::write(&user_data, hub.run(&["user-data"])?).context("writing the user-data")?;
    let iso = folder.join("burin.iso");
    artifacts.make_iso(&user_data, &iso)?;
    let disk = Disk::empty(&folder.join("disk.raw"), DISK, SERIAL)?;
    golden::machine(folder, vec![disk], Some(Medium::UsbStick(iso)))
}

/// Types a host ID into the page *Claim*, with what the host shall become.
///
/// # Errors
/// When the hub refuses.
pub fn announce(operator: &Person, id: &str, profile: Option<&str>) -> Result<()> {
    operator.open("/c")?;
    let page = &operator.browser;
    page.fill("input[name=value]", id)?;
    if let Some(profile) = profile {
        // A list takes typed letters, as it does from a keyboard.
        page.choose("select[name=profile]", profile)?;
    }
    page.click("form[action=\"/announce\"] button")?;
    page.sees("The host was announced")?;
    page.sees(id)
}

/// Opens the page of the host that waits, compares its key with `key` off its screen, and approves. The
/// time from the click to the host's console.
///
/// # Errors
/// When the page shows another key, or the host hears nothing of it.
pub fn approve(operator: &Person, machine: &mut Qemu, id: &str, key: &str) -> Result<Duration> {
    // The hub has heard it: the console says what the host waits for.
    said(machine, "pending")?;
    operator.open("/hosts?state=pending")?;
    let page = &operator.browser;
    page.sees(id)?;
    page.click("tbody a")?;
    page.sees("This host asks to be let in")?;
    let shown = page.text("section[aria-labelledby=actions] code.key")?;
    ensure!(shown == key, "the screen shows {key}, the page {shown}");
    page.keep("manual-approve")?;
    let took = until_accepted(machine, || {
        page.click("form[action$=\"/approve\"] button")?;
        page.sees("The host was let in")
    })?;
    page.keep("manual-accepted")?;
    Ok(took)
}

/// Scans the code on the screen of `machine`, opens it, logs in, and types the number. The time from the
/// click to the host's console.
///
/// # Errors
/// When the screen shows no code or another number, or the page does not let the host in.
pub fn claim(technician: &Person, machine: &mut Qemu, say: impl Fn(&str)) -> Result<Duration> {
    let folder = machine.folder().to_owned();
    let told = said(machine, "claim")?;
    let link = read_code(machine, "code.png")?;
    ensure!(link == told, "the code says {link}, the console {told}");
    say(&format!("the technician scans {link} and logs in"));
    let page = &technician.browser;
    page.go(&link)?;
    page.sees("Log in")?;
    technician.log_in(&folder, "Is this the host before you?")?;
    let number = loop {
        let pending = said(machine, "pending")?;
        if let Some((_, number)) = pending.split_once("number=") {
            break number.to_owned();
        }
    };
    say(&format!(
        "the screen shows {number}, the technician types it"
    ));
    wait_for_code(machine, "number.png", Some(&link))?;
    page.fill("input[name=number]", &number)?;
    page.keep("qr-claim")?;
    let took = until_accepted(machine, || {
        page.click("main button.primary")?;
        page.sees("The host is in the fleet")
    })?;
    page.keep("qr-accepted")?;
    Ok(took)
}

/// Does `click` and waits until the host knows.
fn until_accepted(machine: &mut Qemu, click: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let clicked = Instant::now();
    click()?;
    machine.wait_for("burin: accepted", HEARD)?;
    Ok(clicked.elapsed())
}

/// The ID that the screen of `machine` shows.
///
/// # Errors
/// When it shows none.
pub fn host_id(machine: &mut Qemu) -> Result<String> {
    let line = said(machine, "host")?;
    let (id, _) = line.split_once(' ').context("no rule after the ID")?;
    Ok(id.to_owned())
}

/// By which matcher the hub let its only host in, as `host list --json` tells it.
///
/// # Errors
/// When there is no host, two, or one that was not let in.
pub fn matcher(hub: &Hub) -> Result<String> {
    let hosts = hub.hosts()?;
    ensure!(hosts.len() == 1, "not one host: {hosts:?}");
    let host = &hosts[0];
    ensure!(host["state"] == "accepted", "not let in: {host}");
    let matcher = host["admission"]["matcher"].as_str();
    Ok(matcher.context("no matcher")?.to_owned())
}
