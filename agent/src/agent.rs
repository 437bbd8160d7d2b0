//! The agent: look, plan, perform, report. In the ISO it installs, on the installed host it brings
//! the generation up, and on both it talks to the hub for ever.

mod disks;
mod firmware;
mod gate;
mod installer;
mod look;
mod service;
mod start;
mod talk;
mod watch;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use burin_core::backoff::Class;

use crate::context::Paths;
use crate::events::Events;
use crate::init::{POWER_OFF, REBOOT};
use crate::installed;
use crate::steps::{Failure, Outcome};

/// Which of its two lives the agent leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// In the ISO, as the child of PID 1.
    Installer,
    /// On the installed host, as a service.
    Service,
}

/// Runs the agent to its end. The exit code tells PID 1 what follows: 0 stay, 10 reboot, 11 power
/// off, anything else a crash.
///
/// # Errors
/// What the agent cannot handle by itself; whoever started it starts it again.
pub fn run(life: Life, paths: &Paths) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let outcome = runtime.block_on(live(life, paths));
    // A step's thread may hang in the kernel; the end does not wait for it.
    runtime.shutdown_background();
    let outcome = outcome?;
    if life == Life::Service {
        // systemd is PID 1 here and ends the machine in order.
        installed::leave(outcome)?;
        return Ok(ExitCode::SUCCESS);
    }
    let code = match outcome {
        Outcome::Done => 0,
        Outcome::Reboot => REBOOT,
        Outcome::PowerOff => POWER_OFF,
    };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

async fn live(life: Life, paths: &Paths) -> Result<Outcome> {
    let boot_id = start::boot_id(paths)?;
    let events = Events::new(&boot_id);
    let result = match life {
        Life::Installer => installer::run(paths, &boot_id, &events).await,
        Life::Service => service::run(paths, &boot_id, &events).await,
    };
    if let Err(error) = &result {
        events.failed("agent", error);
        if Failure::class_of(error) == Class::Never {
            // Starting again changes nothing; the reason stays on the consoles.
            return std::future::pending().await;
        }
    }
    result
}
