//! The Kubernetes image and the image of network manifests.
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::layout::{self, Layer, Layout, Packing, TreeFile};

/// The variable that names a real K3s binary, to be packed instead of the stand-in.
pub const VARIABLE: &str = "BURIN_K3S";
/// Where the stand-in lies in the image. A profile maps it to `/usr/local/bin/k3s` by `files:`,
/// as it would map the binary of K3s's own image.
pub const STANDIN_PATH: &str = "/usr/local/bin/k3s-standin";
/// Where a real binary lies, as in the image that K3s publishes.
pub const REAL_PATH: &str = "/bin/k3s";
/// The network manifest, in the form of the published CNI manifests.
const NETWORK: &str = include_str!("network.yaml");

/// Which program the Kubernetes image carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KubernetesBinary {
    /// `k3s-standin` of this package.
    Standin(PathBuf),
    /// A binary as the K3s project ships it.
    Real(PathBuf),
}

impl KubernetesBinary {
    /// The binary that [`VARIABLE`] names, else the stand-in at `standin`.
    pub fn chosen(standin: &Path) -> Self {
        match std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
            Some(path) => Self::Real(path.into()),
            None => Self::Standin(standin.to_owned()),
        }
    }

    /// Where the binary lies in the image: the source of the profile's `files:` mapping.
    pub fn path_in_image(&self) -> &'static str {
        match self {
            Self::Standin(_) => STANDIN_PATH,
            Self::Real(_) => REAL_PATH,
        }
    }

    /// What it is called wherever a person reads it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Standin(_) => "k3s-standin",
            Self::Real(_) => "k3s",
        }
    }

    fn source(&self) -> &Path {
        match self {
            Self::Standin(path) | Self::Real(path) => path,
        }
    }
}

pub(super) fn image(cache: &Path, binary: &KubernetesBinary) -> Result<Layout> {
    let source = binary.source();
    let bytes = fs::read(source).with_context(|| format!("reading {}", source.display()))?;
    let tar = layout::tar(&[TreeFile::program(binary.path_in_image(), bytes)])?;
    Layout::make(
        &cache.join("images"),
        &[Layer {
            tar,
            packing: Packing::Zstd,
        }],
    )
}

pub(super) fn network_image(cache: &Path) -> Result<Layout> {
    let tar = layout::tar(&[TreeFile::plain("/manifests/network.yaml", NETWORK)])?;
    Layout::make(
        &cache.join("images"),
        &[Layer {
            tar,
            packing: Packing::Gzip,
        }],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_says_which_program_it_carries() {
        let standin = KubernetesBinary::Standin("/x".into());
        assert_eq!(
            (standin.name(), standin.path_in_image()),
            ("k3s-standin", STANDIN_PATH)
        );
        let folder = tempfile::tempdir().unwrap();
        let missing = image(folder.path(), &standin).unwrap_err();
        assert!(format!("{missing:#}").contains("reading /x"), "{missing:#}");
    }
}
