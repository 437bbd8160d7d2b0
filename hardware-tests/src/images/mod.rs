//! The images that the scenarios install, made from distribution packages and from this
//! workspace's own programs, and pushed by a stranger's tool.
pub mod kubernetes;
pub mod layout;
pub mod os;
pub mod push;
mod split;

use std::path::{Path, PathBuf};

use anyhow::Result;

pub use kubernetes::KubernetesBinary;
pub use layout::{Layer, Layout, Packing, TreeFile, tar};
pub use push::{Target, push};

/// Makes images below one cache folder; what is there already is used again.
#[derive(Debug, Clone)]
pub struct Images {
    cache: PathBuf,
}

impl Images {
    /// Images in burin's cache folder of this user.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn of_this_user() -> Result<Self> {
        Ok(Self::below(&crate::workspace::cache()?))
    }

    /// Images below `cache`.
    pub fn below(cache: &Path) -> Self {
        Self {
            cache: cache.to_owned(),
        }
    }

    /// The OS image: Debian with systemd, kernel, nftables, iproute2, an SSH server and e2fsprogs.
    ///
    /// # Errors
    /// See [`os::make`].
    pub fn os(&self) -> Result<Layout> {
        os::make(&self.cache)
    }

    /// The Kubernetes image with `binary` in it.
    ///
    /// # Errors
    /// The binary cannot be read or the image cannot be written.
    pub fn kubernetes(&self, binary: &KubernetesBinary) -> Result<Layout> {
        kubernetes::image(&self.cache, binary)
    }

    /// The image of manifests that give the node a network.
    ///
    /// # Errors
    /// The image cannot be written.
    pub fn network(&self) -> Result<Layout> {
        kubernetes::network_image(&self.cache)
    }

    /// A small layer with these files, for scenarios that need one more image.
    ///
    /// # Errors
    /// The image cannot be written.
    pub fn extra(&self, files: &[TreeFile]) -> Result<Layout> {
        let tar = layout::tar(files)?;
        Layout::make(
            &self.cache.join("images"),
            &[Layer {
                tar,
                packing: Packing::Gzip,
            }],
        )
    }
}
