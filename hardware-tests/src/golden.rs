//! The golden disk: one real installation, made once, from which every scenario of an installed host starts.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    artifacts::{Artifacts, Profile},
    board::{Board, Disk},
    canary::{Kind, NOTES, note, random},
    process,
    qemu::{Medium, Qemu, Spec, accel},
    scenario,
    site::{Ports, Site, Via},
    workspace::{self, Turn},
};

/// An installation under software emulation on two busy cores, with room to spare.
pub const INSTALL: Duration = Duration::from_secs(20 * 60);
/// From power-on of an installed host until it says that it runs.
pub const BOOT: Duration = Duration::from_secs(8 * 60);
/// From the host's running until the hub has its kubeconfig.
const HEARD: Duration = Duration::from_secs(300);
/// What the operator downloads.
const KUBECONFIG: &str = "operator.kubeconfig";
/// Size of the main disk, bytes: above the 100 GB that the gate asks for, and sparse.
pub const DISK: u64 = 128 << 30;
/// Serial of the main disk.
pub const SERIAL: &str = "BURIN-0001";

/// What is kept of the installation beside its files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Golden {
    /// Digest of the programs it was made with.
    made_with: String,
    registry_port: u16,
    hub_port: u16,
    /// What the hub said of the host when it ran.
    pub host: Value,
    /// Seconds from power-on until it ran.
    pub seconds: f64,
    /// What the console said, until it ran.
    pub console: String,
}

/// A copy of the golden site with its machine, ready to be switched on.
#[derive(Debug)]
pub struct Installed {
    pub site: Site,
    pub machine: Qemu,
    pub golden: Golden,
    pub folder: PathBuf,
    _turn: Turn,
}

/// How the copy of the golden disk is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copy {
    /// A layer of changes: quick.
    Overlay,
    /// A raw file, for scenarios that damage bytes on the disk.
    Raw,
}

fn home() -> PathBuf {
    workspace::target().join("vm/golden")
}

/// The golden installation; made now when there is none of these programs.
///
/// # Errors
/// When the installation fails.
pub fn ready(artifacts: &Artifacts) -> Result<Golden> {
    let _turn = Turn::named("golden")?;
    let made_with = fingerprint(artifacts)?;
    let note = home().join("golden.json");
    if let Ok(text) = fs::read_to_string(&note)
        && let Ok(golden) = serde_json::from_str::<Golden>(&text)
        && golden.made_with == made_with
    {
        return Ok(golden);
    }
    let golden = make(artifacts, made_with)?;
    let text = serde_json::to_string_pretty(&golden).context("writing down the golden disk")?;
    fs::write(&note, text).with_context(|| format!("writing {}", note.display()))?;
    Ok(golden)
}

fn make(artifacts: &Artifacts, made_with: String) -> Result<Golden> {
    let folder = workspace::scenario("golden")?;
    let base = folder.join("base.iso");
    artifacts.make_base_iso(&base)?;
    let site = Site::open_locked(artifacts, &folder.join("site"), &base)?;
    site.fill(artifacts)?;
    site.publish(artifacts, Via::Registry)?;
    let iso = folder.join("burin.iso");
    site.download_iso(&iso, &secrets(&folder, &site)?)?;
    let disk = Disk::empty(&folder.join("disk.raw"), DISK, SERIAL)?;
    let mut machine = machine(&folder, vec![disk], Some(Medium::UsbStick(iso)))?;
    let start = Instant::now();
    machine.power_on()?;
    machine.wait_for("burin: progress step=pull", INSTALL)?;
    machine.screenshot(&folder.join("installing.png"))?;
    let host = match wait_until_running(&site, INSTALL) {
        Ok(host) => host,
        Err(error) => return Err(error.context(machine.leave_traces())),
    };
    let seconds = start.elapsed().as_secs_f64();
    let console = machine.console()?.text();
    download_kubeconfig(&site, &folder)?;
    shut_down(&mut machine)?;
    let ports = site.ports();
    drop((machine, site));
    searched(&folder, start.elapsed())?;
    Ok(Golden {
        made_with,
        registry_port: ports.registry,
        hub_port: ports.hub,
        host,
        seconds,
        console,
    })
}

/// User-data with a user's password and the credentials of a registry, which are searched for, as is the
/// password of the registry that the host pulls from: only the hub was told that.
fn secrets(folder: &Path, site: &Site) -> Result<String> {
    let (user, registry) = (random("user")?, random("registry")?);
    note(folder, Kind::UserPassword, &user)?;
    note(folder, Kind::RegistryPassword, &registry)?;
    let login = site.registry.login().context("the registry is open")?;
    note(folder, Kind::HubRegistryPassword, login.password)?;
    Ok(format!(
        "users:\n\
         - {{ name: ops, passwd: {user}, lock_passwd: false }}\n\
         burin:\n\
         \x20 registries:\n\
         \x20 - {{ host: registry.example, username: edge, password: {registry} }}\n"
    ))
}

