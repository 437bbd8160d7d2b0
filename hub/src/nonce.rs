//! Nonces that the hub can check without having kept them, and the memory that lets each be used
//! once. A hub alone keeps both in its own memory: after a restart hosts say hello again. Hubs that
//! share a database share the key, too, and remember in the database.

use std::collections::HashMap;
use std::sync::Mutex;

use ring::hmac;

use crate::db::{Db, nonces};
use crate::keys::HubKeys;
use crate::secret::random;

/// How long a nonce is good, in milliseconds.
pub(crate) const LIFETIME: i64 = 120_000;
/// Used nonces that are remembered; more than the rate limits let in within the lifetime.
const MEMORY: usize = 200_000;
/// How far the clocks of two hubs may be apart, in milliseconds.
const CLOCKS_APART: i64 = 60_000;
/// How long a database remembers, in milliseconds: longer than any nonce is good by any clock.
const REMEMBERED: i64 = 3_600_000;

/// Why a nonce was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NonceError {
    #[error("the nonce is not one of this hub; say hello first")]
    Foreign,
    #[error("the nonce is older than 120 seconds; say hello again")]
    Old,
    #[error("the nonce was used before; say hello again")]
    Used,
    #[error("too many requests at the moment")]
    Full,
}

/// Makes and checks nonces.
#[derive(Debug)]
pub(crate) struct Nonces {
    key: hmac::Key,
    used: Mutex<HashMap<String, i64>>,
}

impl Nonces {
    /// For the hub of a database: with the key that all hubs of a shared one have.
    pub(crate) fn beside(db: &Db, keys: &HubKeys) -> anyhow::Result<Self> {
        if db.is_shared() {
            Ok(Self::of(keys.nonce_key.clone()))
        } else {
            Self::alone()
        }
    }

    fn alone() -> anyhow::Result<Self> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?);
        Ok(Self::of(key))
    }

    fn of(key: hmac::Key) -> Self {
        Self {
            key,
            used: Mutex::default(),
        }
    }

    /// A fresh nonce: time and random bytes, and their HMAC, as hex.
    pub(crate) fn issue(&self, now: i64) -> anyhow::Result<String> {
        let mut body = now.to_be_bytes().to_vec();
        body.extend(random::<16>()?);
        let tag = hmac::sign(&self.key, &body);
        body.extend(tag.as_ref());
        Ok(hex::encode(body))
    }

    /// Whether the nonce is ours and fresh. Does not use it up.
    pub(crate) fn check(&self, nonce: &str, now: i64) -> Result<(), NonceError> {
        let bytes = hex::decode(nonce).map_err(|_| NonceError::Foreign)?;
        let (body, tag) = bytes.split_at_checked(24).ok_or(NonceError::Foreign)?;
        hmac::verify(&self.key, body, tag).map_err(|_| NonceError::Foreign)?;
        let issued = body
            .first_chunk::<8>()
            .map(|head| i64::from_be_bytes(*head))
            .ok_or(NonceError::Foreign)?;
        if now.saturating_sub(issued) > LIFETIME || issued.saturating_sub(now) > CLOCKS_APART {
            return Err(NonceError::Old);
        }
        Ok(())
    }

    /// Uses a nonce that was checked up. To be called after the signatures were found good, so that
    /// nobody else can use up a host's nonce.
    ///
    /// # Errors
    /// The database's; inside, whether the nonce was good.
    pub(crate) async fn spend(
        &self,
        db: &Db,
        nonce: &str,
        now: i64,
    ) -> sqlx::Result<Result<(), NonceError>> {
        if !db.is_shared() {
            return Ok(self.remember(nonce, now));
        }
        let fresh = nonces::spend(db, &nonce.to_ascii_lowercase(), now).await?;
        nonces::forget(db, now - REMEMBERED).await?;
        Ok(if fresh { Ok(()) } else { Err(NonceError::Used) })
    }

    fn remember(&self, nonce: &str, now: i64) -> Result<(), NonceError> {
        let nonce = nonce.to_ascii_lowercase();
        let mut used = self
            .used
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if used.contains_key(&nonce) {
            return Err(NonceError::Used);
        }
        if used.len() >= MEMORY {
            used.retain(|_, spent| now.saturating_sub(*spent) <= LIFETIME);
        }
        if used.len() >= MEMORY {
            return Err(NonceError::Full);
        }
        used.insert(nonce, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once_and_for_two_minutes() {
        let nonces = Nonces::alone().unwrap();
        let nonce = nonces.issue(1_000).unwrap();
        assert_eq!(nonces.check(&nonce, 1_000 + LIFETIME), Ok(()));
        assert_eq!(nonces.check(&nonce, 1_001 + LIFETIME), Err(NonceError::Old));
        assert_eq!(nonces.check(&nonce, 1_000 - CLOCKS_APART), Ok(()));
        assert_eq!(
            nonces.check(&nonce, 999 - CLOCKS_APART),
            Err(NonceError::Old)
        );
        assert_eq!(nonces.remember(&nonce, 1_000), Ok(()));
        assert_eq!(
            nonces.remember(&nonce.to_uppercase(), 1_000),
            Err(NonceError::Used)
        );
    }

    #[test]
    fn a_changed_or_foreign_nonce_is_refused() {
        let (ours, theirs) = (Nonces::alone().unwrap(), Nonces::alone().unwrap());
        let nonce = ours.issue(0).unwrap();
        assert_eq!(theirs.check(&nonce, 0), Err(NonceError::Foreign));
        for at in 0..nonce.len() {
            let mut other = nonce.clone();
            let digit = if &nonce[at..=at] == "0" { "1" } else { "0" };
            other.replace_range(at..=at, digit);
            assert_eq!(
                ours.check(&other, 0),
                Err(NonceError::Foreign),
                "digit {at}"
            );
        }
        for bad in ["", "00", "zz"] {
            assert_eq!(ours.check(bad, 0), Err(NonceError::Foreign), "{bad}");
        }
    }
}
