//! Leaves the initramfs for the mounted root.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::poll::poll;

use crate::machine::uevent::timeout;

/// Mounted in the initramfs and still needed in the root.
const CARRIED: [&str; 4] = ["dev", "proc", "sys", "run"];
/// Where an image may have its init, best first.
const INITS: [&str; 3] = [
    "usr/lib/systemd/systemd",
    "lib/systemd/systemd",
    "sbin/init",
];

/// Moves to `root` and executes its init.
///
/// # Errors
/// When the root has no init or the kernel refuses; the initramfs is then still whole.
pub(super) fn to(root: &Path) -> Result<Infallible> {
    let Some(program) = INITS
        .iter()
        .find(|path| std::fs::symlink_metadata(root.join(path)).is_ok())
    else {
        bail!(
            "the root has no init: none of /{} is there",
            INITS.join(", /")
        );
    };
    let none = None::<&str>;
    // `/tmp` of the initramfs is not carried: the root mounts its own.
    for name in CARRIED {
        let from = Path::new("/").join(name);
        mount(Some(&from), &root.join(name), none, MsFlags::MS_MOVE, none)
            .with_context(|| format!("moving /{name} into the root"))?;
    }
    nix::unistd::chdir(root).context("entering the root")?;
    let initramfs = std::fs::File::open("/").context("opening the initramfs")?;
    mount(Some("."), "/", none, MsFlags::MS_MOVE, none).context("moving the root to /")?;
    nix::unistd::chroot(".").context("changing the root")?;
    nix::unistd::chdir("/").context("entering the root")?;
    free(&initramfs);
    let program = CString::new(format!("/{program}")).context("naming the init")?;
    let never = nix::unistd::execv(&program, &[program.as_c_str()]);
    never.with_context(|| format!("executing {}", program.to_string_lossy()))
}

/// Removes the initramfs' files: they are memory that nobody can reach any more.
fn free(initramfs: &std::fs::File) {
    let Ok(device) = initramfs.metadata().map(|metadata| metadata.dev()) else {
        return;
    };
    if let Err(err) = remove_below(initramfs, device) {
        tracing::debug!(%err, "the initramfs stays in memory");
    }
}

fn remove_below(folder: &std::fs::File, device: u64) -> Result<()> {
    use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, unlinkat};
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if entry.file_type() != FileType::Directory {
            unlinkat(folder, name, AtFlags::empty())?;
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let below = std::fs::File::from(openat(folder, name, flags, Mode::empty())?);
        // Another file system is mounted there: not ours to empty.
        if below.metadata()?.dev() == device {
            remove_below(&below, device)?;
            unlinkat(folder, name, AtFlags::REMOVEDIR)?;
        }
    }
    Ok(())
}

/// Lets a person read, without holding up signals.
pub(super) fn pause(time: Duration) {
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        // Interrupted by the end of a child: wait for the rest.
        if poll(&mut [], timeout(left)).is_ok() {
            return;
        }
    }
}