/// Has the hub hand out the kubeconfig that the host sent, as to an operator. Its key is searched for.
fn download_kubeconfig(site: &Site, folder: &Path) -> Result<()> {
    let text = site.hub.wait_for("the kubeconfig", HEARD, |hosts| {
        let uid = hosts.first()?["uid"].as_str()?;
        // The hub refuses until the host has sent it.
        site.hub.run(&["host", "kubeconfig", uid]).ok()
    })?;
    fs::write(folder.join(KUBECONFIG), text).context("writing the kubeconfig")
}

/// Ends the scenario of the golden disk. What must lie somewhere has to be found there: else the search
/// would be blind.
fn searched(folder: &Path, time: Duration) -> Result<()> {
    let report = scenario::end(folder, time)?;
    for (kind, place) in [
        (Kind::Token, "burin.iso"),
        (Kind::ApiKey, "data/admin.json"),
        (Kind::HubKey, "data/online.key"),
        (Kind::HostKey, "burin-system/identity.key"),
        (Kind::UserPassword, "burin-system/user-data"),
        (Kind::RegistryPassword, "burin-system/user-data"),
        (Kind::HubRegistryPassword, "site/registry.password"),
        (Kind::Kubeconfig, KUBECONFIG),
    ] {
        ensure!(
            report.lies(kind, place),
            "{kind:?} was not found in {place}, where it lies: {:?}",
            report.found
        );
    }
    Ok(())
}

/// Presses the power button and waits until the machine is off: a golden disk is a clean one.
fn shut_down(machine: &mut Qemu) -> Result<()> {
    machine.press_power_button()?;
    machine.wait_for_power_off(Duration::from_secs(180))
}

/// A machine with `disks` and `medium` whose logs lie in `folder`.
///
/// # Errors
/// When the firmware is missing.
pub fn machine(folder: &Path, disks: Vec<Disk>, medium: Option<Medium>) -> Result<Qemu> {
    let mut spec = Spec::edge_box(disks, medium);
    spec.accel = accel::choose(None)?;
    Qemu::new(spec, folder)
}

/// Waits until the hub's only host runs.
///
/// # Errors
/// When it does not, or is blocked.
pub fn wait_until_running(site: &Site, within: Duration) -> Result<Value> {
    let seen = site.hub.wait_for("the host to run", within, |hosts| {
        let host = hosts.first()?;
        let phase = host["phase"].as_str()?;
        matches!(phase, "running" | "blocked").then(|| host.clone())
    })?;
    if seen["phase"] == "blocked" {
        bail!("the host was blocked: {seen}");
    }
    Ok(seen)
}

/// Copies the golden site and disk into the `folder` of a scenario. No other scenario uses it meanwhile: the
/// installed host knows its hub by port.
///
/// # Errors
/// When there is no golden disk and none can be made, or it cannot be copied.
pub fn installed(folder: &Path, copy: Copy) -> Result<Installed> {
    let artifacts = Artifacts::build(Profile::Thin)?;
    let golden = ready(&artifacts)?;
    let turn = Turn::named("golden")?;
    let (from, to) = (home(), folder.to_owned());
    let mut clone = std::process::Command::new("cp");
    clone.args(["-a", "--reflink=auto"]);
    process::output(clone.arg(from.join("site")).arg(&to))?;
    let disk = match copy {
        Copy::Overlay => Disk::overlay(&to.join("disk.qcow2"), &from.join("disk.raw"), SERIAL)?,
        Copy::Raw => {
            let mut sparse = std::process::Command::new("cp");
            sparse.args(["--sparse=always", "--reflink=auto"]);
            process::output(sparse.arg(from.join("disk.raw")).arg(&to))?;
            Disk::raw(&to.join("disk.raw"), SERIAL)
        }
    };
    for file in ["variables.fd", "burin.iso", NOTES] {
        fs::copy(from.join(file), to.join(file)).with_context(|| format!("copying {file}"))?;
    }
    let ports = Ports {
        registry: golden.registry_port,
        hub: golden.hub_port,
    };
    let site = Site::open(&artifacts, &to.join("site"), ports)?;
    let machine = machine(&to, vec![disk], None)?;
    Ok(Installed {
        site,
        machine,
        golden,
        folder: to,
        _turn: turn,
    })
}

impl Installed {
    /// Switches the machine on and waits until it says on its console that it runs.
    ///
    /// # Errors
    /// When it does not say so in time.
    pub fn boot(&mut self) -> Result<()> {
        self.machine.power_on()?;
        self.machine.wait_for("burin: running generation 1", BOOT)?;
        Ok(())
    }

    /// What the machine has said on its console.
    ///
    /// # Errors
    /// When it was never switched on.
    pub fn machine_console(&self) -> Result<String> {
        Ok(self.machine.console()?.text())
    }

    /// The ISO that the golden disk was installed from.
    pub fn iso(&self) -> PathBuf {
        self.folder.join("burin.iso")
    }
}

/// Digest of everything that decides what an installation puts on a disk.
fn fingerprint(artifacts: &Artifacts) -> Result<String> {
    let mut hash = Sha256::new();
    for path in [
        artifacts.burin(),
        artifacts.hub(),
        artifacts.iso(),
        artifacts.standin(),
    ] {
        hash.update(fs::read(&path).with_context(|| format!("reading {}", path.display()))?);
    }
    Ok(hex::encode(hash.finalize()))
}
