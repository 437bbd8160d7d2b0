//! A scenario: a folder, a story, and the search for secrets that ends each of them.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{
    canary::{self, Report},
    workspace,
};

/// File in the folder of a scenario that says how long it took.
const TIME: &str = "time.txt";

/// Tells the scenario `name`: `story` gets an empty folder for everything that it leaves. When it has
/// returned, its machines, hubs and registries have ended, and what they left is searched for secrets.
///
/// # Errors
/// When the story fails, or a secret lies where it must not.
pub fn tell(name: &str, story: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let folder = workspace::scenario(name)?;
    let began = Instant::now();
    story(&folder)?;
    end(&folder, began.elapsed())?;
    Ok(())
}

/// Searches the `folder` of a scenario that took `time`, and writes both times down.
///
/// # Errors
/// When a secret lies where it must not, or the folder cannot be read or written.
pub fn end(folder: &Path, time: Duration) -> Result<Report> {
    let began = Instant::now();
    let report = canary::search(folder)?;
    let text = format!(
        "{:.0} s, and {:.1} s to search {} MiB for {} secrets\n",
        time.as_secs_f64(),
        began.elapsed().as_secs_f64(),
        report.bytes >> 20,
        report.secrets
    );
    let file = folder.join(TIME);
    fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    Ok(report)
}
