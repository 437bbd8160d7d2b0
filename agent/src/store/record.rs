//! The record of an imported layer: all its entries, with the objects that hold their content.
//! It is also the index from SHA-256 of a content to its object.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{Store, diff_id_hex};

/// Directory of the records.
pub(super) const LAYERS: &str = "burin-layers";
const VERSION: u32 = 1;
/// Longest unpacked record that is read, bytes: four million entries of an ordinary image.
const LONGEST: u64 = 2 << 30;

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LayerRecord {
    pub(super) version: u32,
    pub(super) diff_id: String,
    /// In the order of the tar.
    pub(super) entries: Vec<EntryRecord>,
}

/// One entry of a layer, path normalized; whiteouts are still names with `.wh.`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EntryRecord {
    #[serde(rename = "p")]
    pub(super) path: String,
    #[serde(flatten)]
    pub(super) meta: Meta,
    #[serde(rename = "c")]
    pub(super) content: Content,
}

/// Owner, mode, time and attributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    #[serde(rename = "m")]
    pub(super) mode: u32,
    #[serde(rename = "u", default, skip_serializing_if = "is_zero")]
    pub(super) uid: u32,
    #[serde(rename = "g", default, skip_serializing_if = "is_zero")]
    pub(super) gid: u32,
    /// Seconds since 1970.
    #[serde(rename = "t")]
    pub(super) mtime: i64,
    /// Values in hex.
    #[serde(rename = "x", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) xattrs: BTreeMap<String, String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Content {
    #[serde(rename = "d")]
    Directory,
    /// A small file, in hex.
    #[serde(rename = "i")]
    Inline(String),
    #[serde(rename = "o")]
    Object {
        /// Hex of the object's name.
        #[serde(rename = "o")]
        id: String,
        #[serde(rename = "n")]
        size: u64,
        /// Hex of the content's SHA-256.
        #[serde(rename = "s")]
        sha256: String,
    },
    #[serde(rename = "l")]
    Symlink(String),
    /// Path of a file of the same layer.
    #[serde(rename = "h")]
    HardLink(String),
    #[serde(rename = "f")]
    Fifo,
    /// Device nodes: kept for the record, never made.
    #[serde(rename = "v")]
    Device,
}

impl Store {
    fn record_path(&self, diff_id: &str) -> Result<PathBuf> {
        Ok(self.dir.join(LAYERS).join(diff_id_hex(diff_id)?))
    }

    /// Whether a layer was imported to its end.
    #[must_use]
    pub fn has_layer(&self, diff_id: &str) -> bool {
        self.record_path(diff_id).is_ok_and(|path| path.is_file())
    }

    /// The diff-ids of all imported layers.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn layers(&self) -> Result<Vec<String>> {
        let dir = self.dir.join(LAYERS);
        let doing = || format!("listing the layers in {}", dir.display());
        let mut layers = Vec::new();
        for entry in fs::read_dir(&dir).with_context(doing)? {
            let name = entry.with_context(doing)?.file_name();
            let diff_id = format!("sha256:{}", name.to_string_lossy());
            // What has another name is a file that was being written.
            if diff_id_hex(&diff_id).is_ok() {
                layers.push(diff_id);
            }
        }
        layers.sort();
        Ok(layers)
    }

    /// Writes a record beside its final name; [`Store::publish_record`] gives it that name.
    pub(super) fn write_record(&self, record: &LayerRecord) -> Result<PathBuf> {
        let path = self.record_path(&record.diff_id)?.with_extension("new");
        let doing = || format!("writing {}", path.display());
        let file = File::create(&path).with_context(doing)?;
        let mut packer = zstd::Encoder::new(BufWriter::new(file), 3).with_context(doing)?;
        // zstd's own checksum tells a damaged record when it is read.
        packer.include_checksum(true).with_context(doing)?;
        let mut packer = BufWriter::with_capacity(64 << 10, packer);
        serde_json::to_writer(&mut packer, record).with_context(doing)?;
        let packer = packer
            .into_inner()
            .map_err(|e| e.into_error())
            .with_context(doing)?;
        packer
            .finish()
            .and_then(|mut f| f.flush())
            .with_context(doing)?;
        Ok(path)
    }

    /// Makes a layer reachable. Everything it needs must be on the disk already.
    pub(super) fn publish_record(&self, written: &PathBuf) -> Result<()> {
        let path = written.with_extension("");
        let doing = || format!("making {} reachable", path.display());
        fs::rename(written, &path).with_context(doing)?;
        let dir = File::open(self.dir.join(LAYERS)).with_context(doing)?;
        dir.sync_all().with_context(doing)
    }

    pub(super) fn read_record(&self, diff_id: &str) -> Result<LayerRecord> {
        let path = self.record_path(diff_id)?;
        let doing = || {
            format!(
                "reading the record of layer {diff_id} in {}",
                path.display()
            )
        };
        let file = File::open(&path).with_context(doing)?;
        let unpacked = zstd::Decoder::new(file).with_context(doing)?;
        let reader =
            std::io::BufReader::with_capacity(64 << 10, std::io::Read::take(unpacked, LONGEST));
        let record: LayerRecord = serde_json::from_reader(reader).with_context(doing)?;
        if record.version != VERSION || record.diff_id != diff_id {
            bail!(
                "{}: it is the record of {} in version {}",
                doing(),
                record.diff_id,
                record.version
            );
        }
        Ok(record)
    }

    /// Takes a layer out, so that it is imported anew. Its objects stay.
    pub(super) fn forget_layer(&self, diff_id: &str) -> Result<()> {
        let path = self.record_path(diff_id)?;
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))
    }

    /// Bytes of all files of a layer; hard links count once.
    ///
    /// # Errors
    /// When the layer's record cannot be read.
    pub fn layer_content(&self, diff_id: &str) -> Result<u64> {
        let entries = self.read_record(diff_id)?.entries.into_iter();
        Ok(entries
            .map(|entry| match entry.content {
                Content::Object { size, .. } => size,
                Content::Inline(hex) => hex.len() as u64 / 2,
                _ => 0,
            })
            .sum())
    }

    /// All contents of a layer by SHA-256, with the object that holds each: what patches and
    /// chunked images start from.
    ///
    /// # Errors
    /// When the layer's record cannot be read.
    pub fn contents(&self, diff_id: &str) -> Result<BTreeMap<String, String>> {
        let entries = self.read_record(diff_id)?.entries.into_iter();
        Ok(entries
            .filter_map(|entry| match entry.content {
                Content::Object { id, sha256, .. } => Some((sha256, id)),
                _ => None,
            })
            .collect())
    }
}

impl LayerRecord {
    pub(super) fn new(diff_id: &str, entries: Vec<EntryRecord>) -> Self {
        Self {
            version: VERSION,
            diff_id: diff_id.to_string(),
            entries,
        }
    }
}
