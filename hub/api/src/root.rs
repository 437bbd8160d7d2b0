//! The chain of root documents: which keys may speak for a hub.

use crate::dsse::{DsseError, Envelope, PublicKey};
use crate::message::RootDocument;

/// Why a chain of root documents is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    #[error("the hub showed no root document")]
    None,
    #[error("no root document of the hub is signed by the pinned key {0}; is this the right hub?")]
    NotPinned(String),
    #[error("root document {found} does not follow {held}")]
    Version { held: u32, found: u32 },
    #[error("the hub shows root document {found}, and user-data asks for {least} or a later one")]
    Old { least: u32, found: u32 },
    #[error("the root documents speak of different hubs")]
    OtherHub,
    #[error("root document {0} lists no key")]
    Empty(u32),
    #[error("root document {version} is not signed as it must be")]
    Signature {
        version: u32,
        #[source]
        source: DsseError,
    },
}

/// Most addresses of a hub that a host tries.
pub const MOST_ADDRESSES: usize = 8;

impl RootDocument {
    /// The keys whose signatures are the hub's at `now`, milliseconds since 1970.
    #[must_use]
    pub fn speakers(&self, now: u64) -> Vec<&PublicKey> {
        let retiring = self.retiring.iter().filter(|it| it.until > now);
        self.online
            .iter()
            .chain(retiring.map(|it| &it.key))
            .collect()
    }
}

/// Where trust begins.
#[derive(Debug, Clone, Copy)]
pub enum Anchor<'a> {
    /// The newest document that the host already trusts.
    Held(&'a RootDocument),
    /// Thumbprint of a root key, `sha256:<hex>` or bare hex, from user-data.
    Pinned(&'a str),
    /// Nothing known: the first document that signs itself is taken, to be confirmed by a person.
    FirstContact,
}

/// Follows `chain`, oldest first, from the anchor to the newest document.
///
/// Each document must be signed by every root key it lists and, from the second on, by every root
/// key of the one before it.
///
/// # Errors
/// See [`RootError`]. An empty chain is fine only when a document is held.
pub fn follow(anchor: Anchor<'_>, chain: &[Envelope]) -> Result<RootDocument, RootError> {
    let mut newest: Option<RootDocument> = match anchor {
        Anchor::Held(document) => Some(document.clone()),
        Anchor::Pinned(_) | Anchor::FirstContact => None,
    };
    for envelope in chain {
        let peeked: RootDocument = envelope
            .peek()
            .map_err(|source| RootError::Signature { version: 0, source })?;
        if peeked.root.is_empty() || peeked.online.is_empty() {
            return Err(RootError::Empty(peeked.version));
        }
        let mut keys: Vec<&PublicKey> = peeked.root.iter().collect();
        match &newest {
            Some(held) => {
                if peeked.version <= held.version && matches!(anchor, Anchor::Held(_)) {
                    continue;
                }
                follows(held, &peeked)?;
                keys.extend(&held.root);
            }
            None if !begins(anchor, &peeked) => continue,
            None => {}
        }
        let document = envelope
            .open(&keys)
            .map_err(|source| RootError::Signature {
                version: peeked.version,
                source,
            })?;
        newest = Some(document);
    }
    newest.ok_or_else(|| match anchor {
        Anchor::Pinned(print) if !chain.is_empty() => RootError::NotPinned(print.to_owned()),
        _ => RootError::None,
    })
}

fn follows(held: &RootDocument, next: &RootDocument) -> Result<(), RootError> {
    if next.hub_id != held.hub_id {
        return Err(RootError::OtherHub);
    }
    if held.version.checked_add(1) != Some(next.version) {
        return Err(RootError::Version {
            held: held.version,
            found: next.version,
        });
    }
    Ok(())
}

fn begins(anchor: Anchor<'_>, document: &RootDocument) -> bool {
    match anchor {
        Anchor::Held(_) => false,
        Anchor::FirstContact => true,
        Anchor::Pinned(print) => {
            let print = print.strip_prefix("sha256:").unwrap_or(print);
            document
                .root
                .iter()
                .any(|key| key.thumbprint().is_ok_and(|own| own == print))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Token;

    // A token is an Ed25519 key; here it stands for a root key.
    fn document(version: u32, listed: &[&Token], signers: &[&Token]) -> Envelope {
        let body = RootDocument {
            version,
            hub_id: "hub".to_owned(),
            root: listed.iter().map(|key| key.public_key()).collect(),
            online: vec![Token::from_seed([9; 16]).public_key()],
            release: Vec::new(),
            retiring: Vec::new(),
            addresses: Vec::new(),
            images: Vec::new(),
            unprotected: false,
        };
        Envelope::seal::<_, serde_json::Error>(&body, |message| {
            Ok(signers
                .iter()
                .map(|key| (key.public_key().thumbprint().unwrap(), key.sign(message)))
                .collect())
        })
        .unwrap()
    }

    #[test]
    fn a_chain_is_followed_from_the_pinned_key() {
        let (a, b) = (Token::from_seed([1; 16]), Token::from_seed([2; 16]));
        let chain = [document(1, &[&a], &[&a]), document(2, &[&b], &[&a, &b])];
        for pin in [&a, &b] {
            let print = format!("sha256:{}", pin.public_key().thumbprint().unwrap());
            let newest = follow(Anchor::Pinned(&print), &chain).unwrap();
            assert_eq!(newest.version, 2);
            let again = follow(Anchor::Held(&newest), &chain).unwrap();
            assert_eq!(again.version, 2);
        }
        let other = "0".repeat(64);
        assert_eq!(
            follow(Anchor::Pinned(&other), &chain).unwrap_err(),
            RootError::NotPinned(other.clone())
        );
        assert_eq!(
            follow(Anchor::Pinned(&other), &[]).unwrap_err(),
            RootError::None
        );
    }

    #[test]
    fn a_replaced_online_key_speaks_until_its_time_is_over() {
        let (new, old) = (Token::from_seed([9; 16]), Token::from_seed([8; 16]));
        let (new, old) = (new.public_key(), old.public_key());
        let signer = Token::from_seed([1; 16]);
        let mut held: RootDocument = document(1, &[&signer], &[&signer]).peek().unwrap();
        held.retiring = vec![crate::message::Retiring {
            key: old.clone(),
            until: 1000,
        }];
        assert_eq!(held.speakers(999), [&new, &old]);
        assert_eq!(held.speakers(1000), [&new]);
    }

    #[test]
    fn a_document_without_the_old_or_the_new_signature_is_refused() {
        let (a, b) = (Token::from_seed([1; 16]), Token::from_seed([2; 16]));
        let first = document(1, &[&a], &[&a]);
        for signers in [vec![&a], vec![&b], vec![]] {
            let chain = [first.clone(), document(2, &[&b], &signers)];
            assert!(matches!(
                follow(Anchor::FirstContact, &chain),
                Err(RootError::Signature { version: 2, .. })
            ));
        }
        for found in [3, 5, u32::MAX] {
            let skipped = [first.clone(), document(found, &[&b], &[&a, &b])];
            assert_eq!(
                follow(Anchor::FirstContact, &skipped).unwrap_err(),
                RootError::Version { held: 1, found }
            );
        }
    }
}
