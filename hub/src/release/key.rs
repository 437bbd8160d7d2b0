//! Release keys: made offline, named in the root document by their public half.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use burin_api::dsse::PublicKey;
use burin_api::release::ReleaseKey;
use clap::Args;

use crate::files::{self, Readers};
use crate::keys::SigningKey;

/// Most release keys of a root document: a host reads all of them at every hello.
const MOST_KEYS: usize = 16;

/// How `root rotate` changes the list of release keys.
#[derive(Debug, Default, Args)]
pub(crate) struct ReleaseKeys {
    /// Let hosts believe releases signed by this key: its .pub file, or 64 hex digits. From the
    /// first one on hosts take signed releases only.
    #[arg(long, value_name = "FILE|HEX")]
    pub(crate) add_release_key: Vec<String>,
    /// Believe a key no longer: its .pub file, 64 hex digits, or its thumbprint.
    #[arg(long, value_name = "FILE|HEX")]
    pub(crate) remove_release_key: Vec<String>,
    /// Profile that the added keys may sign for; every profile when absent. Can be repeated.
    #[arg(long, value_name = "NAME", requires = "add_release_key")]
    pub(crate) release_profile: Vec<String>,
}

impl ReleaseKeys {
    /// Whether anything is to change.
    pub(crate) fn is_some(&self) -> bool {
        !self.add_release_key.is_empty() || !self.remove_release_key.is_empty()
    }

    /// The list after the change. A key that is added again gets the profiles named now.
    pub(crate) fn apply(&self, held: &[ReleaseKey]) -> anyhow::Result<Vec<ReleaseKey>> {
        let mut keys = held.to_vec();
        for text in &self.remove_release_key {
            let before = keys.len();
            // A thumbprint has as many digits as a key: the text is taken for both.
            let key = public(text).ok();
            let print = text.trim_start_matches("sha256:");
            keys.retain(|held| {
                Some(&held.key) != key.as_ref()
                    && held.key.thumbprint().is_ok_and(|own| own != print)
            });
            ensure!(
                keys.len() < before,
                "{text} is not among the release keys; see `root show`"
            );
        }
        for text in &self.add_release_key {
            let key = public(text)?;
            keys.retain(|held| held.key != key);
            keys.push(ReleaseKey {
                key,
                profiles: self.release_profile.clone(),
            });
        }
        ensure!(
            keys.len() <= MOST_KEYS,
            "a root document lists at most {MOST_KEYS} release keys"
        );
        Ok(keys)
    }
}

/// Makes a release key in a file that is not there yet (mode 0600), and its public half beside it.
///
/// # Errors
/// A file that exists or cannot be written.
pub(crate) fn init(file: &Path) -> anyhow::Result<PublicKey> {
    let beside = public_file(file);
    for path in [file, &beside] {
        ensure!(
            files::read(path)?.is_none(),
            "{} exists; a release key is never written over another file",
            path.display()
        );
    }
    // A name without a folder lies in this one.
    let file = match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new(".").join(file),
        _ => file.to_owned(),
    };
    let key = SigningKey::create(&file)?.public();
    let text = format!("{}\n", digits(&key));
    files::replace(&public_file(&file), text.as_bytes(), Readers::Everybody)?;
    Ok(key)
}

/// The private key in a file.
pub(crate) fn private(file: &Path) -> anyhow::Result<SigningKey> {
    let bytes = files::read(file)?.with_context(|| format!("{} is missing", file.display()))?;
    SigningKey::from_pkcs8(&bytes).with_context(|| format!("reading {}", file.display()))
}

/// The public half, from 64 hex digits, a .pub file, or the key itself.
pub(crate) fn public(text: &str) -> anyhow::Result<PublicKey> {
    if let Some(key) = parse(text) {
        return Ok(key);
    }
    let file = Path::new(text);
    let bytes = files::read(file)?.with_context(|| {
        format!("{text} is neither a file nor the 64 hex digits of a public key")
    })?;
    if let Some(key) = std::str::from_utf8(&bytes).ok().and_then(parse) {
        return Ok(key);
    }
    let key = SigningKey::from_pkcs8(&bytes).with_context(|| format!("reading {text}"))?;
    Ok(key.public())
}

/// The key's digits, as they stand in a .pub file.
pub(crate) fn digits(key: &PublicKey) -> &str {
    match key {
        PublicKey::Ed25519(hex) | PublicKey::EcdsaP256(hex) => hex,
    }
}

fn parse(text: &str) -> Option<PublicKey> {
    let text = text.trim().to_ascii_lowercase();
    let mut bytes = [0; 32];
    hex::decode_to_slice(&text, &mut bytes).ok()?;
    Some(PublicKey::Ed25519(text))
}

fn public_file(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_its_public_half_is_read_in_every_form() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("release.key");
        let made = init(&file).unwrap();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(init(&file).is_err(), "never written over");
        let beside = public_file(&file);
        for text in [
            file.to_str().unwrap(),
            beside.to_str().unwrap(),
            digits(&made),
        ] {
            assert_eq!(public(text).unwrap(), made, "{text}");
        }
        assert_eq!(private(&file).unwrap().public(), made);
        assert!(public("00").is_err());
    }
}
