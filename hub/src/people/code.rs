//! One-time codes (TOTP, RFC 6238) as a second factor. The seed lies in the database sealed with
//! a key that lies beside it, so that a copy of the database alone gives no codes.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use qrcode::{EcLevel, QrCode};
use totp_rs::{Builder, Totp};

use crate::files::{self, Readers};
use crate::secret::{Secret, random};
use crate::vault::Locker;

/// Name of the key's file in the data folder.
pub(crate) const FILE: &str = "people.key";
/// Bytes; what RFC 4226 recommends.
const SEED: usize = 20;

/// Seals the seeds of this hub.
#[derive(Debug)]
pub(crate) struct SeedKey(Locker);

impl SeedKey {
    /// Reads the key of a data folder; makes it at the first start.
    pub(crate) fn load_or_create(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let bytes = match files::read(&path)? {
            Some(bytes) => bytes,
            None => {
                let bytes = random::<32>()?.to_vec();
                files::replace(&path, &bytes, Readers::Owner)?;
                bytes
            }
        };
        let key = Locker::new(&bytes)
            .with_context(|| format!("reading {}; restore it", path.display()))?;
        Ok(Self(key))
    }

    /// The seed as the database keeps it, bound to its person.
    fn seal(&self, person: &str, seed: &[u8]) -> anyhow::Result<String> {
        self.0.seal(person, seed)
    }

    /// Whether a person's seed was sealed with this key.
    pub(crate) fn opens(&self, person: &str, sealed: &str) -> bool {
        self.0.open(person, sealed).is_some()
    }

    fn open(&self, person: &str, sealed: &str) -> anyhow::Result<Vec<u8>> {
        self.0.open(person, sealed).ok_or_else(|| {
            anyhow!("the code seed of {person} cannot be opened; was {FILE} replaced?")
        })
    }
}

/// A seed that nobody uses yet.
#[derive(Debug)]
pub(crate) struct NewSeed {
    /// For the database.
    pub(crate) sealed: String,
    /// For people who type it: base 32 in groups of four.
    pub(crate) text: Secret,
    /// For people who scan it: the modules of a QR code as an SVG path, and its width.
    pub(crate) path: Secret,
    pub(crate) width: usize,
}

/// Makes a seed for a person.
pub(crate) fn new_seed(key: &SeedKey, person: &str) -> anyhow::Result<NewSeed> {
    let seed = random::<SEED>()?;
    show(person, &seed, key.seal(person, &seed)?)
}

/// Shows a seed that was made but not confirmed once more.
pub(crate) fn show_again(key: &SeedKey, person: &str, sealed: &str) -> anyhow::Result<NewSeed> {
    show(person, &key.open(person, sealed)?, sealed.to_owned())
}

fn show(person: &str, seed: &[u8], sealed: String) -> anyhow::Result<NewSeed> {
    let plain = totp_rs::Secret::from(seed).to_base32();
    // Names of people are letters, digits, `.`, `-`, `_` and `@`: nothing to escape.
    let link = format!("otpauth://totp/burin:{person}?secret={plain}&issuer=burin");
    let code = QrCode::with_error_correction_level(link.as_bytes(), EcLevel::M)
        .context("drawing a QR code")?;
    let width = code.width();
    let mut path = String::new();
    for (number, color) in code.to_colors().into_iter().enumerate() {
        if color == qrcode::Color::Dark {
            path.push_str(&format!("M{} {}h1v1h-1z", number % width, number / width));
        }
    }
    let groups: Vec<String> = plain
        .as_bytes()
        .chunks(4)
        .map(|chunk| String::from_utf8_lossy(chunk).into_owned())
        .collect();
    Ok(NewSeed {
        sealed,
        text: Secret::new(groups.join(" ")),
        path: Secret::new(path),
        width,
    })
}

/// The time step whose code this is, if it is of now, one step earlier or later.
pub(crate) fn step_of(
    key: &SeedKey,
    person: &str,
    sealed: &str,
    code: &str,
    now: i64,
) -> anyhow::Result<Option<i64>> {
    let totp: Totp = Builder::new()
        .with_secret(key.open(person, sealed)?.as_slice())
        .build()
        .map_err(|err| anyhow!("the code seed of {person} is damaged: {err}"))?;
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let step = totp.check(&digits, u64::try_from(now / 1000).unwrap_or(0));
    Ok(step.and_then(|step| i64::try_from(step).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard_and_of_now() {
        let folder = tempfile::tempdir().unwrap();
        let key = SeedKey::load_or_create(folder.path()).unwrap();
        // RFC 6238, appendix B, SHA-1, shortened to six digits.
        let sealed = key.seal("anna", b"12345678901234567890").unwrap();
        let step = |code: &str, seconds: i64| {
            step_of(&key, "anna", &sealed, code, seconds * 1000).unwrap()
        };
        assert_eq!(step("287082", 59), Some(1));
        assert_eq!(step("287 082", 59), Some(1));
        assert_eq!(step("081804", 1_111_111_109), Some(37_037_036));
        assert_eq!(step("287082", 59 + 90), None);
        for junk in ["", "28708", "2870821", "28708x", "２８７０８２"] {
            assert_eq!(step(junk, 59), None, "{junk}");
        }
        let again = SeedKey::load_or_create(folder.path()).unwrap();
        assert!(
            step_of(&again, "anna", &sealed, "287082", 59_000)
                .unwrap()
                .is_some()
        );
        assert!(step_of(&again, "bert", &sealed, "287082", 59_000).is_err());
    }

    #[test]
    fn a_new_seed_is_shown_in_two_ways() {
        let folder = tempfile::tempdir().unwrap();
        let key = SeedKey::load_or_create(folder.path()).unwrap();
        let new = new_seed(&key, "anna").unwrap();
        assert_eq!(new.text.reveal().split(' ').count(), 8);
        assert!(new.width >= 29 && new.path.reveal().starts_with("M0 0h1v1h-1z"));
        assert!(!format!("{new:?}").contains(new.text.reveal()));
        let again = show_again(&key, "anna", &new.sealed).unwrap();
        assert_eq!(again.text, new.text);
    }
}
