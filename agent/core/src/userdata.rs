//! User-data: what a host or a site is told by its owner. `#cloud-config` YAML with burin's own keys
//! and the published Palette Edge keys that map onto them. See docs/userdata.md.

mod burin;
mod devices;
mod foreign;
mod image_keys;
mod install;
mod network;
mod palette;
mod registries;
mod sources;
mod stages;
mod users;

use std::collections::BTreeMap;
use std::fmt;

use crate::checks::Lowered;
use crate::identity::Naming;
use crate::network::Network;
use crate::yaml::{self, Problem, Reader};

pub use burin::hub_url;
pub use image_keys::SiteKey;
pub use install::{Install, Then};
pub use sources::by_source;
pub use stages::{Folder, StageFile, Step, When};
pub use users::{Password, User};

/// What is wrong with a file that a person named and that holds nothing at all: the program that
/// should have written it failed. A host without user-data has no such file.
#[must_use]
pub fn empty(text: &str) -> Option<Problem> {
    text.trim().is_empty().then(|| {
        Problem::error(1, 1, "the file is empty".to_owned())
            .expected("user-data, which begins with `#cloud-config`")
    })
}

/// What user-data without a hub leads to. It is no mistake: a site may add the hub in a later source.
#[must_use]
pub fn no_hub(data: &UserData) -> Option<Problem> {
    data.hub.is_none().then(|| {
        let text = "no hub is named: a host with this alone shows its facts and waits, and nothing \
                    is installed";
        Problem::warning(1, 1, text.to_owned()).expected("`burin.hub.url`")
    })
}

/// A text that must not be seen: `Debug` and `Display` hide it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}

/// Everything that user-data said, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserData {
    pub hub: Option<Hub>,
    pub token: Option<Secret>,
    pub host: Host,
    /// Findings of the hardware gate that were lowered.
    pub checks: Lowered,
    pub network: Network,
    /// Credentials for registries, by what the hub lists.
    pub registries: Vec<RegistryCredentials>,
    /// Where content of a registry is taken from instead.
    pub mapping: Vec<Mapping>,
    /// Whose signatures this site wants on images.
    pub image_keys: Vec<SiteKey>,
    pub install: Install,
    pub users: Vec<User>,
    pub hostname: Option<String>,
    /// What `stages` asks for beyond the keys above, in the order of the document.
    pub stages: Vec<Step>,
    /// What has no effect, and why.
    pub warnings: Vec<Problem>,
}

/// Where the hub is and how it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hub {
    /// `https://host[:port]`, without a slash at the end.
    pub url: String,
    /// Thumbprint of a key that signs the hub's root document, `sha256:<hex>`.
    pub root: Option<String>,
    /// Lowest version of that document; 0 for any. A host that starts with an older one would not
    /// know of the release keys that came later.
    pub root_version: u32,
    /// PEM certificates that the hub's own certificate may lead to.
    pub ca: Vec<String>,
}

/// What the host is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Overrides the ID that the hardware gives.
    pub id: Option<String>,
    /// How else the host is named, when the hardware shall not do it.
    pub naming: Naming,
    /// A page of the owner that takes hosts in; the QR code leads there.
    pub registration_url: Option<String>,
    pub name: Option<String>,
    pub labels: BTreeMap<String, String>,
}

/// How to log in to a registry, and how to reach it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryCredentials {
    /// Host name and port as image references name it.
    pub host: String,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub plain_http: bool,
    /// PEM of additional roots for its certificate.
    pub ca: Vec<String>,
    /// The one token service that may see the credentials.
    pub token_realm: Option<String>,
}

/// A rule by which content of one place is taken from another. It is checked by digest all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// `registry[/path]`; the part that is replaced.
    pub from: String,
    /// `registry[/path]`
    pub to: String,
}

/// Reads user-data of one source. An empty text is empty user-data.
///
/// # Errors
/// Every problem, warnings included, when at least one is an error.
pub fn parse(text: &str) -> Result<UserData, Vec<Problem>> {
    merge(&[text])
}

/// Reads user-data of several sources, lowest first: each is laid over those before it, save what
/// decides whom the host trusts, which the first source that has it decides. Lines count on from
/// source to source; [`by_source`] sorts the problems.
///
/// # Errors
/// Every problem, warnings included, when at least one is an error.
pub fn merge(texts: &[&str]) -> Result<UserData, Vec<Problem>> {
    let mut reader = Reader::default();
    let mut data = UserData::default();
    let root = sources::merge(texts, &mut reader);
    if let Some(root) = &root
        && let Some(top) = reader.map(root, "")
    {
        read(top, &mut data, &mut reader);
    }
    data.warnings = reader.finish()?;
    Ok(data)
}

fn read(mut top: yaml::Map<'_>, data: &mut UserData, reader: &mut Reader) {
    // Palette's block first: burin's own keys win where both say something.
    palette::read(&mut top, data, reader);
    if let Some(node) = top.get("providerCredentials") {
        registries::external(node, "providerCredentials", "registry", data, reader);
    }
    burin::read(&mut top, data, reader);
    install::read(&mut top, data, reader);
    users::read(&mut top, "users", data, reader);
    if let Some(name) = host_name(&mut top, "hostname", reader) {
        data.hostname = Some(name);
    }
    stages::read(&mut top, data, reader);
    top.idle(&foreign::TOP, reader);
    top.finish_foreign(reader);
}

/// A host name below a key.
fn host_name(map: &mut yaml::Map<'_>, key: &'static str, reader: &mut Reader) -> Option<String> {
    let node = map.get(key)?;
    let name = map.name(key);
    let text = reader.text_of(node, &name)?;
    if is_host_name(&text) {
        return Some(text);
    }
    if text.contains("{{") {
        reader.warn(
            node,
            format!(
                "`{name}` has no effect: templates are not filled in, the host is called by its ID"
            ),
        );
    } else {
        reader.error(node, format!("`{text}` is not a host name"), HOST_NAME);
    }
    None
}

const HOST_NAME: &str = "letters, digits and `-`, parts of at most 63 characters joined by `.`";

/// RFC 1123, 2.1.
pub(crate) fn is_host_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

#[cfg(test)]
mod tests;
