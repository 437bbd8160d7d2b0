//! Builds the burin ISO from a tree of distribution packages, and tells what an ISO holds.
pub mod build;
pub mod cpio;
pub mod custom;
pub mod drivers;
pub mod elf;
pub mod esp;
pub mod font;
pub mod initramfs;
pub mod inspect;
pub mod iso;
pub mod manifest;
pub mod mirror;
pub mod packages;
pub mod spec;

/// An input that a person gave and must change: exits with 2, nothing was built.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);
