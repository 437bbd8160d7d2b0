//! Reboot and power-off: the last call of a machine's run.

use std::convert::Infallible;

use anyhow::{Context, Result};
use nix::sys::reboot::{RebootMode, reboot};

/// How the machine is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Through the firmware.
    Reboot,
    PowerOff,
}

/// Leaves at once. Nothing is stopped or synced here: that was the caller's part.
///
/// # Errors
/// When the kernel refuses, which it does to anybody but root.
pub fn leave(how: Leave) -> Result<Infallible> {
    let (mode, doing) = match how {
        Leave::Reboot => (RebootMode::RB_AUTOBOOT, "rebooting"),
        Leave::PowerOff => (RebootMode::RB_POWER_OFF, "powering off"),
    };
    reboot(mode).context(doing)
}

/// Makes Ctrl-Alt-Del a signal to PID 1 instead of an immediate reset in the middle of a write.
///
/// # Errors
/// When the kernel refuses.
pub fn catch_ctrl_alt_del() -> Result<()> {
    nix::sys::reboot::set_cad_enabled(false).context("taking Ctrl-Alt-Del as a signal")
}
