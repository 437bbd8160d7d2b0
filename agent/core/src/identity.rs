//! The host ID: a label that people read aloud, never a credential.
//!
//! The first usable value of a fixed list of sources is hashed; values that makers forgot to fill in
//! are junk and are skipped, with the reason, so that two boxes never share an ID through them.

mod junk;
mod link;
mod naming;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::host::{HostFacts, Link, LinkBus};

pub use junk::{mac_junk, serial_junk, uuid_junk};
pub use link::scan_link;
pub use naming::{DEFAULT_PATH, Naming, UidPath, is_name, pattern};

/// Crockford's base 32: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters before the check character: 75 bits.
const BODY: usize = 15;

/// Which rule made the host ID. The names are part of what is hashed and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Given in user-data.
    Override,
    SmbiosUuid,
    ProductSerial,
    BoardSerial,
    DeviceTree,
    Mac,
    /// Nothing usable in the hardware: made once and stored.
    Random,
}

impl Source {
    /// As it goes over the wire and into the hash.
    pub fn name(self) -> &'static str {
        match self {
            Self::Override => "override",
            Self::SmbiosUuid => "smbios-uuid",
            Self::ProductSerial => "product-serial",
            Self::BoardSerial => "board-serial",
            Self::DeviceTree => "device-tree",
            Self::Mac => "mac",
            Self::Random => "random",
        }
    }

    /// The rule of a name; none of another one.
    pub fn of(name: &str) -> Option<Self> {
        let all = [
            Self::Override,
            Self::SmbiosUuid,
            Self::ProductSerial,
            Self::BoardSerial,
            Self::DeviceTree,
            Self::Mac,
            Self::Random,
        ];
        all.into_iter().find(|source| source.name() == name)
    }
}

/// 75 bits and a check character, shown as `4D43-BPQZ-XXWD-6PRN`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostId(String);

/// Why a text is not a host ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostIdError {
    #[error("a host ID has 16 characters in four groups, like 4D43-BPQZ-XXWD-6PRN; this has {0}")]
    Length(usize),
    #[error("`{0}` does not occur in a host ID")]
    Character(char),
    #[error("the last character does not fit the others: look for a typing mistake")]
    Check,
}

impl HostId {
    /// SHA-256 of `burin-host-id/1`, the source and the value, separated by zero bytes.
    pub fn derive(source: Source, value: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"burin-host-id/1\0");
        hash.update(source.name().as_bytes());
        hash.update([0]);
        hash.update(value.as_bytes());
        let hash = hash.finalize();
        let mut wide = [0u8; 16];
        wide.copy_from_slice(&hash[..16]);
        let bits = u128::from_be_bytes(wide);
        let mut codes: Vec<usize> = (0..BODY)
            .map(|i| (bits >> (128 - 5 * (i + 1)) & 31) as usize)
            .collect();
        codes.push(check(&codes));
        Self(codes.iter().map(|c| char::from(ALPHABET[*c])).collect())
    }

    /// The ID that a name given in user-data stands for: itself when it is written as a host ID.
    pub fn named(name: &str) -> Self {
        name.parse()
            .unwrap_or_else(|_| Self::derive(Source::Override, name))
    }

    /// The sixteen characters without hyphens, as they go over the wire and into the QR code.
    pub fn compact(&self) -> &str {
        &self.0
    }
}

/// Luhn mod 32: finds every single wrong character and nearly every swap of neighbours.
fn check(codes: &[usize]) -> usize {
    let mut factor = 2;
    let mut sum = 0;
    for code in codes.iter().rev() {
        let addend = factor * code;
        sum += addend / 32 + addend % 32;
        factor = 3 - factor;
    }
    (32 - sum % 32) % 32
}

impl FromStr for HostId {
    type Err = HostIdError;

    /// Reads what a person types: any case, with or without hyphens, O for 0 and I or L for 1.
    fn from_str(text: &str) -> Result<Self, HostIdError> {
        let mut codes = Vec::new();
        for c in text.trim().chars().filter(|c| !matches!(c, '-' | ' ')) {
            let upper = match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let code = ALPHABET
                .iter()
                .position(|a| char::from(*a) == upper)
                .ok_or(HostIdError::Character(c))?;
            codes.push(code);
            if codes.len() > 64 {
                break;
            }
        }
        if codes.len() != BODY + 1 {
            return Err(HostIdError::Length(codes.len()));
        }
        if check(&codes[..BODY]) != codes[BODY] {
            return Err(HostIdError::Check);
        }
        Ok(Self(
            codes.iter().map(|c| char::from(ALPHABET[*c])).collect(),
        ))
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        // The type holds 16 ASCII characters, so the groups lie on character borders.
        write!(
            f,
            "{}-{}-{}-{}",
            &text[..4],
            &text[4..8],
            &text[8..12],
            &text[12..]
        )
    }
}

