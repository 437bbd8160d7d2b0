//! An ISO with other user-data, without building it anew. It differs from its base in two places,
//! which keep their length: the area for user-data, and that area's digest in the manifest.
use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::manifest::{self, Manifest, digest};
use crate::{Refused, esp, initramfs, iso};

/// The file that the boot loader hands to the kernel as second initramfs.
const AREA: &str = "burin/user-data.cpio";
/// Files of the boot partition begin at a sector.
const SECTOR: usize = 512;
/// Bytes that are copied at once.
const CHUNK: usize = 256 * 1024;
/// The loader that firmware starts, by the architecture it is for (UEFI 2.10, 3.5.1.1).
const LOADERS: [(&str, &str); 2] = [
    ("EFI/BOOT/BOOTX64.EFI", "amd64"),
    ("EFI/BOOT/BOOTAA64.EFI", "arm64"),
];

/// An ISO that others are made of. The file is held open: replacing it by a rename does no harm.
#[derive(Debug)]
pub struct Base {
    path: PathBuf,
    file: File,
    bytes: u64,
    modified: SystemTime,
    /// SHA-256 of the whole file.
    pub sha256: String,
    /// Architecture as Debian names it.
    pub arch: &'static str,
    /// What it holds and what it was made from.
    pub manifest: Manifest,
    /// Room for user-data with its archive around it, in bytes.
    pub area: u64,
    area_at: u64,
    digest_at: u64,
}

/// The bytes in which a made ISO differs from its base.
pub struct Filling {
    area: Vec<u8>,
    digest: String,
}

impl fmt::Debug for Filling {
    /// User-data may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filling(<hidden>)")
    }
}

impl Base {
    /// Opens an ISO, checks every file of its boot partition against its manifest, and finds the
    /// two places.
    ///
    /// # Errors
    /// [`Refused`] for a file that is no whole burin ISO; else what failed while reading.
    pub fn open(path: &Path) -> Result<Self> {
        let doing = || format!("reading the ISO {}", path.display());
        let refuse = |why: String| Refused(format!("{}: {why}", path.display()));
        let mut file = File::open(path)
            .map_err(|error| refuse(error.to_string()))
            .with_context(doing)?;
        let about = file.metadata().with_context(doing)?;
        let label = iso::label(&mut file).map_err(|error| refuse(format!("{error:#}")))?;
        if label != iso::LABEL {
            return Err(refuse(format!("its label is {label:?}, not {:?}", iso::LABEL)).into());
        }
        let place = iso::boot_image(&mut file).map_err(|error| refuse(format!("{error:#}")))?;
        let image = iso::read_boot_image(&mut file, &place)
            .map_err(|error| refuse(format!("{error:#}")))?
            .into_inner();
        let found = Found::look(&image).map_err(|error| refuse(format!("{error:#}")))?;
        Ok(Self {
            path: path.to_owned(),
            bytes: about.len(),
            modified: about.modified().with_context(doing)?,
            sha256: whole(&file, about.len()).with_context(doing)?,
            file,
            arch: found.arch,
            manifest: found.manifest,
            area: found.area.1,
            area_at: place.offset + found.area.0,
            digest_at: place.offset + found.digest_at,
        })
    }

    /// Length of the base and of every ISO made of it, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts user-data into the form in which the area carries it.
    ///
    /// # Errors
    /// [`Refused`] when it does not fit.
    pub fn fill(&self, user_data: &str) -> Result<Filling> {
        let area = initramfs::user_data(Some(user_data.as_bytes()), self.area)?;
        Ok(Filling {
            digest: digest(&area),
            area,
        })
    }

    /// Reads bytes of the made ISO from `at` on; 0 at its end.
    ///
    /// # Errors
    /// What reading says; also when the base was written to since it was opened.
    pub fn read(&self, filling: &Filling, at: u64, out: &mut [u8]) -> io::Result<usize> {
        let about = self.file.metadata()?;
        if (about.len(), about.modified()?) != (self.bytes, self.modified) {
            let text = format!("{} was changed while it was in use", self.path.display());
            return Err(io::Error::other(text));
        }
        let count = self.file.read_at(out, at)?;
        overlay(&mut out[..count], at, self.area_at, &filling.area);
        let digest = filling.digest.as_bytes();
        overlay(&mut out[..count], at, self.digest_at, digest);
        Ok(count)
    }

    /// SHA-256 of the made ISO.
    ///
    /// # Errors
    /// As [`Base::read`].
    pub fn digest_of(&self, filling: &Filling) -> io::Result<String> {
        let mut sum = Sha256::new();
        self.copy(filling, |chunk| {
            sum.update(chunk);
            Ok(())
        })?;
        Ok(hex::encode(sum.finalize()))
    }

