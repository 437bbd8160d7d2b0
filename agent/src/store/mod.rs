//! The store: layers as verified objects, merged into roots that are sealed by one digest.
//!
//! It is a composefs repository (SHA-512, EROFS format V1) with the records of imported layers
//! beside it.

mod import;
mod merge;
mod mount;
mod record;
mod root;
mod scrub;
mod tar;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use composefs::erofs::format::{FormatConfig, FormatVersion};
use composefs::fsverity::{Algorithm, Sha512HashValue};
use composefs::repository::{REPO_METADATA_FILENAME, Repository, RepositoryConfig};

pub use import::LayerExpect;
pub use merge::StackLayer;
pub use root::{Found, Root};
pub use scrub::{Repaired, Scrubbed};
pub use tar::{Entry as TarEntry, Kind as TarKind, Tar, TarError};
pub use tree::{ExtraContent, ExtraFile};

/// The digests that name objects.
pub(crate) type ObjectId = Sha512HashValue;
type Objects = Repository<ObjectId>;

/// What stands before the digest on the kernel's command line: EROFS format, hash, block size.
const IMAGE_PREFIX: &str = "v1-sha512-12:";

/// Whether the kernel checks every read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verity {
    /// fs-verity on every object: the only choice on a host.
    Required,
    /// For build and test machines whose kernel has no fs-verity.
    Off,
}

/// A sealed image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Hex of the image's fs-verity digest (SHA-512).
    pub digest: String,
    /// As it stands on the kernel's command line: `v1-sha512-12:<hex>`.
    pub id: String,
}

impl Sealed {
    fn new(id: &ObjectId) -> Self {
        use composefs::fsverity::FsVerityHashValue;
        let digest = id.to_hex();
        Self {
            id: format!("{IMAGE_PREFIX}{digest}"),
            digest,
        }
    }
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    objects: Arc<Objects>,
    verity: Verity,
}

impl Store {
    /// Opens the store in `dir`, and makes it if there is none.
    ///
    /// # Errors
    /// When the directory cannot be used, or is a store with other settings, or fs-verity is
    /// required and the file system does not have it.
    pub fn open(dir: &Path, verity: Verity) -> Result<Self> {
        let doing = || format!("opening the store {}", dir.display());
        let objects = if dir.join(REPO_METADATA_FILENAME).exists() {
            Objects::open_path(rustix::fs::CWD, dir).with_context(doing)?
        } else {
            make(dir, verity).with_context(doing)?
        };
        let format = objects.erofs_version();
        ensure!(
            format == FormatVersion::V1,
            "{}: its images have format {format:?}",
            doing()
        );
        if verity == Verity::Required {
            objects.require_verity().with_context(doing)?;
        }
        for part in [record::LAYERS, import::UNDER_WAY] {
            fs::create_dir_all(dir.join(part)).with_context(doing)?;
        }
        Ok(Self {
            dir: dir.to_path_buf(),
            objects: Arc::new(objects),
            verity,
        })
    }

    /// The store of the system partition. A root other than `/` is that of a test or of a build
    /// machine, whose kernel may have no fs-verity; on a host it is always required.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn of(paths: &crate::context::Paths) -> Result<Self> {
        let verity = if paths.root == Path::new("/") {
            Verity::Required
        } else {
            Verity::Off
        };
        Self::open(&paths.store(), verity)
    }

    /// Where it lies.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes everything to the disk that is still in memory.
    fn sync(&self) -> Result<()> {
        self.objects
            .sync()
            .with_context(|| format!("writing the store {} to disk", self.dir.display()))
    }
}

/// Makes the repository. Its settings are written last and whole, so a cut leaves none.
fn make(dir: &Path, verity: Verity) -> Result<Objects> {
    let mut config = RepositoryConfig::new(Algorithm::SHA512);
    config.erofs_formats = FormatConfig::single(FormatVersion::V1);
    if verity == Verity::Off {
        config = config.set_insecure();
    }
    Ok(Objects::init_path(rustix::fs::CWD, dir, config)?.0)
}

/// The hex of `sha256:<hex>`: a file name that cannot lead elsewhere.
fn diff_id_hex(diff_id: &str) -> Result<&str> {
    let hex = diff_id.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() != 64
        || !hex
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    {
        bail!("{diff_id:?} is no diff-id");
    }
    Ok(hex)
}

/// The object id behind a digest as [`Sealed`] has it, in either form.
fn image_id(digest: &str) -> Result<ObjectId> {
    use composefs::fsverity::FsVerityHashValue;
    let hex = digest.strip_prefix(IMAGE_PREFIX).unwrap_or(digest);
    ObjectId::from_hex(hex).with_context(|| format!("{digest:?} is no digest of a sealed image"))
}

#[cfg(test)]
mod tests;
