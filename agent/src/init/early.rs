//! What must be there before anything else: virtual file systems, the module helper, a readable
//! console.

use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::mount::MsFlags;

use super::{LOGS, PROGRAM, font, say};
use crate::machine::mount::{QUIET, Source, mount};
use crate::machine::power;

/// The name under which the kernel calls this binary to have a module loaded.
const HELPER: &str = "/run/burin/modprobe";
/// Bytes the RAM disk for logs and state may take at most.
const RUN_OPTIONS: &str = "mode=0755,size=25%";

/// Console level 3: what is worse than an error still shows, a driver's complaints do not tear the
/// status screen. All of it stays in the kernel's log.
const QUIET_KERNEL: &str = "3";

struct Early {
    kind: &'static str,
    at: &'static str,
    flags: MsFlags,
    options: &'static str,
}

const EARLY: [Early; 6] = [
    Early {
        kind: "proc",
        at: "/proc",
        flags: QUIET,
        options: "",
    },
    Early {
        kind: "sysfs",
        at: "/sys",
        flags: QUIET,
        options: "",
    },
    Early {
        kind: "devtmpfs",
        at: "/dev",
        flags: MsFlags::MS_NOSUID,
        options: "mode=0755",
    },
    Early {
        kind: "devpts",
        at: "/dev/pts",
        flags: MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC),
        options: "gid=5,mode=0620,ptmxmode=0666",
    },
    Early {
        kind: "tmpfs",
        at: "/run",
        flags: MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV),
        options: RUN_OPTIONS,
    },
    Early {
        kind: "tmpfs",
        at: "/tmp",
        flags: MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV),
        options: "mode=1777,size=25%",
    },
];

/// Prepares the machine for the agent. Only a missing `/proc`, `/sys`, `/dev` or `/run` is fatal;
/// everything else is said and lived without.
pub(super) fn prepare() -> Result<()> {
    mounts()?;
    std::fs::create_dir_all(LOGS).with_context(|| format!("making {LOGS}"))?;
    for (what, outcome) in [
        ("module helper", module_helper()),
        (
            "kernel messages",
            std::fs::write("/proc/sys/kernel/printk", QUIET_KERNEL)
                .context("keeping the kernel's warnings off the screen"),
        ),
        ("Ctrl-Alt-Del", power::catch_ctrl_alt_del()),
        ("firmware variables", firmware_variables()),
        (
            "host name",
            nix::unistd::sethostname("burin").context("naming the host"),
        ),
        ("console font", font::set(Path::new("/"))),
    ] {
        if let Err(err) = outcome {
            say::quietly(&format!("burin: {what}: {err:#}"));
        }
    }
    Ok(())
}

/// The virtual file systems that everything else needs.
///
/// # Errors
/// When one cannot be mounted.
pub(crate) fn mounts() -> Result<()> {
    EARLY.iter().try_for_each(mount_virtual)
}

fn mount_virtual(early: &Early) -> Result<()> {
    let source = Source {
        device: Path::new(early.kind),
        kind: early.kind,
        flags: early.flags,
        options: early.options,
    };
    match mount(source, Path::new(early.at)) {
        // The kernel mounts /dev by itself where it was built so; a restarted PID 1 finds all.
        Err(err) if err.downcast_ref::<Errno>() == Some(&Errno::EBUSY) => Ok(()),
        other => other,
    }
}

/// The kernel asks for modules by running a program (`fs-vfat` at a mount, `crypto-sha512` at the
/// first verity file): this binary, known by the name it is called under.
pub(crate) fn module_helper() -> Result<()> {
    std::fs::create_dir_all("/run/burin").context("making /run/burin")?;
    match symlink(PROGRAM, HELPER) {
        Err(err) if err.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(err).context("making the module helper");
        }
        _ => {}
    }
    std::fs::write("/proc/sys/kernel/modprobe", HELPER).context("naming the module helper")
}

/// Debian's kernel has efivarfs as a module: the mount loads it through the helper.
pub(crate) fn firmware_variables() -> Result<()> {
    if !Path::new("/sys/firmware/efi/efivars").exists() {
        return Ok(());
    }
    mount_virtual(&Early {
        kind: "efivarfs",
        at: "/sys/firmware/efi/efivars",
        flags: QUIET,
        options: "",
    })
}
