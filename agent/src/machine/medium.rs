//! The medium that the installer came from: an ISO on a stick, a disc or virtual media. Its boot
//! partition is read in place, without mounting.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use burin_core::eltorito;
use fatfs::{FileSystem, FsOptions};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// Volume identifier of the ISO.
const VOLUME: &str = "BURIN";
const MANIFEST: &str = "burin/manifest.json";
/// The largest file that is read, bytes: kernel and initramfs are some tens of megabytes.
const LIMIT: u64 = 256 << 20;

/// A burin ISO on a block device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Medium {
    /// For example `/dev/sr0`.
    pub device: PathBuf,
    offset: u64,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    /// SHA-256 by path.
    files: BTreeMap<String, String>,
}

/// All devices below `root` that carry the ISO. A device that cannot be read carries none.
#[must_use]
pub fn find(root: &Path) -> Vec<Medium> {
    let Ok(entries) = std::fs::read_dir(root.join("sys/block")) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    names
        .into_iter()
        // Files of the installer itself lie in none of these.
        .filter(|name| {
            let name = name.to_string_lossy();
            !["loop", "ram", "zram", "dm-", "md"]
                .iter()
                .any(|other| name.starts_with(other))
        })
        .filter_map(|name| look(&root.join("dev").join(name)))
        .collect()
}

/// Whether one device, or image file, carries the ISO.
#[must_use]
pub fn look(device: &Path) -> Option<Medium> {
    let mut file = File::open(device).ok()?;
    let found = eltorito::find(&mut file).ok()??;
    (found.volume == VOLUME).then(|| Medium {
        device: device.to_owned(),
        offset: found.offset,
    })
}

impl Medium {
    fn open(&self) -> Result<FileSystem<Window>> {
        let doing = || format!("reading the boot medium {}", self.device.display());
        let file = File::open(&self.device).with_context(doing)?;
        let window = Window::new(file, self.offset).with_context(doing)?;
        FileSystem::new(window, FsOptions::new()).with_context(doing)
    }

    /// Bytes of files of the boot partition together, without reading them.
    ///
    /// # Errors
    /// When the medium is gone or a file is missing.
    pub fn bytes(&self, paths: &[&str]) -> Result<u64> {
        let system = self.open()?;
        let folder = system.root_dir();
        let mut sum = 0u64;
        for path in paths {
            let file = folder.open_file(path);
            let length = file.and_then(|mut file| file.seek(SeekFrom::End(0)));
            let doing = || format!("measuring {path} on {}", self.device.display());
            sum = sum.saturating_add(length.with_context(doing)?);
        }
        Ok(sum)
    }

    /// Reads files of the boot partition, each checked against the medium's own manifest.
    ///
    /// # Errors
    /// When the medium is gone, or a file is missing or damaged.
    pub fn read(&self, paths: &[&str]) -> Result<Vec<Vec<u8>>> {
        let system = self.open()?;
        let folder = system.root_dir();
        let content = |path: &str| -> Result<Vec<u8>> {
            let doing = || format!("reading {path} from {}", self.device.display());
            let mut bytes = Vec::new();
            let file = folder.open_file(path).with_context(doing)?;
            file.take(LIMIT + 1)
                .read_to_end(&mut bytes)
                .with_context(doing)?;
            ensure!(bytes.len() as u64 <= LIMIT, "{}: it is too large", doing());
            Ok(bytes)
        };
        let manifest: Manifest = serde_json::from_slice(&content(MANIFEST)?)
            .with_context(|| format!("reading {MANIFEST}"))?;
        paths
            .iter()
            .map(|path| {
                let bytes = content(path)?;
                let Some(wanted) = manifest.files.get(*path) else {
                    bail!("{path} is not named in the medium's manifest");
                };
                let found = hex::encode(Sha256::digest(&bytes));
                ensure!(
                    found == *wanted,
                    "{path} on {} is damaged: its digest is {found}, the manifest says {wanted}; \
                     write the ISO to the stick again",
                    self.device.display()
                );
                Ok(bytes)
            })
            .collect()
    }
}

/// The part of a device from `start` on, for reading only.
struct Window {
    file: File,
    start: u64,
}

impl Window {
    fn new(mut file: File, start: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(start))?;
        Ok(Self { file, start })
    }
}

impl Read for Window {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.file.read(out)
    }
}

impl Write for Window {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => SeekFrom::Start(self.start.saturating_add(at)),
            other => other,
        };
        let at = self.file.seek(to)?;
        at.checked_sub(self.start)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 64 * 1024;

    /// An ISO's descriptors, then a FAT with a kernel and a manifest that names `digest` for it.
    fn medium(digest: &str) -> tempfile::NamedTempFile {
        let mut fat = io::Cursor::new(vec![0u8; 1 << 20]);
        fatfs::format_volume(&mut fat, fatfs::FormatVolumeOptions::new()).unwrap();
        {
            let system = FileSystem::new(&mut fat, FsOptions::new()).unwrap();
            let folder = system.root_dir().create_dir("burin").unwrap();
            folder
                .create_file("linux")
                .unwrap()
                .write_all(b"kernel")
                .unwrap();
            let text = format!("{{\"files\":{{\"burin/linux\":\"{digest}\"}}}}");
            folder
                .create_file("manifest.json")
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
        }
        let mut image = vec![0u8; usize::try_from(START).unwrap()];
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        put(16 * 2048, b"\x01CD001\x01");
        put(16 * 2048 + 40, b"BURIN                           ");
        put(17 * 2048, b"\x00CD001\x01EL TORITO SPECIFICATION");
        put(17 * 2048 + 0x47, &20u32.to_le_bytes());
        put(18 * 2048, b"\xffCD001\x01");
        put(20 * 2048, &[1, 0xef]);
        put(20 * 2048 + 0x1e, &[0x55, 0xaa, 0x88]);
        put(
            20 * 2048 + 40,
            &u32::try_from(START / 2048).unwrap().to_le_bytes(),
        );
        image.extend(fat.into_inner());
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&image).unwrap();
        file
    }

    #[test]
    fn a_file_is_read_from_the_boot_partition_in_place() {
        let file = medium(&hex::encode(Sha256::digest(b"kernel")));
        let found = look(file.path()).unwrap();
        assert_eq!(found.read(&["burin/linux"]).unwrap(), [b"kernel".to_vec()]);
        let both = ["burin/linux", "burin/manifest.json"];
        let manifest = found.bytes(&both[1..]).unwrap();
        assert!(manifest > 64, "the digest alone has that many");
        assert_eq!(found.bytes(&both).unwrap(), manifest + 6);
        assert!(found.bytes(&["burin/initrd"]).is_err());
    }

    #[test]
    fn a_damaged_stick_is_refused_and_named() {
        let file = medium(&hex::encode(Sha256::digest(b"other")));
        let err = look(file.path())
            .unwrap()
            .read(&["burin/linux"])
            .unwrap_err();
        let text = format!("{err:#}");
        assert!(
            text.contains("burin/linux") && text.contains("is damaged"),
            "{text}"
        );
    }

    #[test]
    fn a_file_that_the_manifest_does_not_name_is_refused() {
        let file = medium("");
        let found = look(file.path()).unwrap();
        assert!(found.read(&["burin/manifest.json"]).is_err());
    }

    #[test]
    fn another_disk_is_no_medium() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[0u8; 100_000]).unwrap();
        assert_eq!(look(file.path()), None);
    }
}
