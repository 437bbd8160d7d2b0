//! The three ways by which a host is let in, as the people who do it would.

use anyhow::{Context, Result, ensure};
use burin_api::claim::KeyLabel;
use clap::ValueEnum;
use serde_json::json;

use crate::{
    qemu::Qemu,
    screen::{read_code, said},
    site::{PROFILE, Site},
};

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
    /// Lets the host of `machine`, which was just switched on, into the hub of `site`, and gives it its
    /// profile. `say` is told what a person does.
    ///
    /// # Errors
    /// When the screen does not show what it should, or the hub refuses.
    pub fn admit(self, site: &Site, machine: &mut Qemu, say: impl Fn(&str)) -> Result<()> {
        match self {
            Self::Token => Ok(()),
            Self::Manual => announce(site, machine, say),
            Self::Qr => claim(site, machine, say),
        }
    }
}

fn announce(site: &Site, machine: &mut Qemu, say: impl Fn(&str)) -> Result<()> {
    let id = host_id(machine)?;
    say(&format!("the operator announces {id}"));
    site.hub
        .run(&["host", "preauth", &id, "--profile", PROFILE])?;
    let key = said(machine, "key")?;
    // The hub has heard it: the console says what the host waits for.
    said(machine, "pending")?;
    say(&format!("the operator compares the key {key} and approves"));
    site.hub.run(&["host", "approve", &id, "--key", &key])?;
    Ok(())
}

fn claim(site: &Site, machine: &mut Qemu, say: impl Fn(&str)) -> Result<()> {
    let id = host_id(machine)?;
    let key: KeyLabel = said(machine, "key")?.parse()?;
    said(machine, "claim")?;
    let link = read_code(machine, "code.png")?;
    say(&format!("the technician scans {link}"));
    let claim = site.hub.post("/api/v1/claims", &json!({ "link": link }))?;
    // Whether the host has called before the claim or not, its number is asked for.
    let asked = matches!(claim["state"].as_str(), Some("waiting" | "number"));
    ensure!(asked, "the claim was answered {claim}");
    let number = loop {
        let pending = said(machine, "pending")?;
        if let Some((_, number)) = pending.split_once("number=") {
            break number.to_owned();
        }
    };
    say(&format!(
        "the screen shows {number}, the technician types it"
    ));
    let typed: u8 = number.parse().context("reading the number")?;
    let path = format!("/api/v1/claims/{}/number", key.compact());
    let claim = site.hub.post(&path, &json!({ "number": typed }))?;
    ensure!(
        claim["state"] == "accepted",
        "the number was answered {claim}"
    );
    say("the operator assigns the profile");
    site.hub.run(&["assign", &id, PROFILE])?;
    Ok(())
}

fn host_id(machine: &mut Qemu) -> Result<String> {
    let line = said(machine, "host")?;
    let (id, _) = line.split_once(' ').context("no rule after the ID")?;
    Ok(id.to_owned())
}
