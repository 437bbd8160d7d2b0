//! What is done where the key is: reading, showing, signing, checking. No hub, no network.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use burin_api::dsse::{Envelope, PublicKey};
use burin_api::message::RootDocument;
use burin_api::release::{ReleaseKey, Statement};
use burin_core::profile;
use burin_core::release;

use super::compare;
use crate::files;
use crate::keys::SigningKey;
use crate::secret::sha256;

/// Largest file that is read, bytes: far above any statement.
const LARGEST: usize = 4 << 20;
/// A day, milliseconds.
const DAY: u64 = 24 * 3600 * 1000;
/// Longest time that a release is signed for: 10 years of 365 days. A key that is lost long after
/// nobody thinks of it any more should not have signed for ever.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Characters of a digest that show that somebody has looked.
const LOOKED: usize = 12;

/// A statement, or an envelope with one.
#[derive(Debug)]
pub(super) enum Document {
    Statement(Box<Statement>),
    Envelope(Box<Statement>, Envelope),
}

impl Document {
    pub(super) fn statement(&self) -> &Statement {
        match self {
            Self::Statement(statement) | Self::Envelope(statement, _) => statement,
        }
    }
}

/// How a statement shall be signed.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    /// Instead of the one that the hub proposed.
    pub(super) counter: Option<u64>,
    /// Milliseconds since 1970.
    pub(super) expires: u64,
    pub(super) agent: Option<&'a str>,
    /// The engineer's own profile document.
    pub(super) profile: Option<&'a Path>,
}

/// Reads what `release export` or `release sign` wrote.
pub(super) fn read(file: &Path) -> anyhow::Result<Document> {
    let doing = || format!("reading {}", file.display());
    let bytes = files::read(file)?.with_context(|| format!("{} is missing", file.display()))?;
    ensure!(bytes.len() <= LARGEST, "{} is too long", file.display());
    let value: serde_json::Value = serde_json::from_slice(&bytes).with_context(doing)?;
    if value.get("payloadType").is_some() {
        let envelope: Envelope = serde_json::from_value(value).with_context(doing)?;
        let statement: Statement = envelope.peek().with_context(doing)?;
        return Ok(Document::Envelope(Box::new(statement), envelope));
    }
    let statement: Statement = serde_json::from_value(value.clone()).with_context(doing)?;
    // Nobody can have examined what this program does not show.
    ensure!(
        serde_json::to_value(&statement)? == value,
        "{} has fields that this version of burin-hub does not know; use the version of the hub",
        file.display()
    );
    Ok(Document::Statement(Box::new(statement)))
}

/// Names everything of a statement that the signer has to judge, its end included.
pub(super) fn digest(statement: &Statement) -> anyhow::Result<String> {
    Ok(sha256(&serde_json::to_vec(statement)?))
}

/// When a signature of `now` (milliseconds since 1970) ends: at the first midnight, UTC, after its
/// time. So the end stays the same between looking and signing.
///
/// # Errors
/// A time of nothing, or one that is longer than [`LONGEST`].
pub(super) fn end(now: u64, lifetime: Duration) -> anyhow::Result<u64> {
    ensure!(
        !lifetime.is_zero() && lifetime <= LONGEST,
        "--expires takes more than nothing and at most 10y"
    );
    let last = now.saturating_add(u64::try_from(lifetime.as_millis())?);
    Ok((last / DAY).saturating_add(1).saturating_mul(DAY))
}

/// The statement as it will be signed.
pub(super) fn prepare(statement: &Statement, wish: &Wish<'_>) -> anyhow::Result<Statement> {
    let mut prepared = statement.clone();
    if let Some(counter) = wish.counter {
        prepared.counter = counter;
    }
    if let Some(agent) = wish.agent {
        prepared.agent = Some(agent.to_owned());
    }
    prepared.expires = wish.expires;
    ensure!(prepared.counter > 0, "counters begin at 1");
    release::check(&prepared.release).context("no host would take this release")?;
    if let Some(file) = wish.profile {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let own = profile::parse(&text).map_err(|problems| {
            let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{} has mistakes: {}", file.display(), all.join("; "))
        })?;
        let found = compare::differences(&own, &prepared.release);
        ensure!(
            found.is_empty(),
            "the statement is not what {} says: {}",
            file.display(),
            found.join("; ")
        );
    }
    Ok(prepared)
}

/// Whether the signer said the digest of what was shown.
pub(super) fn is_examined(digest: &str, said: Option<&str>) -> anyhow::Result<bool> {
    let Some(said) = said else {
        return Ok(false);
    };
    let said = said.trim_start_matches("sha256:");
    ensure!(
        said.len() >= LOOKED,
        "--examined takes at least {LOOKED} characters of the digest"
    );
    if !digest.starts_with(&said.to_ascii_lowercase()) {
        bail!(
            "what was examined had another digest; look at the statement again, with the same \
             options (the day until which it is good counts, too)"
        );
    }
    Ok(true)
}

/// Signs a prepared statement.
pub(super) fn sign(statement: &Statement, key: &SigningKey) -> anyhow::Result<Envelope> {
    Ok(key.seal(statement)?)
}

/// Thumbprint of the key among `keys` that signed an envelope.
///
/// # Errors
/// When none of them did, or the release makes no sense.
pub(super) fn verify(
    statement: &Statement,
    envelope: &Envelope,
    keys: &[PublicKey],
) -> anyhow::Result<String> {
    let root = RootDocument {
        version: 0,
        hub_id: statement.hub_id.clone(),
        root: Vec::new(),
        online: Vec::new(),
        release: keys
            .iter()
            .map(|key| ReleaseKey {
                key: key.clone(),
                profiles: Vec::new(),
            })
            .collect(),
        retiring: Vec::new(),
        addresses: Vec::new(),
        images: Vec::new(),
        unprotected: false,
    };
    match release::open(envelope, &root) {
        Ok(signed) => Ok(signed.signer),
        Err(release::Refusal::ForeignKey) => bail!("none of the keys signed it"),
        Err(refusal) => bail!("{refusal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_ends_at_midnight_and_within_ten_years() {
        let hours = |count: u64| Duration::from_secs(count * 3600);
        for (now, lifetime, want) in [
            (0, hours(1), Some(DAY)),
            (DAY - 1, hours(1), Some(2 * DAY)),
            (0, hours(24), Some(2 * DAY)),
            (5, hours(10 * 365 * 24), Some(3651 * DAY)),
            (5, hours(10 * 365 * 24 + 1), None),
            (5, Duration::MAX, None),
            (5, hours(0), None),
        ] {
            assert_eq!(end(now, lifetime).ok(), want, "{now} {lifetime:?}");
        }
    }
}
