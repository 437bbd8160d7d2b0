//! OCI image layouts on disk (image-spec 1.1), written by ourselves so that layer boundaries and
//! compression are what a scenario needs.
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Beside the layout: the bytes of its unpacked layers.
const UNPACKED: &str = "unpacked-bytes";

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// `application/vnd.oci.image.layer.v1.tar+gzip`.
    Gzip,
    /// `application/vnd.oci.image.layer.v1.tar+zstd`.
    Zstd,
}

/// A layer before it is packed.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The layer's tar archive.
    pub tar: Vec<u8>,
    /// How it is to be packed.
    pub packing: Packing,
}

/// One file of a layer that is made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Absolute path in the image.
    pub path: String,
    /// Permission bits.
    pub permissions: u32,
    /// Content.
    pub bytes: Vec<u8>,
}

impl TreeFile {
    /// A file that everybody may read.
    pub fn plain(path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.to_owned(),
            permissions: 0o644,
            bytes: bytes.into(),
        }
    }

    /// A program.
    pub fn program(path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            permissions: 0o755,
            ..Self::plain(path, bytes)
        }
    }
}

/// An image in an OCI layout folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The folder with `oci-layout`, `index.json` and `blobs/`.
    pub path: PathBuf,
    /// Digest of the manifest, `sha256:...`.
    pub digest: String,
    /// Bytes of the unpacked layers together.
    pub unpacked: u64,
}

impl Layout {
    /// Writes an image of `layers` below `folder`, in a folder named by its manifest's digest.
    ///
    /// # Errors
    /// A blob cannot be packed or written.
    pub fn make(folder: &Path, layers: &[Layer]) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let work = tempfile::Builder::new()
            .prefix(".making-")
            .tempdir_in(folder)?;
        let blobs = Blobs {
            folder: work.path().join("blobs/sha256"),
        };
        fs::create_dir_all(&blobs.folder).context("making the folder of blobs")?;
        let mut descriptors = Vec::new();
        let mut diff_ids = Vec::new();
        for layer in layers {
            let (media, packed) = pack(layer)?;
            diff_ids.push(sha256(&layer.tar));
            descriptors.push(blobs.put(media, &packed)?);
        }
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = serde_json::to_vec(&config).context("writing the image's configuration")?;
        let config = blobs.put("application/vnd.oci.image.config.v1+json", &config)?;
        const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": descriptors });
        let manifest = blobs.put(MANIFEST, &serde_json::to_vec(&manifest)?)?;
        let digest = manifest["digest"]
            .as_str()
            .context("a descriptor has a digest")?
            .to_owned();
        let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
        write(
            &work.path().join("index.json"),
            &serde_json::to_vec(&index)?,
        )?;
        write(
            &work.path().join("oci-layout"),
            br#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        let path = folder.join(digest.replace(':', "-"));
        if !path.exists() {
            fs::rename(work.path(), &path).with_context(|| format!("making {}", path.display()))?;
            drop(work.keep());
        }
        let unpacked: u64 = layers.iter().map(|layer| layer.tar.len() as u64).sum();
        write(&path.join(UNPACKED), unpacked.to_string().as_bytes())?;
        Ok(Self {
            path,
            digest,
            unpacked,
        })
    }

    /// Opens an image that [`Layout::make`] wrote earlier.
    ///
    /// # Errors
    /// Its note of the unpacked size cannot be read.
    pub fn open(path: &Path, digest: &str) -> Result<Self> {
        let text = fs::read_to_string(path.join(UNPACKED));
        let text = text.with_context(|| format!("opening the image in {}", path.display()))?;
        let unpacked = text
            .parse()
            .with_context(|| format!("the size {text:?} in {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            digest: digest.to_owned(),
            unpacked,
        })
    }
}

/// Packs files into a tar archive: sorted, folders first, owner root, times zero.
///
/// # Errors
/// A path does not fit the format.
pub fn tar(files: &[TreeFile]) -> Result<Vec<u8>> {
    let mut entries: BTreeMap<String, Option<&TreeFile>> = BTreeMap::new();
    for file in files {
        let path = file.path.trim_start_matches('/');
        for (at, _) in path.match_indices('/') {
            entries.entry(format!("{}/", &path[..at])).or_insert(None);
        }
        entries.insert(path.to_owned(), Some(file));
    }
    let mut builder = tar::Builder::new(Vec::new());
    for (path, file) in entries {
        let mut header = tar::Header::new_gnu();
        let bytes = file.map_or(&[] as &[u8], |file| &file.bytes);
        header.set_entry_type(if file.is_some() {
            tar::EntryType::Regular
        } else {
            tar::EntryType::Directory
        });
        header.set_mode(file.map_or(0o755, |file| file.permissions));
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        builder
            .append_data(&mut header, &path, bytes)
            .with_context(|| format!("packing {path}"))?;
    }
    builder.into_inner().context("closing the archive")
}

struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    /// Stores a blob and returns its descriptor.
    fn put(&self, media: &str, bytes: &[u8]) -> Result<Value> {
        let digest = sha256(bytes);
        let name = digest.trim_start_matches("sha256:");
        write(&self.folder.join(name), bytes)?;
        Ok(json!({ "mediaType": media, "digest": digest, "size": bytes.len() }))
    }
}

fn pack(layer: &Layer) -> Result<(&'static str, Vec<u8>)> {
    match layer.packing {
        Packing::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(&layer.tar).context("packing a layer")?;
            let packed = encoder.finish().context("packing a layer")?;
            Ok(("application/vnd.oci.image.layer.v1.tar+gzip", packed))
        }
        Packing::Zstd => {
            let packed = zstd::bulk::compress(&layer.tar, 3).context("packing a layer")?;
            Ok(("application/vnd.oci.image.layer.v1.tar+zstd", packed))
        }
    }
}

/// `sha256:` and the digest in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_names_its_blobs_by_the_digests_they_have() {
        let folder = tempfile::tempdir().unwrap();
        let tar = tar(&[
            TreeFile::program("/usr/bin/a", *b"a"),
            TreeFile::plain("/etc/b", *b"b"),
        ])
        .unwrap();
        let layers = [
            Layer {
                tar: tar.clone(),
                packing: Packing::Gzip,
            },
            Layer {
                tar: tar.clone(),
                packing: Packing::Zstd,
            },
        ];
        let layout = Layout::make(folder.path(), &layers).unwrap();
        assert_eq!(
            Layout::make(folder.path(), &layers).unwrap(),
            layout,
            "made twice"
        );
        let mut count = 0;
        for blob in fs::read_dir(layout.path.join("blobs/sha256")).unwrap() {
            let path = blob.unwrap().path();
            let name = format!("sha256:{}", path.file_name().unwrap().to_str().unwrap());
            assert_eq!(sha256(&fs::read(path).unwrap()), name);
            count += 1;
        }
        assert_eq!(count, 4);
        assert_eq!(layout.unpacked, 2 * tar.len() as u64);
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        let tar = tar(&[
            TreeFile::program("/usr/bin/a", *b"a"),
            TreeFile::plain("/etc/b", *b"b"),
        ])
        .unwrap();
        let mut archive = tar::Archive::new(tar.as_slice());
        let paths: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(paths, ["etc/", "etc/b", "usr/", "usr/bin/", "usr/bin/a"]);
    }
}
