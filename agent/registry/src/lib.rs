//! Verified reads from OCI registries: manifests by digest, blobs as streams that end well only
//! when size, digest and diff-id match. No credential ever leaves for another host.

mod access;
mod auth;
mod blob;
mod client;
mod connection;
mod error;
mod image;
mod layer;
mod retry;
mod signature;

pub use access::{Access, Credentials, Proxy};
pub use client::Registry;
pub use connection::{causes, is_broken_off};
pub use error::{Cause, Error};
pub use image::{BlobRef, Image};
pub use layer::{LayerSpec, LayerStream};
pub use retry::{Report, Retry};
