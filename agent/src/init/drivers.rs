//! Drivers by modalias: all devices that are there, then every device that comes. A child of PID 1,
//! so that a driver that hangs or crashes while it probes takes nobody along.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use burin_core::display::counted;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};

use crate::machine::module::{self, Drivers, Loaded};
use crate::machine::uevent::{Heard, Listener};

/// Exists when all devices of the first look have had their drivers loaded.
pub const SETTLED: &str = "/run/burin/drivers.settled";
/// How long one wait for an event lasts; only the loop is bounded by it.
const LONG: Duration = Duration::from_secs(3600);

/// Loads drivers for ever.
///
/// # Errors
/// When there are no module indexes, or the kernel's events cannot be heard.
pub fn run() -> Result<()> {
    // Subscribed before the first look, so that no device falls between the two.
    let listener = Listener::open()?;
    let mut drivers = Drivers::of_running_kernel(Path::new("/"))?;
    let started = Instant::now();
    let count = look(&mut drivers);
    eprintln!(
        "burin: {} loaded in {} ms",
        counted(count, "module", "modules"),
        started.elapsed().as_millis()
    );
    std::fs::write(SETTLED, b"").with_context(|| format!("writing {SETTLED}"))?;
    if getppid() == Pid::from_raw(1) {
        kill(getppid(), Signal::SIGUSR2).context("telling PID 1 that the drivers are loaded")?;
    }
    loop {
        match listener.next(Instant::now() + LONG)? {
            Heard::Event(event) if event.action == "add" => {
                let alias = event.value("MODALIAS");
                if !alias.is_empty() {
                    report(&drivers.load(alias));
                }
            }
            Heard::Lost => {
                look(&mut drivers);
            }
            Heard::Event(_) | Heard::Nothing => {}
        }
    }
}

/// Looks until a look brings nothing new: a loaded bus driver shows the devices behind it.
fn look(drivers: &mut Drivers) -> usize {
    let mut all = 0;
    loop {
        let mut new = 0;
        for alias in module::modaliases(Path::new("/")) {
            let loaded = drivers.load(&alias);
            report(&loaded);
            new += loaded.new.len();
        }
        if new == 0 {
            return all;
        }
        all += new;
    }
}

fn report(loaded: &Loaded) {
    for (module, why) in &loaded.failed {
        eprintln!("burin: {module}: {why}");
    }
}

/// What the kernel calls as its module helper: `modprobe -q -- <alias>`.
///
/// # Errors
/// When there are no module indexes or no module was asked for.
pub fn helper(arguments: impl Iterator<Item = String>) -> Result<()> {
    let wanted = arguments
        .filter(|word| !word.starts_with('-'))
        .last()
        .context("the kernel asked for no module")?;
    let loaded = Drivers::of_running_kernel(Path::new("/"))?.load(&wanted);
    match loaded.failed.first() {
        Some((module, why)) => anyhow::bail!("{module}: {why}"),
        None => Ok(()),
    }
}
