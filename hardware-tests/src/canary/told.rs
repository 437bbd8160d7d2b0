//! What a scenario's hub tells those who may ask it everything.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    artifacts::{Artifacts, Profile},
    hub::Hub,
};

/// Lists of the hub's command line: each is all that the admin API has of its kind.
const LISTS: [&str; 8] = [
    "host", "event", "token", "audit", "person", "api-key", "registry", "profile",
];
/// Folder of the answers in that of the scenario.
const FOLDER: &str = "told";

/// Starts every hub below `folder` once more and keeps its answers beside the scenario's files.
pub(super) fn ask(folder: &Path) -> Result<()> {
    let answers = folder.join(FOLDER);
    for (number, home) in homes(folder)?.into_iter().enumerate() {
        let hub = Hub::start(&Artifacts::built(Profile::Thin), &home, 0)
            .context("starting the scenario's hub to hear what it tells")?;
        fs::create_dir_all(&answers).context("making a folder for the hub's answers")?;
        let keep = |name: &str, text: String| {
            let file = answers.join(format!("{number}-{name}.json"));
            fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
        };
        for list in LISTS {
            keep(list, hub.ask(&[list, "list"])?.to_string())?;
        }
        for host in hub.hosts()? {
            let uid = host["uid"].as_str().context("a host without uid")?;
            keep(uid, hub.ask(&["host", "show", uid])?.to_string())?;
        }
    }
    Ok(())
}

/// Folders whose `data` is a hub's, at most two folders below `folder`.
fn homes(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut homes = Vec::new();
    let mut level = vec![folder.to_owned()];
    for _depth in 0..3 {
        let mut next = Vec::new();
        for here in level {
            if here.join("data/admin.json").exists() {
                homes.push(here.clone());
            }
            let entries = fs::read_dir(&here);
            for entry in entries.with_context(|| format!("reading {}", here.display()))? {
                let path = entry.context("reading a folder")?.path();
                if path.is_dir() && !path.is_symlink() {
                    next.push(path);
                }
            }
        }
        level = next;
    }
    Ok(homes)
}
