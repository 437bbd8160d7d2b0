//! PID 1 of an installed host's initramfs: finds the system partition, mounts root and agent by
//! their digests, renders the writable places, moves to the root and executes its init.

pub(crate) mod ahead;
mod copy;
mod etc;
mod fall;
mod homes;
mod identity;
pub mod pack;
mod partition;
mod site;
mod switch;
mod var;

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use burin_core::boot::BootTarget;
use nix::mount::MsFlags;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

pub use fall::{LAST_WORDS, LastWords};

use crate::init::{self, early, say};
use crate::machine::fat;
use crate::machine::mount::{QUIET, Source, mount};
use crate::store::{Store, Verity};

/// Where the new root is put together.
const ROOT: &str = "/sysroot";
const SYSTEM: &str = "/run/burin/system";
const ESP: &str = "/run/burin/esp";
const DATA: &str = "/run/burin/data";
/// What this initramfs did, for the agent.
pub const REPORT: &str = "/run/burin/boot.json";
/// `shadow` as it was rendered without what was changed on the host, below the root.
pub const BASE_SHADOW: &str = "run/burin/shadow";
/// The lines of `shadow` that were changed on the host, on the system partition.
pub const SAVED_SHADOW: &str = "shadow";

/// What the initramfs found and how long it took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BootReport {
    pub generation: u64,
    pub root: String,
    pub agent: String,
    /// Milliseconds since the kernel started, when this initramfs got control and when it left.
    pub started: u64,
    pub left: u64,
    /// What that time went into, in order, with the milliseconds of each part.
    pub parts: Vec<(String, u64)>,
    /// What is not as it should be though the host boots, for example a missing data partition.
    pub troubles: Vec<String>,
}

impl BootReport {
    /// Ends a part of the way, which began where the one before it ended.
    fn passed(&mut self, part: &str) {
        let before: u64 = self.parts.iter().map(|(_, took)| took).sum();
        let took = since_boot().saturating_sub(self.started + before);
        self.parts.push((part.to_owned(), took));
    }
}

/// Runs as PID 1 and never returns.
pub fn run() -> ! {
    init::panic::catch();
    let started = since_boot();
    let err = match boot(started) {
        Ok(never) => match never {},
        Err(err) => err,
    };
    fall::give_up(&err)
}

fn boot(started: u64) -> Result<Infallible> {
    early::mounts().context("mounting the virtual file systems")?;
    early::module_helper()?;
    let line = std::fs::read_to_string("/proc/cmdline").context("reading the command line")?;
    let target = BootTarget::parse(&line)?;
    let mut report = BootReport {
        generation: target.generation,
        root: target.root.clone(),
        agent: target.agent.clone(),
        started,
        ..BootReport::default()
    };
    let disk = partition::find(&target.system)?;
    report.passed("disk");
    mount_system(&disk.system)?;
    let root = Path::new(ROOT);
    mount_images(&target, root)?;
    report.passed("root");
    if let Err(err) = mount_esp(disk.esp.as_deref()) {
        report.troubles.push(format!("{err:#}"));
    }
    report.passed("boot partition");
    let system = Path::new(SYSTEM);
    let site = etc::render(system, root, target.generation)?;
    report.passed("settings");
    report.troubles.extend(site.troubles);
    report.troubles.extend(var::mount_all(
        disk.data.as_deref(),
        Path::new(DATA),
        root,
        target.generation,
    )?);
    report.troubles.extend(homes::make_all(&site.homes, root));
    mask_services()?;
    report.passed("data");
    for trouble in &report.troubles {
        say::everywhere(&format!("burin: {trouble}"));
    }
    report.left = since_boot();
    let text = serde_json::to_vec(&report).context("writing the boot report")?;
    std::fs::write(REPORT, text).context("writing the boot report")?;
    switch::to(root)
}

fn mount_system(device: &Path) -> Result<()> {
    let source = Source {
        device,
        kind: "ext4",
        flags: MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOATIME,
        options: "",
    };
    mount(source, Path::new(SYSTEM)).context("the system partition does not mount")
}

/// The root and, over its mount point, the agent: each by its own digest.
fn mount_images(target: &BootTarget, root: &Path) -> Result<()> {
    std::fs::create_dir_all(root).context("making the new root's mount point")?;
    let store = Store::open(&Path::new(SYSTEM).join("store"), Verity::Required)?;
    store.mount(&target.root, root)?;
    store.mount(&target.agent, &root.join("usr/lib/burin"))
}

fn mount_esp(device: Option<&Path>) -> Result<()> {
    let device = device.context("the disk has no boot partition: upgrades are not possible")?;
    let settled = settle(device);
    let source = Source {
        device,
        kind: "vfat",
        flags: QUIET,
        options: "umask=0077",
    };
    mount(source, Path::new(ESP)).context("the boot partition does not mount")?;
    // Mounted all the same: boot files are believed by their digests only.
    settled
}

/// After a power cut the kernel complains at each boot, and firmware may not write to it.
fn settle(device: &Path) -> Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(device)
        .with_context(|| format!("opening {}", device.display()))?;
    if fat::settle(&mut file)? == fat::State::Settled {
        say::everywhere("burin: the boot partition was not unmounted; it is sound");
    }
    Ok(())
}

/// systemd's own judges of a boot would mark it good without the health gate, or rewrite the loader.
fn mask_services() -> Result<()> {
    let folder = Path::new("/run/systemd/system");
    std::fs::create_dir_all(folder).context("making the folder for masks")?;
    for unit in [
        "systemd-bless-boot.service",
        "systemd-boot-update.service",
        "systemd-boot-check-no-failures.service",
    ] {
        std::os::unix::fs::symlink("/dev/null", folder.join(unit))
            .with_context(|| format!("masking {unit}"))?;
    }
    Ok(())
}

/// Milliseconds since the kernel started, from the clock that counts through suspend as well.
fn since_boot() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}
