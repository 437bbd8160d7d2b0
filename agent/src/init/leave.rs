//! The orderly end: everybody stops, everything is synced and unmounted.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, sync};

use super::{LOGS, say, supervise};
use crate::machine::mount::{mounted_at, unmount};

/// How long programs get to end by themselves.
const GRACE: Duration = Duration::from_secs(5);
/// Where `burin-system` is mounted while a machine is installed.
const SYSTEM: &str = "/run/burin/system";
/// Bytes of one log that are kept on the disk.
const LOG_LIMIT: u64 = 4 << 20;
/// File systems that hold nothing, and that are needed to the last.
const VIRTUAL: [&str; 8] = [
    "proc", "sysfs", "devtmpfs", "devpts", "efivarfs", "rootfs", "ramfs", "tmpfs",
];

/// Ends all other processes and makes what is mounted safe. Cannot fail: the machine is left anyway,
/// and what did not work is said.
pub(super) fn stop_everything() {
    for (signal, grace) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, GRACE)] {
        match kill(Pid::from_raw(-1), signal) {
            Err(Errno::ESRCH) => break,
            Err(err) => say::quietly(&format!("burin: stopping programs: {err}")),
            Ok(()) => {}
        }
        if supervise::wait_for_all(Instant::now() + grace) {
            break;
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    if mounted_at(&mounts, SYSTEM).is_some()
        && let Err(err) = keep_logs(Path::new(LOGS), &Path::new(SYSTEM).join("logs/installer"))
    {
        say::everywhere(&format!("burin: the logs of this boot are lost: {err:#}"));
    }
    sync();
    for at in to_unmount(&mounts) {
        if let Err(err) = unmount(Path::new(at)) {
            say::everywhere(&format!("burin: {err:#}"));
            read_only(at);
        }
    }
    sync();
}

/// Copies what this boot said, and what the kernel said, beside the store: the RAM forgets it.
fn keep_logs(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry.context("reading the logs")?;
        let bytes = tail(&entry.path())?;
        let target = to.join(entry.file_name());
        fs::write(&target, bytes).with_context(|| format!("writing {}", target.display()))?;
    }
    let kernel = to.join("kernel.log");
    fs::write(&kernel, kernel_log()).with_context(|| format!("writing {}", kernel.display()))
}

/// The end of a log: a program that fails for days must not fill the disk.
fn tail(path: &Path) -> Result<Vec<u8>> {
    let doing = || format!("reading {}", path.display());
    let mut file = File::open(path).with_context(doing)?;
    let length = file.metadata().with_context(doing)?.len();
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_LIMIT)))
        .and_then(|_| file.take(LOG_LIMIT).read_to_end(&mut bytes))
        .with_context(doing)?;
    Ok(bytes)
}

/// Everything that `/dev/kmsg` still holds. Each read gives one record and fails with `EAGAIN` at the
/// end; `EPIPE` says that records were overwritten meanwhile.
fn kernel_log() -> Vec<u8> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open("/dev/kmsg");
    let (Ok(mut kmsg), mut all) = (opened, Vec::new()) else {
        return Vec::new();
    };
    let mut record = [0u8; 8192];
    while (all.len() as u64) < LOG_LIMIT {
        match kmsg.read(&mut record) {
            Ok(length) => all.extend_from_slice(record.get(..length).unwrap_or_default()),
            Err(err) if err.raw_os_error() == Some(Errno::EPIPE as i32) => {}
            Err(_) => break,
        }
    }
    all
}

/// Second best for a file system that is still in use.
fn read_only(at: &str) {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    if let Err(err) = mount(None::<&str>, at, None::<&str>, flags, None::<&str>) {
        say::everywhere(&format!("burin: {at} stays writable: {err}"));
    }
}

/// Mount points out of `/proc/self/mounts`, innermost first.
fn to_unmount(mounts: &str) -> Vec<&str> {
    let mut points: Vec<_> = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (at, kind) = (words.next()?, words.next()?);
            (at != "/" && !VIRTUAL.contains(&kind)).then_some(at)
        })
        .collect();
    points.reverse();
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_file_systems_go_innermost_first() {
        let text = "rootfs / rootfs rw 0 0\nproc /proc proc rw 0 0\n/dev/sda2 /run/burin/system ext4 rw 0 0\n\
                    overlay /run/burin/system/x overlay ro 0 0\ntmpfs /run tmpfs rw 0 0\n";
        assert_eq!(
            to_unmount(text),
            ["/run/burin/system/x", "/run/burin/system"]
        );
    }

    #[test]
    fn logs_are_kept_and_their_ends_when_they_are_long() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("log"), folder.path().join("disk/logs"));
        fs::create_dir_all(&from).unwrap();
        fs::write(from.join("agent.log"), "short").unwrap();
        let mut long = vec![b'x'; usize::try_from(LOG_LIMIT).unwrap()];
        long.extend(b"the end");
        fs::write(from.join("drivers.log"), &long).unwrap();
        keep_logs(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("agent.log")).unwrap(), b"short");
        let kept = fs::read(to.join("drivers.log")).unwrap();
        assert_eq!(kept.len() as u64, LOG_LIMIT);
        assert!(kept.ends_with(b"the end"));
    }
}
