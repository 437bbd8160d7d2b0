//! Hardware virtualization where it really works, else software emulation.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{process::Guard, workspace};

/// How the machine's processors are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    Kvm,
    /// Software emulation on one thread: with several, QEMU 7.2 crashed 1 kernel in 30.
    Tcg,
}

impl Accel {
    /// The arguments for QEMU.
    pub fn arguments(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => ["-accel", "tcg,thread=single,tb-size=512", "-cpu", "max"],
        }
    }
}

/// How long a kernel may take to come up under hardware virtualization.
const PROBE: Duration = Duration::from_secs(5);

/// Finds out which acceleration runs a stock kernel, once per boot of this machine.
///
/// `BURIN_ACCEL=kvm|tcg` decides by hand. `/dev/kvm` may open and still hang in every stock kernel, so
/// a kernel is really booted: `kernel`, or that of the ISO's packages. Before those were fetched there is
/// only emulation.
///
/// # Errors
/// When the cached answer cannot be written.
pub fn choose(kernel: Option<&Path>) -> Result<Accel> {
    match std::env::var("BURIN_ACCEL").as_deref() {
        Ok("kvm") => return Ok(Accel::Kvm),
        Ok("tcg") => return Ok(Accel::Tcg),
        _ => {}
    }
    let opens = fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok();
    let kernel = match kernel {
        Some(path) => Some(path.to_owned()),
        None => installer_kernel()?,
    };
    let Some(kernel) = kernel.filter(|_| opens) else {
        return Ok(Accel::Tcg);
    };
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .context("reading the ID of this boot")?;
    let kept = workspace::cache()?.join("accel");
    if let Ok(text) = fs::read_to_string(&kept)
        && let Some(answer) = text.strip_prefix(boot.trim())
    {
        return Ok(if answer.trim() == "kvm" {
            Accel::Kvm
        } else {
            Accel::Tcg
        });
    }
    let (accel, word) = if boots_under_kvm(&kernel)? {
        (Accel::Kvm, "kvm")
    } else {
        (Accel::Tcg, "tcg")
    };
    fs::write(&kept, format!("{} {word}", boot.trim()))
        .with_context(|| format!("writing {}", kept.display()))?;
    Ok(accel)
}

/// The kernel in a tree of packages that an ISO was built from.
fn installer_kernel() -> Result<Option<PathBuf>> {
    let Ok(trees) = fs::read_dir(workspace::cache()?.join("packages")) else {
        return Ok(None);
    };
    let boots = trees
        .flatten()
        .filter_map(|tree| fs::read_dir(tree.path().join("boot")).ok());
    let mut files = boots.flatten().flatten();
    let kernel = files.find(|file| file.file_name().to_string_lossy().starts_with("vmlinuz-"));
    Ok(kernel.map(|file| file.path()))
}

/// Boots `kernel` without a root: it has come up when it complains about that.
fn boots_under_kvm(kernel: &Path) -> Result<bool> {
    let folder = tempfile::tempdir().context("making a folder for the probe")?;
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-machine", "q35", "-m", "512", "-nodefaults", "-nographic"])
        .args(Accel::Kvm.arguments())
        .args(["-serial", "stdio", "-no-reboot", "-append"])
        .arg("console=ttyS0 panic=-1")
        .arg("-kernel")
        .arg(kernel);
    let guard = Guard::start(&command, &folder.path().join("probe.log"))?;
    let words = ["Unable to mount root", "Run /init", "No working init"];
    // `-no-reboot` ends the emulator after the panic that we hope for, so an end is looked at by its words.
    let came_up = guard.says.wait_for_any(&words, PROBE).is_ok();
    Ok(came_up || words.iter().any(|word| guard.says.contains(word)))
}
