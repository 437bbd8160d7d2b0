//! What the service does on an installed host beyond the agent's common loop.

pub mod boot;
pub mod generations;
pub mod hashes;
pub mod integrity;
pub mod room;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::machine::exec;
use crate::steps::Outcome;

/// The service manager's own tool.
pub(crate) const SYSTEMCTL: &str = "/usr/bin/systemctl";
/// systemd only queues the job.
const LIMIT: Duration = Duration::from_secs(60);

/// Has the service manager leave the machine, so that workloads are stopped and file systems closed.
///
/// # Errors
/// When systemd refuses.
pub fn leave(outcome: Outcome) -> Result<()> {
    let verb = match outcome {
        Outcome::Done => return Ok(()),
        Outcome::Reboot => "reboot",
        Outcome::PowerOff => "poweroff",
    };
    exec::run(Path::new(SYSTEMCTL), &["--no-block", verb], LIMIT)
        .with_context(|| format!("asking systemd for {verb}"))?;
    Ok(())
}
