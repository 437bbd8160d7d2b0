//! The orderly end: everybody stops, everything is synced and unmounted.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, sync};

use super::{say, supervise};
use crate::machine::mount::unmount;

/// How long programs get to end by themselves.
const GRACE: Duration = Duration::from_secs(5);
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
    sync();
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for at in to_unmount(&mounts) {
        if let Err(err) = unmount(Path::new(at)) {
            say::everywhere(&format!("burin: {err:#}"));
            read_only(at);
        }
    }
    sync();
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
}
