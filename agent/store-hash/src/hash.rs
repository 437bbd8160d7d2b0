//! Hash functions and hashers.

use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;

use ring::digest::{Algorithm, Context, Digest, SHA256, SHA384, SHA512};

/// A hash function.
#[derive(Debug, Clone, Copy)]
pub struct MessageDigest(&'static Algorithm);

impl MessageDigest {
    /// SHA-256 of FIPS 180-4.
    #[must_use]
    pub fn sha256() -> Self {
        Self(&SHA256)
    }

    /// SHA-384 of FIPS 180-4.
    #[must_use]
    pub fn sha384() -> Self {
        Self(&SHA384)
    }

    /// SHA-512 of FIPS 180-4.
    #[must_use]
    pub fn sha512() -> Self {
        Self(&SHA512)
    }
}

/// Hashes bytes as they come. After [`finish`](Self::finish) it begins anew.
///
/// Nothing here can fail; the results keep the shape that callers of OpenSSL expect.
#[derive(Clone)]
pub struct Hasher(Context);

impl fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = self.0.algorithm();
        formatter.debug_tuple("Hasher").field(function).finish()
    }
}

impl Hasher {
    /// A hasher that has seen nothing.
    ///
    /// # Errors
    /// Never.
    pub fn new(function: MessageDigest) -> Result<Self, Infallible> {
        Ok(Self(Context::new(function.0)))
    }

    /// Takes in more bytes.
    ///
    /// # Errors
    /// Never.
    pub fn update(&mut self, data: &[u8]) -> Result<(), Infallible> {
        self.0.update(data);
        Ok(())
    }

    /// The digest of all bytes since the beginning or the last call of this.
    ///
    /// # Errors
    /// Never.
    pub fn finish(&mut self) -> Result<DigestBytes, Infallible> {
        let fresh = Context::new(self.0.algorithm());
        Ok(DigestBytes(std::mem::replace(&mut self.0, fresh).finish()))
    }
}

/// The bytes of a digest, as many as the function gives.
#[derive(Debug, Clone, Copy)]
pub struct DigestBytes(Digest);

impl Deref for DigestBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of FIPS 180-2, appendices B, C and D: "abc", and two blocks for each function.
    const ABC: &[u8] = b"abc";
    const TWO_BLOCKS_OF_64: &[u8] = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    const TWO_BLOCKS_OF_128: &[u8] = b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn\
        hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu";

    fn known() -> [(MessageDigest, &'static [u8], &'static str); 6] {
        let (sha256, sha384, sha512) = (
            MessageDigest::sha256(),
            MessageDigest::sha384(),
            MessageDigest::sha512(),
        );
        [
            (
                sha256,
                ABC,
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                sha256,
                TWO_BLOCKS_OF_64,
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
            (
                sha384,
                ABC,
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
                 8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                sha384,
                TWO_BLOCKS_OF_128,
                "09330c33f71147e83d192fc782cd1b4753111b173b3b05d22fa08086e3b0f712\
                 fcc7c71a557e2db966c3e9fa91746039",
            ),
            (
                sha512,
                ABC,
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
            (
                sha512,
                TWO_BLOCKS_OF_128,
                "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018\
                 501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909",
            ),
        ]
    }

    fn hex(digest: &DigestBytes) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_standard_s_examples_come_out_however_the_bytes_are_split() {
        for (function, text, want) in known() {
            for split in 0..=text.len() {
                let mut hasher = Hasher::new(function).unwrap();
                hasher.update(&text[..split]).unwrap();
                hasher.update(&text[split..]).unwrap();
                assert_eq!(
                    hex(&hasher.finish().unwrap()),
                    want,
                    "{function:?} at {split}"
                );
            }
        }
    }

    #[test]
    fn a_hasher_begins_anew_after_it_finished() {
        for (function, text, want) in known() {
            let mut hasher = Hasher::new(function).unwrap();
            let nothing = hex(&hasher.finish().unwrap());
            for _ in 0..2 {
                hasher.update(text).unwrap();
                assert_eq!(hex(&hasher.finish().unwrap()), want);
            }
            assert_eq!(hex(&hasher.finish().unwrap()), nothing);
        }
    }
}
