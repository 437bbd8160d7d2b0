//! Renders what the host is told into the copy of the image's `/etc`: reads what decides, lets
//! `burin_core::render` decide, writes. Nothing here keeps a host from booting.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burin_core::render::{
    self, Access, BUNDLES, File, Home, Image, Input, Ledger, Link, PROBED, PROBED_UNITS,
    UNIT_FOLDERS,
};
use burin_core::userdata::{self, Secret, UserData};
use serde::Deserialize;

use crate::machine::file::{self, Mode};

/// The longest file that is read here, bytes. The largest is a bundle of authorities, 250 KiB.
pub(super) const LIMIT: usize = 4 << 20;
/// Numbers of users and groups, on the system partition.
pub(super) const LEDGER: &str = "ledger.json";
/// How many links lead to a file at most.
const MOST_LINKS: usize = 8;

/// What the later steps need.
#[derive(Debug, Default)]
pub(super) struct Site {
    pub(super) homes: Vec<Home>,
    pub(super) troubles: Vec<String>,
    pub(super) base_shadow: Option<Secret>,
}

/// The part of a generation's settings, or of `host.json`, that names the host.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Names {
    host_name: String,
    host_id: String,
}

/// Renders into `etc`, which holds a copy of the image's files already.
pub(super) fn render(system: &Path, root: &Path, etc: &Path, generation: u64) -> Site {
    let mut site = Site::default();
    let told = &mut site.troubles;
    let folder = system.join("generations").join(generation.to_string());
    let user_data = user_data(&[folder.join("user-data"), system.join("user-data")], told);
    let names = [folder.join("settings.json"), system.join("host.json")];
    let name = host_name(&user_data, &names, told);
    let ledger = ledger(&system.join(LEDGER), told);
    let image = image(root, etc, told);
    let saved = optional(&system.join(super::SAVED_SHADOW), told);
    let resolver = optional(&system.join("resolv.conf"), told);
    let rendered = render::render(&Input {
        image: &image,
        user_data: &user_data,
        host_name: &name,
        ledger: ledger.as_ref().unwrap_or(&Ledger::default()),
        saved_shadow: saved.as_deref(),
        kept_resolver: resolver.as_deref(),
    });
    for file in &rendered.files {
        note(write(etc, file), told);
    }
    for one in &rendered.links {
        note(link(etc, one), told);
    }
    // A ledger that is not understood is left for a person to look at.
    if ledger.is_some_and(|old| old != rendered.ledger) {
        let text = rendered.ledger.to_json();
        let kept = file::replace(&system.join(LEDGER), text.as_bytes(), Mode::Private);
        note(kept.context("keeping the numbers of users"), told);
    }
    told.extend(rendered.conflicts.iter().map(ToString::to_string));
    told.extend(rendered.troubles);
    site.homes = rendered.homes;
    site.base_shadow = rendered.base_shadow;
    site
}

fn note(outcome: Result<()>, troubles: &mut Vec<String>) {
    troubles.extend(outcome.err().map(|err| format!("{err:#}")));
}

/// The first of these that is understood. None at all is empty user-data.
fn user_data(paths: &[PathBuf], troubles: &mut Vec<String>) -> UserData {
    for path in paths {
        let Some(text) = optional(path, troubles) else {
            continue;
        };
        match userdata::parse(&text) {
            Ok(data) => return data,
            Err(problems) => {
                let first = problems.first().map(ToString::to_string);
                troubles.push(format!(
                    "{} is not used: {}",
                    path.display(),
                    first.unwrap_or_default()
                ));
            }
        }
    }
    UserData::default()
}

/// What user-data calls the host, then what the generation was made with, then the host ID.
fn host_name(data: &UserData, names: &[PathBuf], troubles: &mut Vec<String>) -> String {
    if let Some(name) = data.hostname.as_ref().or(data.host.name.as_ref()) {
        return name.clone();
    }
    for path in names {
        let Some(text) = optional(path, troubles) else {
            continue;
        };
        match serde_json::from_str::<Names>(&text) {
            Ok(names) if !names.host_name.is_empty() => return names.host_name,
            Ok(names) if !names.host_id.is_empty() => return names.host_id,
            Ok(_) => {}
            Err(err) => troubles.push(format!("reading {}: {err}", path.display())),
        }
    }
    String::new()
}

/// None when there is one that is not understood.
fn ledger(path: &Path, troubles: &mut Vec<String>) -> Option<Ledger> {
    let before = troubles.len();
    let Some(text) = optional(path, troubles) else {
        return (troubles.len() == before).then(Ledger::default);
    };
    match Ledger::parse(&text) {
        Ok(ledger) => Some(ledger),
        Err(err) => {
            troubles.push(format!(
                "the kept numbers of users are not used: {}: {err}",
                path.display()
            ));
            None
        }
    }
}