impl TryFrom<String> for HostId {
    type Error = HostIdError;
    fn try_from(text: String) -> Result<Self, HostIdError> {
        text.parse()
    }
}

impl From<HostId> for String {
    fn from(id: HostId) -> Self {
        id.to_string()
    }
}

/// A host ID and how it came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostIdentity {
    pub id: HostId,
    pub source: Source,
    /// What was hashed.
    pub value: String,
    /// What user-data calls the host; none when the hardware names it.
    #[serde(default)]
    pub name: Option<String>,
    /// What was there but not usable, for the log.
    pub skipped: Vec<Skipped>,
}

/// A source that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub source: Source,
    pub value: String,
    pub reason: String,
}

/// What user-data says about the host's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// `burin.host.id` or `stylus.site.name`: comes before everything.
    pub id: Option<String>,
    /// How else a name is formed.
    pub naming: Naming,
}

/// The host ID by the first usable source.
///
/// `read` gives the text of a file that the wish names. `random` is used when the hardware has
/// nothing usable; the caller stores it and passes the same value at every later boot.
pub fn identify(
    wish: &Wish,
    facts: &HostFacts,
    read: &dyn Fn(&str) -> Option<String>,
    random: [u8; 16],
) -> HostIdentity {
    let mut skipped = Vec::new();
    let id = wish
        .id
        .as_deref()
        .map(str::trim)
        .filter(|id| !id.is_empty());
    let name = id
        .map(|id| (Source::Override, id.to_owned()))
        .or_else(|| wish.naming.resolve(read, random, &mut skipped));
    let (named, found) = match name {
        Some(name) => (true, name),
        None => {
            let found = first_usable(facts, &mut skipped);
            let random = || (Source::Random, hex::encode(random));
            (false, found.unwrap_or_else(random))
        }
    };
    let (source, value) = found;
    let id = match source {
        Source::Override => HostId::named(&value),
        other => HostId::derive(other, &value),
    };
    // A host ID written out is no name beside itself.
    let name = (named && value.parse::<HostId>().is_err()).then(|| value.clone());
    HostIdentity {
        id,
        source,
        value,
        name,
        skipped,
    }
}

fn first_usable(facts: &HostFacts, skipped: &mut Vec<Skipped>) -> Option<(Source, String)> {
    let dmi = &facts.dmi;
    let tree = &facts.device_tree;
    let uuid = dmi.product_uuid.to_ascii_lowercase();
    let serial = |parts: &[&str], serial: &str| -> (String, Option<&'static str>) {
        let mut all: Vec<&str> = parts.to_vec();
        all.push(serial);
        (all.join("\u{1f}"), serial_junk(serial))
    };
    let product = serial(&[&dmi.sys_vendor, &dmi.product_name], &dmi.product_serial);
    let board = serial(&[&dmi.board_vendor], &dmi.board_serial);
    let device = serial(&[&tree.model], &tree.serial);
    let soc = serial(&[&tree.model], &tree.soc);
    let sources = [
        (
            Source::SmbiosUuid,
            uuid.as_str(),
            uuid.clone(),
            uuid_junk(&uuid),
        ),
        (
            Source::ProductSerial,
            &dmi.product_serial,
            product.0,
            product.1,
        ),
        (Source::BoardSerial, &dmi.board_serial, board.0, board.1),
        (Source::DeviceTree, &tree.serial, device.0, device.1),
        (Source::DeviceTree, &tree.soc, soc.0, soc.1),
    ];
    for (source, shown, value, junk) in sources {
        match junk {
            None => return Some((source, value)),
            Some(_) if shown.is_empty() => {}
            Some(reason) => skipped.push(Skipped {
                source,
                value: shown.to_owned(),
                reason: reason.to_owned(),
            }),
        }
    }
    lowest_mac(&facts.links, skipped).map(|mac| (Source::Mac, mac))
}

fn lowest_mac(links: &[Link], skipped: &mut Vec<Skipped>) -> Option<String> {
    let mut macs: Vec<&str> = Vec::new();
    for link in links.iter().filter(|l| l.bus == LinkBus::Onboard) {
        match mac_junk(&link.mac) {
            None => macs.push(&link.mac),
            Some(reason) => skipped.push(Skipped {
                source: Source::Mac,
                value: link.mac.clone(),
                reason: reason.to_owned(),
            }),
        }
    }
    macs.into_iter().min().map(str::to_owned)
}

#[cfg(test)]
mod tests;
