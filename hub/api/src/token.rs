//! Registration tokens: `BRN1-<id, 8 digits>-<seed, 26 digits>`, Crockford base 32.
//!
//! The seed makes an Ed25519 key; the host proves the token by a signature, so that the seed never
//! travels. The id is made from the public half: a mistyped token is seen without asking anybody.

use std::fmt;

use ring::hkdf::{HKDF_SHA256, Salt};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::base32;
use crate::dsse::PublicKey;

/// What every token begins with; the number is the format's version.
pub const PREFIX: &str = "BRN1";
const ID_DIGITS: usize = 8;
const SEED_DIGITS: usize = 26;
const HKDF_SALT: &[u8] = b"burin registration token";
const HKDF_INFO: &[&[u8]] = &[b"ed25519 signing key v1"];

/// Why a text is not a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("a registration token looks like `BRN1-` + 8 digits + `-` + 26 digits")]
    Form,
    #[error("the registration token is mistyped: its two parts do not belong together")]
    Mistyped,
}

/// A registration token with its signing key. A secret: `Debug` hides it.
pub struct Token {
    seed: [u8; 16],
    id: String,
    pair: Ed25519KeyPair,
}

impl Token {
    /// The token of a seed. The caller brings the randomness.
    pub fn from_seed(seed: [u8; 16]) -> Self {
        let mut key = [0; 32];
        Salt::new(HKDF_SHA256, HKDF_SALT)
            .extract(&seed)
            .expand(HKDF_INFO, HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key))
            .expect("32 bytes are one block of HKDF-SHA-256");
        let pair = Ed25519KeyPair::from_seed_unchecked(&key)
            .expect("every 32 bytes are an Ed25519 seed (RFC 8032 5.1.5)");
        let print = ring::digest::digest(&ring::digest::SHA256, pair.public_key().as_ref());
        let head = print.as_ref()[..5]
            .iter()
            .fold(0u128, |value, byte| value << 8 | u128::from(*byte));
        Self {
            seed,
            id: base32::encode(head, ID_DIGITS),
            pair,
        }
    }

    /// Reads what a person wrote: either case, spaces around it, look-alike digits.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let mut parts = text.split('-');
        let (Some(prefix), Some(id), Some(seed), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Form);
        };
        if !prefix.eq_ignore_ascii_case(PREFIX)
            || id.len() != ID_DIGITS
            || seed.len() != SEED_DIGITS
        {
            return Err(TokenError::Form);
        }
        let id = base32::decode(id).ok_or(TokenError::Form)?;
        let seed = base32::decode(seed).ok_or(TokenError::Form)?;
        let token = Self::from_seed(seed.to_be_bytes());
        if base32::encode(id, ID_DIGITS) != token.id {
            return Err(TokenError::Mistyped);
        }
        Ok(token)
    }

    /// The public name of the token, 8 digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The half that the hub keeps.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::Ed25519(hex::encode(self.pair.public_key()))
    }

    /// Signs with the token's key: 64 bytes.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    /// The whole token, seed included: to be shown once or written into user-data.
    pub fn reveal(&self) -> String {
        let seed = base32::encode(u128::from_be_bytes(self.seed), SEED_DIGITS);
        format!("{PREFIX}-{}-{seed}", self.id)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, <hidden>)", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_derivation_never_changes() {
        let token = Token::from_seed([7; 16]);
        assert_eq!(token.reveal(), "BRN1-W91F4MEX-070W3GE1R70W3GE1R70W3GE1R7");
        let key = "ac84e6a5613a6f6617d5191f9bb339a8d96f9d85ea30113ed883009f13b10668";
        assert_eq!(token.public_key(), PublicKey::Ed25519(key.to_owned()));
    }

    #[test]
    fn a_token_reads_back_however_a_person_types_it() {
        let token = Token::from_seed(*b"0123456789abcdef");
        let text = token.reveal();
        for typed in [text.clone(), text.to_lowercase(), format!(" {text}\n")] {
            let read = Token::parse(&typed).unwrap();
            assert_eq!(read.public_key(), token.public_key());
            assert_eq!(read.id(), token.id());
        }
    }

    #[test]
    fn any_other_digit_is_seen() {
        let text = Token::from_seed(*b"0123456789abcdef").reveal();
        for at in 5..text.len() {
            for digit in ["0", "9", "Z"] {
                let mut other = text.clone();
                other.replace_range(at..=at, digit);
                if other != text {
                    assert!(Token::parse(&other).is_err(), "{other}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let text = Token::from_seed([1; 16]).reveal();
        for bad in [
            "",
            "BRN1",
            "BRN1--",
            "BRN2-00000000-00000000000000000000000000",
            &text[..text.len() - 1],
            &format!("{text}0"),
            &format!("{text}-0"),
            &text.replace("BRN1-", "BRN1-é"),
        ] {
            assert_eq!(Token::parse(bad).unwrap_err(), TokenError::Form, "{bad}");
        }
    }

    #[test]
    fn debug_hides_the_seed() {
        let token = Token::from_seed([1; 16]);
        let text = format!("{token:?}");
        assert!(text.contains("<hidden>"));
        assert!(
            !token
                .reveal()
                .split('-')
                .nth(2)
                .is_some_and(|seed| text.contains(seed))
        );
    }
}
