//! What a person carries from a host's screen to its hub: the link of the QR code and the key that
//! both screens show. Nothing of it is secret.

use std::fmt;
use std::str::FromStr;

use crate::base32;

/// Characters of a host ID without hyphens.
const HOST_ID: usize = 16;
/// Characters of a [`KeyLabel`] without spaces: 128 bits.
const KEY: usize = 26;
/// Characters that a person must compare at least: 40 bits, against a key made in the minutes since
/// the host started.
const SHORTEST: usize = 8;
/// First character of what follows `/R/`: the form of the rest.
const FORM: char = '1';

/// The first 128 bits of a key's thumbprint. Enough that nobody finds a second key with the same
/// ones, short enough for a QR code of version 4 and to be compared on two screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLabel(u128);

/// Why a text names no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    #[error("a key has 26 letters and digits, in groups of four")]
    Key,
    #[error("a thumbprint is 64 hex digits")]
    Thumbprint,
    #[error("this is no code of a burin host; scan it again")]
    Link,
}

impl KeyLabel {
    /// The label of a key by its thumbprint, 64 hex digits (see `dsse::PublicKey::thumbprint`).
    ///
    /// # Errors
    /// When the text is no thumbprint.
    pub fn of(thumbprint: &str) -> Result<Self, ClaimError> {
        let bytes = hex::decode(thumbprint).map_err(|_| ClaimError::Thumbprint)?;
        match (bytes.len(), bytes.first_chunk::<16>()) {
            (32, Some(first)) => Ok(Self(u128::from_be_bytes(*first))),
            _ => Err(ClaimError::Thumbprint),
        }
    }

    /// The 26 characters as they stand in the link.
    #[must_use]
    pub fn compact(&self) -> String {
        base32::encode(self.0, KEY)
    }

    /// Whether a person typed this key: at least its first eight characters.
    #[must_use]
    pub fn is_typed(&self, text: &str) -> bool {
        let bare: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        let long_enough = (SHORTEST..=KEY).contains(&bare.len());
        // Read and written again, so that look-alikes are the same.
        let read = base32::decode(&bare).map(|value| base32::encode(value, bare.len()));
        long_enough && read.is_some_and(|read| self.compact().starts_with(&read))
    }

    /// The first 32 hex digits of every thumbprint that has this label.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("{:032x}", self.0)
    }
}

/// In groups of four, as people compare it.
impl fmt::Display for KeyLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, c) in self.compact().chars().enumerate() {
            if at > 0 && at % 4 == 0 {
                f.write_str(" ")?;
            }
            write!(f, "{c}")?;
        }
        Ok(())
    }
}

impl FromStr for KeyLabel {
    type Err = ClaimError;

    /// Reads what a person types: any case, with or without spaces and hyphens.
    fn from_str(text: &str) -> Result<Self, ClaimError> {
        let bare: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        if bare.len() != KEY {
            return Err(ClaimError::Key);
        }
        base32::decode(&bare).map(Self).ok_or(ClaimError::Key)
    }
}

/// The link of the QR code: `HTTPS://<HUB>/R/1<host ID 16><key 26>`, upper case, so that a QR code
/// holds it in its alphanumeric mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimLink {
    /// Sixteen characters without hyphens; the check character is the caller's to prove.
    pub host_id: String,
    pub key: KeyLabel,
}

impl ClaimLink {
    /// The link to a hub at `url` (`https://host[:port]`).
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let host_id: String = self.host_id.chars().filter(|c| *c != '-').collect();
        let key = self.key.compact();
        format!("{}/R/{FORM}{host_id}{key}", url.trim_end_matches('/')).to_ascii_uppercase()
    }

    /// Reads what follows `/R/` in the link; any case.
    ///
    /// # Errors
    /// When it is of another form.
    pub fn parse(code: &str) -> Result<Self, ClaimError> {
        let rest = code.strip_prefix(FORM).ok_or(ClaimError::Link)?;
        if !rest.is_ascii() || rest.len() != HOST_ID + KEY {
            return Err(ClaimError::Link);
        }
        let (host_id, key) = rest.split_at(HOST_ID);
        base32::decode(host_id).ok_or(ClaimError::Link)?;
        Ok(Self {
            host_id: host_id.to_ascii_uppercase(),
            key: key.parse().map_err(|_| ClaimError::Link)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINT: &str = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
    const LABEL: &str = "3BGT S77Z SMZK GSTT W09V ZNMF TQ";

    fn link() -> ClaimLink {
        ClaimLink {
            host_id: "K7QF2M9X0TRD8HWN".to_owned(),
            key: KeyLabel::of(PRINT).unwrap(),
        }
    }

    #[test]
    fn a_label_is_the_beginning_of_the_thumbprint() {
        let label = KeyLabel::of(PRINT).unwrap();
        assert_eq!(label.to_string(), LABEL);
        assert_eq!(label.prefix(), PRINT[..32]);
        for typed in [LABEL, &LABEL.to_lowercase(), &LABEL.replace(' ', "-")] {
            assert_eq!(typed.parse(), Ok(label), "{typed}");
        }
        for wrong in ["", "3BGT", &LABEL.replace('3', "U"), &format!("{LABEL}0")] {
            assert_eq!(wrong.parse::<KeyLabel>(), Err(ClaimError::Key), "{wrong}");
        }
        for wrong in ["", "6b86", &PRINT[..62], &PRINT.replace('6', "g")] {
            assert_eq!(KeyLabel::of(wrong), Err(ClaimError::Thumbprint), "{wrong}");
        }
    }

    #[test]
    fn the_first_eight_characters_of_a_key_are_enough_and_seven_are_not() {
        let label = KeyLabel::of(PRINT).unwrap();
        for (text, want) in [
            (LABEL, true),
            ("3BGT S77Z", true),
            ("3bgts77z-smzk", true),
            ("3BGT S77", false),
            ("3BGT S77Y", false),
            ("3BGT S77U", false),
            ("", false),
            (&format!("{LABEL}0"), false),
        ] {
            assert_eq!(label.is_typed(text), want, "{text}");
        }
    }

    #[test]
    fn a_link_is_upper_case_and_reads_back() {
        let url = link().url("https://hub.example:8443");
        let (hub, code) = url.split_once("/R/").unwrap();
        assert_eq!(hub, "HTTPS://HUB.EXAMPLE:8443");
        assert_eq!(code, "1K7QF2M9X0TRD8HWN3BGTS77ZSMZKGSTTW09VZNMFTQ");
        assert_eq!(ClaimLink::parse(code), Ok(link()));
        assert_eq!(ClaimLink::parse(&code.to_lowercase()), Ok(link()));
    }

    #[test]
    fn other_links_are_refused() {
        let good = link().url("").split_off(3);
        for wrong in [
            "",
            "1",
            &good[1..],
            &format!("2{}", &good[1..]),
            &format!("{good}0"),
            &good.replace('K', "U"),
            &good.replace("K7", "é"),
        ] {
            assert_eq!(ClaimLink::parse(wrong), Err(ClaimError::Link), "{wrong}");
        }
    }
}
