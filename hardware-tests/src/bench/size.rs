//! Sizes of what is shipped.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Figure;
use crate::artifacts::{Artifacts, Profile};
use crate::process::output;

/// Bytes of a MiB.
const MIB: f64 = 1024.0 * 1024.0;

/// The agent and an ISO with the whole driver set, which is made in `folder`. Needs the release
/// build of `burin` and `burin-iso`.
///
/// # Errors
/// When they are not built or the ISO cannot be made.
pub fn measure(folder: &Path) -> Result<Vec<Figure>> {
    let artifacts = Artifacts::built(Profile::Release);
    let iso = folder.join("burin.iso");
    let mut build = Command::new(artifacts.iso());
    build
        .args(["build", "--force", "--agent"])
        .arg(artifacts.burin());
    output(build.arg("--out").arg(&iso)).context("making the ISO")?;
    Ok(vec![
        Figure::bounded(
            "ISO with the whole driver set",
            mib(&iso)?,
            "MiB",
            56.0,
            48.0,
        ),
        Figure::bounded(
            "`burin`, static, stripped",
            mib(&artifacts.burin())?,
            "MiB",
            10.0,
            6.0,
        ),
    ])
}

fn mib(path: &Path) -> Result<f64> {
    let about = fs::metadata(path).with_context(|| format!("looking at {}", path.display()))?;
    Ok(about.len() as f64 / MIB)
}
