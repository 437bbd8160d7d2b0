//! PID 1 of the ISO: a tiny parent that mounts, has drivers loaded, starts the agent, reaps, restarts
//! it after a crash and leaves the machine when the agent says so.

pub mod drivers;
pub(crate) mod early;
pub mod font;
mod leave;
pub(crate) mod panic;
pub(crate) mod say;
mod supervise;

use std::path::Path;

use anyhow::{Context, Result};

use crate::machine::power::{self, Leave};
pub use supervise::{POWER_OFF, REBOOT};

/// The binary itself, in the initramfs.
pub const PROGRAM: &str = "/init";
/// What this boot says, kept in RAM until a step copies it to the disk.
pub const LOGS: &str = "/run/burin/log";
/// Where the role of this initramfs is written.
pub const ROLE: &str = "/etc/burin/role";

/// What the binary is when it is PID 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// In the ISO: parent of the agent.
    Installer,
    /// In the initramfs of an installed host: mounts the verified root.
    Sysroot,
}

/// Reads the role of this initramfs.
///
/// # Errors
/// When the file is missing or holds another word.
pub fn role(root: &Path) -> Result<Role> {
    let path = root.join(ROLE.trim_start_matches('/'));
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("reading the role of this initramfs from {}", path.display()))?;
    match text.trim() {
        "installer" => Ok(Role::Installer),
        "sysroot" => Ok(Role::Sysroot),
        other => anyhow::bail!(
            "{} says {other:?}; installer or sysroot was expected: build the ISO anew",
            path.display()
        ),
    }
}

/// Runs as PID 1 and never returns: the kernel panics when PID 1 ends.
pub fn run() -> ! {
    panic::catch();
    let outcome = early::prepare().and_then(|()| supervise::supervise());
    let how = match outcome {
        Ok(how) => how,
        Err(err) => park(&format!("burin: PID 1 cannot go on: {err:#}")),
    };
    leave::stop_everything();
    let err = match power::leave(how) {
        Ok(never) => match never {},
        Err(err) => err,
    };
    park(&match how {
        Leave::Reboot => format!("burin: {err:#}; press the reset button"),
        Leave::PowerOff => format!("burin: {err:#}; the machine may be switched off"),
    })
}

/// Says why on every console and stays, so that a person can read it; Ctrl-Alt-Del still resets.
pub fn park(why: &str) -> ! {
    say::everywhere(why);
    // From here on nobody else turns Ctrl-Alt-Del into an orderly end.
    if let Err(err) = nix::sys::reboot::set_cad_enabled(true) {
        say::everywhere(&format!("burin: Ctrl-Alt-Del does not work: {err}"));
    }
    loop {
        supervise::reap_until_signal();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_roles_are_known() {
        let root = tempfile::tempdir().unwrap();
        assert!(role(root.path()).is_err(), "no file");
        std::fs::create_dir_all(root.path().join("etc/burin")).unwrap();
        for (text, want) in [
            ("installer\n", Some(Role::Installer)),
            ("sysroot", Some(Role::Sysroot)),
            ("", None),
            ("agent", None),
        ] {
            std::fs::write(root.path().join("etc/burin/role"), text).unwrap();
            assert_eq!(role(root.path()).ok(), want, "{text:?}");
        }
    }
}