/// The text of a file, if it is there and can be read.
fn optional(path: &Path, troubles: &mut Vec<String>) -> Option<String> {
    let read = file::read_if_there(path, LIMIT).and_then(|bytes| {
        let text = bytes.map(String::from_utf8).transpose();
        text.with_context(|| format!("reading {}: it is not UTF-8", path.display()))
    });
    match read {
        Ok(text) => text,
        Err(err) => {
            troubles.push(format!("{err:#}"));
            None
        }
    }
}

/// What the image has of what decides.
fn image(root: &Path, etc: &Path, troubles: &mut Vec<String>) -> Image {
    let mut text = |path: PathBuf| optional(&path, troubles);
    let mut image = Image {
        passwd: text(etc.join("passwd")),
        group: text(etc.join("group")),
        shadow: text(etc.join("shadow")),
        gshadow: text(etc.join("gshadow")),
        hosts: text(etc.join("hosts")),
        environment: text(etc.join("environment")),
        os: text(root.join("usr/lib/os-release"))
            .map(|text| os_id(&text))
            .unwrap_or_default(),
        // openSUSE keeps what comes from the distribution below /usr/etc.
        sshd_config: text(etc.join("ssh/sshd_config"))
            .or_else(|| text(root.join("usr/etc/ssh/sshd_config"))),
        ..Image::default()
    };
    for path in BUNDLES {
        if let Some(bundle) = followed(etc, path).and_then(&mut text) {
            image.bundles.insert(path.to_owned(), bundle);
        }
    }
    for path in PROBED {
        if root
            .join(path.trim_start_matches('/'))
            .symlink_metadata()
            .is_ok()
        {
            image.present.insert(path);
        }
    }
    for unit in PROBED_UNITS {
        let masked = fs::read_link(etc.join("systemd/system").join(unit))
            .is_ok_and(|target| target == Path::new("/dev/null"));
        let folder = UNIT_FOLDERS
            .iter()
            .find(|folder| root.join(folder).join(unit).exists());
        if let (false, Some(folder)) = (masked, folder) {
            image.units.insert(unit, format!("/{folder}/{unit}"));
        }
    }
    image
}

/// `ID=` of os-release(5), which may be in quotes.
fn os_id(text: &str) -> String {
    let id = text.lines().find_map(|line| line.strip_prefix("ID="));
    id.unwrap_or_default()
        .trim()
        .trim_matches(['"', '\''])
        .to_owned()
}

/// Where a path below `/etc` leads to, with absolute links taken as the image means them.
fn followed(etc: &Path, path: &str) -> Option<PathBuf> {
    let mut at = etc.join(path.strip_prefix("etc/")?);
    for _ in 0..MOST_LINKS {
        let Ok(target) = fs::read_link(&at) else {
            return at.is_file().then_some(at);
        };
        at = match target.strip_prefix("/etc") {
            Ok(below) => etc.join(below),
            Err(_) if target.is_absolute() => return None,
            Err(_) => at.parent()?.join(target),
        };
    }
    None
}

fn write(etc: &Path, rendered: &File) -> Result<()> {
    let path = etc.join(&rendered.path);
    let doing = || format!("rendering /etc/{}", rendered.path);
    let before = fs::symlink_metadata(&path)
        .ok()
        .filter(|found| found.is_file());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(doing)?;
    }
    let (first, bits) = match rendered.access {
        Access::Public => (Mode::Public, 0o644),
        Access::Private | Access::LikeImage => (Mode::Private, 0o600),
        Access::ReadOnly => (Mode::Private, 0o440),
        Access::Mode(bits) => (Mode::Private, bits & 0o7777),
    };
    file::replace(&path, rendered.text.as_bytes(), first).with_context(doing)?;
    let bits = match (rendered.access, before) {
        (Access::LikeImage, Some(before)) => {
            chown(&path, Some(before.uid()), Some(before.gid())).with_context(doing)?;
            before.mode() & 0o777
        }
        _ => bits,
    };
    fs::set_permissions(&path, fs::Permissions::from_mode(bits)).with_context(doing)
}

fn link(etc: &Path, wanted: &Link) -> Result<()> {
    let path = etc.join(&wanted.path);
    let doing = || format!("making the link /etc/{}", wanted.path);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(doing)?;
    }
    if path.symlink_metadata().is_ok() {
        fs::remove_file(&path).with_context(doing)?;
    }
    symlink(&wanted.target, &path).with_context(doing)
}

#[cfg(test)]
mod tests;
