//! SHA-2 of `ring` under the interface of OpenSSL's hasher.
//!
//! The content store's crate, `composefs`, takes SHA-2 from a crate named `openssl` and nothing
//! else. The real one links all of libcrypto: 3 MiB in a binary that carries `ring` for TLS and
//! signatures anyway, and minutes of a build from an empty cache. The root `Cargo.toml` puts this
//! package in its place by `[patch.crates-io]`. It offers what `composefs` 0.9 uses; whatever a
//! later one needs besides does not compile.

pub mod hash;
