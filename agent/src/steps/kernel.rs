//! Writes kernel and initramfs to the ESP.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use burin_core::boot::{initramfs_path, kernel_path};
use rustix::fs::{Advice, fadvise};

use crate::context::{Context, Paths};
use crate::installed::generations;
use crate::machine::{esp, file};
use crate::steps::Outcome;
use crate::steps::generation::OWN_PROGRAM;
use crate::sysroot::pack;

/// More than any boot file has; the ESP itself has 1 GiB.
const LIMIT: usize = 1 << 30;

/// Writes kernel and initramfs under the names of their digests, and reads them back from the disk.
///
/// # Errors
/// When they differ from what the generation's directory says (another agent goes on than the one
/// that began), or the ESP is full or does not give back what was written.
#[expect(clippy::unused_async, reason = "every step has the same shape")]
pub async fn perform(ctx: &Context, generation: u64) -> Result<Outcome> {
    let content = generations::need(&ctx.paths, generation)?.content;
    if look(&ctx.paths, generation) {
        return Ok(Outcome::Done);
    }
    let root = ctx.store()?.root(&content.root)?;
    let files = pack::boot_files(&root, Path::new(OWN_PROGRAM))?;
    for (path, digest, bytes) in [
        (kernel_path(&content.kernel), &content.kernel, files.kernel),
        (
            initramfs_path(&content.initramfs),
            &content.initramfs,
            files.initramfs,
        ),
    ] {
        if pack::digest(&bytes) != *digest {
            // The directory of the generation is of another program: it must be written anew.
            std::fs::remove_file(ctx.paths.generation(generation).join("generation.json"))
                .context("taking back the directory of the generation")?;
            bail!("generation {generation} was begun by another version of the agent; begun anew");
        }
        esp::put(&on_esp(&ctx.paths, &path), &bytes)?;
    }
    Ok(Outcome::Done)
}

/// Whether both files are on the ESP with the content that their names promise.
#[must_use]
pub fn look(paths: &Paths, generation: u64) -> bool {
    let Ok(Some(generation)) = generations::read(paths, generation) else {
        return false;
    };
    let content = generation.content;
    [
        (kernel_path(&content.kernel), content.kernel),
        (initramfs_path(&content.initramfs), content.initramfs),
    ]
    .iter()
    .all(|(path, digest)| read_back(&on_esp(paths, path), digest).is_ok())
}

fn on_esp(paths: &Paths, path: &str) -> PathBuf {
    paths.esp.join(path.trim_start_matches('/'))
}

/// Reads a file from the disk, not from memory, and compares its digest.
fn read_back(path: &Path, digest: &str) -> Result<()> {
    let doing = || format!("reading back {}", path.display());
    let open = std::fs::File::open(path).with_context(doing)?;
    fadvise(&open, 0, None, Advice::DontNeed).with_context(doing)?;
    let bytes = file::read(path, LIMIT).with_context(doing)?;
    let found = pack::digest(&bytes);
    ensure!(
        found == digest,
        "{}: it has the digest {found}: the ESP does not keep what is written",
        doing()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_file_counts_only_with_the_content_of_its_name() {
        let esp = tempfile::tempdir().unwrap();
        let (bytes, path) = (b"kernel", esp.path().join("burin/x.linux"));
        let digest = pack::digest(bytes);
        assert!(read_back(&path, &digest).is_err());
        esp::put(&path, bytes).unwrap();
        assert!(read_back(&path, &digest).is_ok());
        std::fs::write(&path, "kernfl").unwrap();
        assert!(read_back(&path, &digest).is_err());
    }
}