    /// Writes the made ISO into a file that its owner alone can read, and gives its SHA-256.
    ///
    /// # Errors
    /// [`Refused`] when `out` is there already; else what writing says.
    pub fn write(&self, filling: &Filling, out: &Path) -> Result<String> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let doing = || format!("writing {}", out.display());
        let mut options = File::options();
        // The ISO lets hosts in when a token is in it.
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(out).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => anyhow::Error::from(Refused::existing(out)),
            _ => anyhow::Error::from(error).context(doing()),
        })?;
        let mut sum = Sha256::new();
        self.copy(filling, |chunk| {
            sum.update(chunk);
            file.write_all(chunk)
        })
        .and_then(|()| file.sync_all())
        .with_context(doing)?;
        Ok(hex::encode(sum.finalize()))
    }

    fn copy(
        &self,
        filling: &Filling,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        let mut at = 0;
        loop {
            let count = self.read(filling, at, &mut chunk)?;
            if count == 0 {
                return Ok(());
            }
            take(&chunk[..count])?;
            at += count as u64;
        }
    }
}

/// Lays `patch`, which stands at `place`, over a chunk that stands at `at`.
fn overlay(chunk: &mut [u8], at: u64, place: u64, patch: &[u8]) {
    let end = at + chunk.len() as u64;
    let (from, to) = (place.max(at), (place + patch.len() as u64).min(end));
    if from < to {
        // Both lie inside slices, whose lengths are usize.
        let (length, skipped) = ((to - from) as usize, (from - place) as usize);
        let start = (from - at) as usize;
        chunk[start..start + length].copy_from_slice(&patch[skipped..skipped + length]);
    }
}

/// What a boot partition tells; places count from its start.
struct Found {
    arch: &'static str,
    manifest: Manifest,
    /// Start and length.
    area: (u64, u64),
    digest_at: u64,
}

impl Found {
    fn look(image: &[u8]) -> Result<Self> {
        let files = esp::read(Cursor::new(image.to_vec()), image.len() as u64)?;
        let file = |path: &str| files.get(path).with_context(|| format!("it has no {path}"));
        let text = file(manifest::PATH)?;
        let manifest: Manifest =
            serde_json::from_slice(text).context("its manifest does not parse")?;
        let digests = files
            .iter()
            .map(|(path, bytes)| (path.clone(), digest(bytes)))
            .collect();
        let problems = manifest.differences(&digests);
        ensure!(problems.is_empty(), "{}", problems.join("; "));
        let arch = LOADERS
            .into_iter()
            .find(|(path, _)| files.contains_key(*path));
        let (_, arch) = arch.context("it has no loader of a known architecture")?;
        let area = file(AREA)?;
        let area_at = place(image, SECTOR, area)
            .with_context(|| format!("{AREA} does not lie in one piece"))?;
        let text_at = place(image, SECTOR, text)
            .with_context(|| format!("{} does not lie in one piece", manifest::PATH))?;
        let digest_at = place(text, 1, digests_of(&manifest)?.as_bytes())
            .context("its manifest does not name the digest of the user-data once")?;
        Ok(Self {
            arch,
            area: (area_at, area.len() as u64),
            digest_at: text_at + digest_at,
            manifest,
        })
    }
}

fn digests_of(manifest: &Manifest) -> Result<&str> {
    let found = manifest.files.get(AREA);
    Ok(found.with_context(|| format!("its manifest does not name {AREA}"))?)
}

/// The one place, a multiple of `step`, where `wanted` stands in `bytes`.
fn place(bytes: &[u8], step: usize, wanted: &[u8]) -> Option<u64> {
    let last = bytes.len().checked_sub(wanted.len())?;
    let mut found = (0..=last)
        .step_by(step)
        .filter(|at| bytes[*at..].starts_with(wanted));
    let first = found.next()?;
    found.next().is_none().then_some(first as u64)
}

fn whole(file: &File, length: u64) -> io::Result<String> {
    let mut sum = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    while at < length {
        let count = file.read_at(&mut chunk, at)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        sum.update(&chunk[..count]);
        at += count as u64;
    }
    Ok(hex::encode(sum.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_stands_in_two_places_has_none() {
        assert_eq!(place(b"..ab..", 2, b"ab"), Some(2));
        assert_eq!(place(b".ab...", 2, b"ab"), None);
        assert_eq!(place(b"ab..ab", 2, b"ab"), None);
        assert_eq!(place(b"a", 1, b"ab"), None);
    }

    proptest! {
        #[test]
        fn chunks_of_any_size_give_the_same_bytes(
            patch in prop::collection::vec(any::<u8>(), 0..20), at in 0u64..40, size in 1usize..30,
        ) {
            let base = [0xee; 50];
            let at = at.min(50 - patch.len() as u64);
            let mut want = base;
            want[at as usize..at as usize + patch.len()].copy_from_slice(&patch);
            let mut made = base;
            for (number, chunk) in made.chunks_mut(size).enumerate() {
                overlay(chunk, (number * size) as u64, at, &patch);
            }
            prop_assert_eq!(made, want);
        }
    }
}
