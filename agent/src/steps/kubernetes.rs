//! Renders Kubernetes' configuration and starts its service.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use burin_core::kube::k3s;

use crate::context::Context;
use crate::installed::{SYSTEMCTL, generations};
use crate::kube::lay;
use crate::machine::exec;
use crate::steps::{Failure, Outcome};

/// Reading all units anew takes seconds on a slow machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Lays down configuration, token, manifests and unit of the running generation, and has the service
/// started. It does not wait until Kubernetes is ready: that is what the proof of health is for, and
/// a good generation is not judged again.
///
/// # Errors
/// When the release asks for a distribution that is not known or not in the image, a file cannot be
/// written, or systemd refuses.
#[expect(clippy::unused_async, reason = "every step has the same shape")]
pub async fn perform(ctx: &Context) -> Result<Outcome> {
    let number = generations::running(&ctx.paths)?;
    let settings = generations::settings(&ctx.paths, number)?;
    let Some(kubernetes) = &settings.release.kubernetes else {
        return Ok(Outcome::Done);
    };
    if kubernetes.distribution != "k3s" {
        return Err(Failure::never(
            format!("the distribution {} is not known", kubernetes.distribution),
            "Use k3s in the profile.",
        )
        .into());
    }
    let program = lay::k3s(&ctx.paths, &node_name(&settings.host_name), kubernetes)?;
    let systemctl = Path::new(SYSTEMCTL);
    exec::run(systemctl, &["daemon-reload"], LIMIT).context("having systemd read the unit")?;
    exec::run(systemctl, &["start", "--no-block", k3s::UNIT], LIMIT)
        .with_context(|| format!("starting {} ({})", k3s::UNIT, program.display()))?;
    Ok(Outcome::Done)
}

/// Kubernetes takes lower case only.
pub(super) fn node_name(host_name: &str) -> String {
    host_name.to_ascii_lowercase()
}
