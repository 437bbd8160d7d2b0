//! Makes the file systems that are missing and mounts all three.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use burin_core::layout::{Layout, Partition};
use nix::mount::MsFlags;

use crate::context::Context;
use crate::machine::mount::{self, QUIET, Source, mounted_at};
use crate::machine::{block, exec, fat, file};
use crate::steps::Outcome;

const MKE2FS: &str = "usr/sbin/mke2fs";
/// With lazy tables it writes a few MiB; a slow disk with a full queue needs its time.
const MAKE_LIMIT: Duration = Duration::from_secs(600);
const NODES_LIMIT: Duration = Duration::from_secs(30);
/// Any folder that the first writer of the ESP makes.
const ESP_FOLDER: &str = "EFI";
const ESP_LABEL: [u8; 11] = *b"BURIN-ESP  ";

/// The store's file system. The inode tables are left to be zeroed never (`noinit_itable`, their
/// checksums make that safe) and the journal is small: what is written twice is written less often.
/// One inode for 32 KiB: an object of an OS image has 33 KB on average.
const SYSTEM: [&str; 12] = [
    "-t", "ext4", "-O", "verity", "-b", "4096", "-i", "32768", "-J", "size=32", "-m", "1",
];
/// Workloads: the distribution's own figures.
const DATA: [&str; 6] = ["-t", "ext4", "-b", "4096", "-m", "1"];
/// Nothing is written that a later mount need not read.
const LAZY: [&str; 4] = ["-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1"];

/// Makes the file systems that are not there yet and mounts ESP, system and data.
///
/// # Errors
/// When a partition does not appear, `mke2fs` fails (with what it said), or the kernel does not
/// mount what was made.
#[expect(clippy::unused_async, reason = "every step has the same shape")]
pub async fn perform(ctx: &Context, layout: &Layout) -> Result<Outcome> {
    let (root, paths) = (&ctx.paths.root, &ctx.paths);
    let mounts = file::read_text(&root.join("proc/self/mounts"), 1 << 20)?;
    let missing = |at: &Path| mounted_at(&mounts, &at.to_string_lossy()).is_none();
    if missing(&paths.system) {
        let node = node(root, &layout.system)?;
        ensure_ext4(root, &node, block::NAMES[1], &SYSTEM)?;
        mount_ext4(&node, &paths.system)?;
    }
    if missing(&paths.data) {
        let node = node(root, &layout.data)?;
        ensure_ext4(root, &node, block::NAMES[2], &DATA)?;
        mount_ext4(&node, &paths.data)?;
    }
    // Last: it takes the mark of an unfinished installation away, which says that no file system
    // here may be believed.
    if missing(&paths.esp) {
        let node = node(root, &layout.esp)?;
        ensure_esp(&node, layout)?;
        mount_esp(&node, &paths.esp)?;
    }
    Ok(Outcome::Done)
}

fn node(root: &Path, partition: &Partition) -> Result<PathBuf> {
    block::wait_for_partition(root, &partition.guid, Instant::now() + NODES_LIMIT)
}

/// Mounts one of burin's ext4 file systems, always in the same way.
///
/// # Errors
/// When the kernel does not mount it.
pub fn mount_ext4(node: &Path, at: &Path) -> Result<()> {
    let source = Source {
        device: node,
        kind: "ext4",
        flags: MsFlags::MS_NOATIME | MsFlags::MS_NODEV,
        options: "errors=remount-ro,noinit_itable",
    };
    mount::mount(source, at)
}

/// Mounts the ESP.
///
/// # Errors
/// When the kernel does not mount it.
pub fn mount_esp(node: &Path, at: &Path) -> Result<()> {
    let source = Source {
        device: node,
        kind: "vfat",
        flags: QUIET | MsFlags::MS_NOATIME,
        options: "umask=0077,iocharset=ascii",
    };
    mount::mount(source, at)
}

fn ensure_ext4(root: &Path, node: &Path, label: &str, options: &[&str]) -> Result<()> {
    if ext4_label(node)?.as_deref() == Some(label) {
        return Ok(());
    }
    let device = node.to_string_lossy();
    let mut arguments = LAZY.to_vec();
    arguments.extend(options);
    arguments.extend(["-L", label, &device]);
    exec::run(&root.join(MKE2FS), &arguments, MAKE_LIMIT)
        .with_context(|| format!("making the file system {label} on {device}"))?;
    sync(node)
}

/// The label of an ext4 file system; none when there is no such file system. `mke2fs` writes the
/// superblock last, so one that was cut short has none.
fn ext4_label(node: &Path) -> Result<Option<String>> {
    const SUPERBLOCK: u64 = 1024;
    let mut bytes = [0u8; 0x88];
    File::open(node)
        .and_then(|device| device.read_exact_at(&mut bytes, SUPERBLOCK))
        .with_context(|| format!("reading {}", node.display()))?;
    if bytes[0x38..0x3a] != [0x53, 0xef] {
        return Ok(None);
    }
    let label = bytes[0x78..]
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default();
    Ok(Some(String::from_utf8_lossy(label).into_owned()))
}

fn ensure_esp(node: &Path, layout: &Layout) -> Result<()> {
    let open = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(node)
            .with_context(|| format!("opening {}", node.display()))
    };
    if fat::has_folder(open()?, ESP_FOLDER) {
        return Ok(());
    }
    fat::format(
        &mut open()?,
        layout.sector,
        ESP_LABEL,
        volume_id(&layout.esp.guid),
    )?;
    sync(node)
}

/// Fresh with every installation, as the GUID is.
fn volume_id(guid: &str) -> u32 {
    let digits = guid.get(..8).unwrap_or_default();
    u32::from_str_radix(digits, 16).unwrap_or(1)
}

fn sync(node: &Path) -> Result<()> {
    File::open(node)
        .and_then(|device| device.sync_all())
        .with_context(|| format!("syncing {}", node.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(size: u64) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size).unwrap();
        file
    }

    #[test]
    fn a_store_is_made_once_with_verity_and_its_label() {
        let file = image(256 << 20);
        let make = || ensure_ext4(Path::new("/"), file.path(), "burin-system", &SYSTEM);
        assert_eq!(ext4_label(file.path()).unwrap(), None);
        make().unwrap();
        assert_eq!(
            ext4_label(file.path()).unwrap().as_deref(),
            Some("burin-system")
        );
        let mut super_block = [0u8; 1024];
        file.as_file()
            .read_exact_at(&mut super_block, 1024)
            .unwrap();
        // EXT4_FEATURE_RO_COMPAT_VERITY (0x8000) of s_feature_ro_compat at 0x64.
        assert_eq!(super_block[0x65] & 0x80, 0x80);
        let uuid = super_block[0x68..0x78].to_vec();
        make().unwrap();
        file.as_file()
            .read_exact_at(&mut super_block, 1024)
            .unwrap();
        assert_eq!(super_block[0x68..0x78], uuid, "not made a second time");
    }

    #[test]
    fn what_mke2fs_says_is_in_the_error() {
        let file = image(64 << 10);
        let err = ensure_ext4(Path::new("/"), file.path(), "burin-system", &SYSTEM).unwrap_err();
        let text = format!("{err:#}");
        assert!(text.contains("mke2fs ended with code"), "{text}");
    }

    #[test]
    fn the_volume_id_comes_from_the_guid() {
        assert_eq!(
            volume_id("0f3c1a52-7a10-4a52-9c5f-5d2f7cf0a001"),
            0x0f3c_1a52
        );
    }
}
