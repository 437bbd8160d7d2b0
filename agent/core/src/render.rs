//! What is rendered into `/etc` at each boot of an installed host: accounts, names, network, time,
//! proxy, authorities. Everything is decided here from texts; the caller reads and writes files.
//!
//! Nothing here fails: what cannot be rendered is left as the image has it and is told as a trouble,
//! because a host with a mistake in its user-data must still boot.

pub mod accounts;
mod changed;
mod ledger;
mod links;
mod site;
mod stages;
mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use changed::changed_shadow;
pub use ledger::{Conflict, Kind, Ledger, LedgerError};
pub use site::BUNDLES;

use crate::userdata::{Secret, UserData};

/// Paths of the image whose presence decides what is rendered.
pub const PROBED: [&str; 4] = ["/bin/bash", "/bin/sh", "/etc/sudoers", "/usr/bin/sudo"];
/// Units whose presence decides, looked for in [`UNIT_FOLDERS`].
pub const PROBED_UNITS: [&str; 8] = [
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-networkd-wait-online.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "NetworkManager.service",
    "chrony.service",
    "chronyd.service",
];
/// Where images have their units, below the root.
pub const UNIT_FOLDERS: [&str; 2] = ["usr/lib/systemd/system", "lib/systemd/system"];

/// What the image itself has.
#[derive(Clone, Default)]
pub struct Image {
    pub passwd: Option<String>,
    pub group: Option<String>,
    pub shadow: Option<String>,
    pub gshadow: Option<String>,
    pub hosts: Option<String>,
    pub environment: Option<String>,
    /// `ID` of os-release(5).
    pub os: String,
    /// None without an OpenSSH server.
    pub sshd_config: Option<String>,
    /// Bundles of authorities by path, of those in [`BUNDLES`] that are files below `/etc`.
    pub bundles: BTreeMap<String, String>,
    /// Which of [`PROBED`] are there.
    pub present: BTreeSet<&'static str>,
    /// Which of [`PROBED_UNITS`] are there, with their absolute path.
    pub units: BTreeMap<&'static str, String>,
}

impl fmt::Debug for Image {
    /// Without the account files: they hold hashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("present", &self.present)
            .field("units", &self.units)
            .finish_non_exhaustive()
    }
}

impl Image {
    fn has(&self, path: &str) -> bool {
        self.present.contains(path)
    }

    fn has_unit(&self, unit: &str) -> bool {
        self.units.contains_key(unit)
    }
}

/// Everything that decides.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    pub image: &'a Image,
    pub user_data: &'a UserData,
    /// The host's name, or its ID when it has no name.
    pub host_name: &'a str,
    pub ledger: &'a Ledger,
    /// The `shadow` that the host keeps: password hashes that were changed on it.
    pub saved_shadow: Option<&'a str>,
    /// The resolver's file as it was when the host was installed.
    pub kept_resolver: Option<&'a str>,
}

impl fmt::Debug for Input<'_> {
    /// Without the kept hashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("image", self.image)
            .field("user_data", self.user_data)
            .field("host_name", &self.host_name)
            .finish_non_exhaustive()
    }
}

/// Who may read a rendered file. The owner is root, unless it is said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// 0644.
    Public,
    /// 0600.
    Private,
    /// 0440, as sudo wants it.
    ReadOnly,
    /// Bits of chmod(2), as the owner of the host wants it.
    Mode(u32),
    /// Owner, group and mode of the image's own file; 0600 of root when it has none.
    LikeImage,
}

/// A file to write.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Below `/etc`, without a leading slash.
    pub path: String,
    pub text: String,
    pub access: Access,
}

impl fmt::Debug for File {
    /// Without the text: it may hold hashes or a proxy's password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl File {
    fn new(path: impl Into<String>, text: String, access: Access) -> Self {
        Self {
            path: path.into(),
            text,
            access,
        }
    }
}

/// A symbolic link to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Below `/etc`, without a leading slash.
    pub path: String,
    pub target: String,
}

/// A home that a user of user-data must have. It is made when it is missing and never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    pub user: String,
    /// Absolute.
    pub path: String,
    pub uid: u32,
    pub gid: u32,
}

/// What is to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    pub files: Vec<File>,
    pub links: Vec<Link>,
    pub homes: Vec<Home>,
    /// The ledger with every name that is new.
    pub ledger: Ledger,
    /// Why the generation should not be armed.
    pub conflicts: Vec<Conflict>,
    /// What is not as user-data wants it, in words for people.
    pub troubles: Vec<String>,
    /// `shadow` without what was changed on the host, to tell later what is.
    pub base_shadow: Option<Secret>,
}

impl Rendered {
    fn file(&mut self, path: impl Into<String>, text: String, access: Access) {
        self.files.push(File::new(path, text, access));
    }

    /// Enables a unit as `systemctl enable` would.
    fn enable(&mut self, image: &Image, unit: &str, target: &str) {
        if let Some(path) = image.units.get(unit) {
            self.links.push(Link {
                path: format!("systemd/system/{target}.wants/{unit}"),
                target: path.clone(),
            });
        }
    }
}

/// Renders everything.
#[must_use]
pub fn render(input: &Input<'_>) -> Rendered {
    let mut out = Rendered {
        ledger: input.ledger.clone(),
        ..Rendered::default()
    };
    let users = &input.user_data.users;
    let merged = users::merge(
        input.image,
        users,
        input.host_name,
        input.saved_shadow,
        &mut out.ledger,
    );
    match merged {
        Ok(merged) => {
            out.files.extend(merged.files);
            out.homes = merged.homes;
            out.base_shadow = Some(merged.base_shadow);
            out.conflicts = merged.conflicts;
            out.troubles.extend(merged.troubles);
        }
        Err(why) => out
            .troubles
            .push(format!("the users of user-data are not made: {why}")),
    }
    site::names(input, &mut out);
    site::keys(users, input.image, &mut out);
    site::sudo(users, input.image, &mut out);
    site::authorities(input, &mut out);
    site::proxy(input, &mut out);
    site::time(input, &mut out);
    links::networkd(input, &mut out);
    links::resolver(input, &mut out);
    stages::render(input, &mut out);
    out
}

/// What contradicts between an image and the host: asked before a generation is armed. Files of
/// accounts that are not understood contradict nothing; they stay as the image has them.
#[must_use]
pub fn conflicts(image: &Image, ledger: &Ledger) -> Vec<Conflict> {
    users::merge(image, &[], "", None, &mut ledger.clone())
        .map_or_else(|_| Vec::new(), |m| m.conflicts)
}

#[cfg(test)]
mod tests;
