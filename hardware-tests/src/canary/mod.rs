//! Secrets as canaries: after a scenario each of them is searched for in everything that it left, and
//! only the places of [`places`] may hold it.

mod disk;
mod forms;
mod gather;
mod places;
mod search;
mod told;

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

pub use self::{
    forms::{Form, forms},
    places::Kind,
};
use self::{
    places::{Place, may_lie},
    search::Searcher,
};

/// The list of what people made up in a scenario; it is not searched itself.
pub(crate) const NOTES: &str = "canaries.jsonl";

/// One secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    pub kind: Kind,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Secret({:?}, <hidden>)", self.kind)
    }
}

/// What a search found in allowed places.
#[derive(Debug, Default)]
pub struct Report {
    /// How many secrets were searched for.
    pub secrets: usize,
    /// How many bytes were read.
    pub bytes: u64,
    /// Which kind lies where.
    pub found: Vec<(Kind, String)>,
}

impl Report {
    /// Whether a secret of this kind lies in a place with this name.
    #[must_use]
    pub fn lies(&self, kind: Kind, place: &str) -> bool {
        let mut found = self.found.iter();
        found.any(|(what, at)| *what == kind && at.ends_with(place))
    }
}

#[derive(Serialize, Deserialize)]
struct Note {
    kind: Kind,
    value: String,
}

/// Writes down a secret that was made up in the scenario of `folder`.
///
/// # Errors
/// When the list cannot be written.
pub fn note(folder: &Path, kind: Kind, value: &str) -> Result<()> {
    let path = folder.join(NOTES);
    let doing = || format!("writing {}", path.display());
    let mut options = File::options();
    let file = options.append(true).create(true).mode(0o600).open(&path);
    let value = value.to_owned();
    let line = serde_json::to_string(&Note { kind, value }).with_context(doing)?;
    writeln!(file.with_context(doing)?, "{line}").with_context(doing)
}

/// A secret that was never seen before, which begins with `what`.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn random(what: &str) -> Result<String> {
    let mut bytes = [0; 12];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("asking for random bytes")?;
    Ok(format!("{what}-{}", hex::encode(bytes)))
}

/// Searches everything in the `folder` of a scenario whose programs and machines have ended: files, the
/// raw bytes of disks, and what its hub answers. Secrets are those that were noted and those that lie in
/// the places where programs keep them.
///
/// # Errors
/// When a secret lies where it must not (the error names kind, form and place, never the secret), or
/// something cannot be read.
pub fn search(folder: &Path) -> Result<Report> {
    told::ask(folder)?;
    let files = files_below(folder)?;
    let mut disks = Vec::new();
    for path in files.iter().filter(|path| disk::is_disk(path)) {
        disks.push(disk::Image::open(path)?);
    }
    let secrets = gather::all(folder, &files, &disks)?;
    let searcher = Searcher::new(&secrets)?;
    let mut report = Report {
        secrets: secrets.len(),
        ..Report::default()
    };
    let mut leaks = Vec::new();
    let mut take = |kind: Kind, form: Form, place: &Place| {
        let text = place.to_string();
        if may_lie(kind, place) {
            report.found.push((kind, text));
        } else {
            leaks.push(format!("{kind:?} ({form:?}) in {text}"));
        }
    };
    let mut bytes = 0;
    for path in files.iter().filter(|path| !disk::is_disk(path)) {
        let name = path.strip_prefix(folder).unwrap_or(path);
        for hit in searcher.file(path)? {
            take(hit.kind, hit.form, &Place::of_file(name, path, hit.at)?);
        }
        bytes += fs::metadata(path).map_or(0, |it| it.len());
    }
    for disk in &disks {
        for hit in disk.search(&searcher)? {
            take(hit.kind, hit.form, &disk.place(hit.at)?);
        }
        bytes += disk.stored();
    }
    report.bytes = bytes;
    leaks.dedup();
    ensure!(
        leaks.is_empty(),
        "secrets lie where they must not (docs/operations.md has the places): {}",
        leaks.join("; ")
    );
    report.found.dedup();
    Ok(report)
}

/// Every regular file, links not followed.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let doing = || format!("reading {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(doing)? {
            let entry = entry.with_context(doing)?;
            let kind = entry.file_type().with_context(doing)?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && entry.file_name() != NOTES {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}
