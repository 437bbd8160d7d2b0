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

impl Refused {
    /// A file that would have to be written over.
    pub fn existing(file: &std::path::Path) -> Self {
        let file = file.display();
        Self(format!(
            "{file} is there already: remove it, or name another file"
        ))
    }
}
