//! Finding and taking out damaged objects.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use composefs::fsverity::{FsVerityHashValue, FsVerityHasher, measure_verity_opt};

use super::{ObjectId, Store, Verity};

/// What a full read of the store found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrubbed {
    pub objects: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Hex names of objects whose content is not what the name says.
    pub damaged: Vec<String>,
    /// Hex names of objects that layers need and that are not there.
    pub missing: Vec<String>,
    /// Records of layers that cannot be read, as diff-ids.
    pub records: Vec<String>,
}

/// What a repair did, and what is left to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Layers that must be imported again, as diff-ids.
    pub layers: Vec<String>,
    /// A mounted root may hold on to a removed object: only a reboot lets it go.
    pub reboot: bool,
}

impl Scrubbed {
    /// Whether everything is as it must be.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damaged.is_empty() && self.missing.is_empty() && self.records.is_empty()
    }
}

impl Store {
    /// Reads every object and compares it with its name. `progress` is told the bytes read.
    ///
    /// # Errors
    /// When directories cannot be read. A damaged object is a finding, not an error.
    pub fn scrub(&self, progress: &dyn Fn(u64)) -> Result<Scrubbed> {
        let mut found = Scrubbed::default();
        let mut there = BTreeSet::new();
        for (name, path) in self.object_files()? {
            found.objects += 1;
            match self.check_object(&name, &path) {
                Ok(bytes) => found.bytes += bytes,
                Err(error) => {
                    tracing::warn!(object = name, %error, "damaged");
                    found.damaged.push(name.clone());
                }
            }
            there.insert(name);
            progress(found.bytes);
        }
        let mut missing = BTreeSet::new();
        for diff_id in self.layers()? {
            match self.objects_of(&diff_id) {
                Ok(objects) => {
                    let names = objects.iter().map(FsVerityHashValue::to_hex);
                    missing.extend(names.filter(|name| !there.contains(name)));
                }
                Err(error) => {
                    tracing::warn!(layer = diff_id, error = %format!("{error:#}"), "damaged record");
                    found.records.push(diff_id);
                }
            }
        }
        found.missing = missing.into_iter().collect();
        Ok(found)
    }

    /// Takes damaged objects out, and the records of the layers that need them, so that these are
    /// imported again. Objects of a mounted root are unlinked, never overwritten.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn repair(&self, scrubbed: &Scrubbed) -> Result<Repaired> {
        let mut repaired = Repaired::default();
        for name in &scrubbed.damaged {
            let path = self.object_path(name);
            fs::remove_file(&path)
                .with_context(|| format!("taking out damaged object {}", path.display()))?;
            repaired.reboot = true;
        }
        let bad: BTreeSet<&String> = scrubbed.damaged.iter().chain(&scrubbed.missing).collect();
        for diff_id in self.layers()? {
            let needs = scrubbed.records.contains(&diff_id)
                || self
                    .objects_of(&diff_id)?
                    .iter()
                    .any(|id| bad.contains(&id.to_hex()));
            if needs {
                self.forget_layer(&diff_id)?;
                repaired.layers.push(diff_id);
            }
        }
        self.sync()?;
        Ok(repaired)
    }

    fn object_path(&self, name: &str) -> PathBuf {
        let (first, rest) = name.split_at(2.min(name.len()));
        self.dir.join("objects").join(first).join(rest)
    }

    /// All objects: name in hex, path.
    fn object_files(&self) -> Result<Vec<(String, PathBuf)>> {
        let objects = self.dir.join("objects");
        let doing = || format!("listing {}", objects.display());
        let mut all = Vec::new();
        let first = match fs::read_dir(&objects) {
            Ok(first) => first,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
            Err(error) => return Err(error).with_context(doing),
        };
        for dir in first {
            let dir = dir.with_context(doing)?;
            if !dir.file_type().with_context(doing)?.is_dir() {
                continue;
            }
            let start = dir.file_name().to_string_lossy().into_owned();
            for file in fs::read_dir(dir.path()).with_context(doing)? {
                let file = file.with_context(doing)?;
                let name = format!("{start}{}", file.file_name().to_string_lossy());
                all.push((name, file.path()));
            }
        }
        all.sort();
        Ok(all)
    }

    /// The bytes of a good object.
    fn check_object(&self, name: &str, path: &Path) -> Result<u64> {
        let id = ObjectId::from_hex(name).context("its name is no digest")?;
        let mut file = File::open(path)?;
        if self.verity == Verity::Required {
            let measured: Option<ObjectId> = measure_verity_opt(&file)?;
            anyhow::ensure!(
                measured.as_ref() == Some(&id),
                "its fs-verity digest is another"
            );
        }
        let mut hasher = FsVerityHasher::<ObjectId>::new();
        let mut buffer = vec![0; 256 << 10];
        let mut bytes = 0;
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hasher.write_all(&buffer[..count])?;
            bytes += count as u64;
        }
        anyhow::ensure!(hasher.digest() == id, "its content is another");
        Ok(bytes)
    }
}
