//! A machine under test, emulated or real: power, console, disk, screenshot, firmware variables.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::transcript::Transcript;

/// What a scenario needs of a machine. QEMU is the first; boards on a bench follow through the same door.
pub trait Board {
    /// Folder for everything this machine leaves behind.
    fn folder(&self) -> &Path;

    /// Switches it on. Its console starts anew.
    ///
    /// # Errors
    /// When it is on already or cannot be started.
    fn power_on(&mut self) -> Result<()>;

    /// Takes the power away, without a word to the system.
    ///
    /// # Errors
    /// When it cannot be done.
    fn power_cut(&mut self) -> Result<()>;

    /// Whether it has power: false after a cut and after it switched itself off.
    ///
    /// # Errors
    /// When it cannot be found out.
    fn is_on(&mut self) -> Result<bool>;

    /// What it says on its serial console since it was switched on.
    ///
    /// # Errors
    /// When it was never switched on.
    fn console(&self) -> Result<&Transcript>;

    /// Types `text` on the serial console.
    ///
    /// # Errors
    /// When it is off.
    fn type_text(&mut self, text: &str) -> Result<()>;

    /// Writes a picture of the screen to `to`.
    ///
    /// # Errors
    /// When it is off.
    fn screenshot(&mut self, to: &Path) -> Result<()>;

    /// The disks, in the order of their declaration. Only to be read while the machine is off.
    fn disks(&self) -> &[Disk];

    /// Takes the boot medium away, also while the machine runs.
    ///
    /// # Errors
    /// When there is none.
    fn remove_medium(&mut self) -> Result<()>;

    /// Sets the firmware's variables back to how they left the factory.
    ///
    /// # Errors
    /// When the machine is on.
    fn forget_firmware_variables(&mut self) -> Result<()>;

    /// Waits for `needle` on the console. A failure leaves console log, screenshot and a summary of the
    /// disks in [`Board::folder`] and says so.
    ///
    /// # Errors
    /// When it was not said `within` that time.
    fn wait_for(&mut self, needle: &str, within: Duration) -> Result<String> {
        self.wait_for_any(&[needle], within).map(|(_, line)| line)
    }

    /// As [`Board::wait_for`], for whichever comes first.
    ///
    /// # Errors
    /// As [`Board::wait_for`].
    fn wait_for_any(&mut self, needles: &[&str], within: Duration) -> Result<(usize, String)> {
        let result = self.console()?.clone().wait_for_any(needles, within);
        result.map_err(|error| error.context(self.leave_traces()))
    }

    /// Keeps a screenshot and a summary of the disks; says where they are, or why there are none.
    fn leave_traces(&mut self) -> String {
        let picture = self.folder().join("screenshot.png");
        let shot = match self.screenshot(&picture) {
            Ok(()) => picture.display().to_string(),
            Err(error) => format!("none ({error:#})"),
        };
        let summary = self.folder().join("disks.txt");
        let mut text = String::new();
        for disk in self.disks() {
            text.push_str(&disk.summary());
        }
        let disks = match fs::write(&summary, text) {
            Ok(()) => summary.display().to_string(),
            Err(error) => format!("none ({error})"),
        };
        format!("screenshot: {shot}; disks: {disks}")
    }
}

/// A disk of a machine: a sparse file of raw blocks, or a layer of changes over one.
#[derive(Debug, Clone)]
pub struct Disk {
    pub path: PathBuf,
    pub format: Format,
    /// How the disk calls itself.
    pub serial: String,
    pub bus: Bus,
}

/// How a disk's file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Raw,
    /// Changes over a raw file that stays as it is.
    Overlay,
}

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// Reports itself as a solid state disk.
    Nvme,
    /// Reports itself as rotating.
    Virtio,
}

impl Disk {
    /// An empty disk of `size` bytes that takes no room until it is written.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn empty(path: &Path, size: u64, serial: &str) -> Result<Self> {
        let file =
            fs::File::create(path).with_context(|| format!("creating {}", path.display()))?;
        file.set_len(size)
            .with_context(|| format!("sizing {}", path.display()))?;
        Ok(Self::raw(path, serial))
    }

    /// An existing raw file as a disk.
    pub fn raw(path: &Path, serial: &str) -> Self {
        Self {
            path: path.to_owned(),
            format: Format::Raw,
            serial: serial.to_owned(),
            bus: Bus::Nvme,
        }
    }

    /// A layer at `path` that takes all changes to the raw file `base`.
    ///
    /// # Errors
    /// When `qemu-img` fails.
    pub fn overlay(path: &Path, base: &Path, serial: &str) -> Result<Self> {
        let mut command = std::process::Command::new("qemu-img");
        command
            .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
            .arg(base)
            .arg(path);
        crate::process::output(&mut command)?;
        Ok(Self {
            format: Format::Overlay,
            ..Self::raw(path, serial)
        })
    }

    /// The same disk on another bus.
    #[must_use]
    pub fn on(self, bus: Bus) -> Self {
        Self { bus, ..self }
    }

    /// Partition table and size on the build host, for people who look for a failure.
    fn summary(&self) -> String {
        let mut text = format!("== {} ({})\n", self.serial, self.path.display());
        let mut commands = vec![("qemu-img", vec!["info", "-U"])];
        if self.format == Format::Raw {
            commands.push(("sfdisk", vec!["--dump"]));
        }
        for (program, arguments) in commands {
            let mut command = std::process::Command::new(program);
            command.args(arguments).arg(&self.path);
            match crate::process::output(&mut command) {
                Ok(said) => text.push_str(&said),
                Err(error) => text.push_str(&format!("{error:#}\n")),
            }
        }
        text
    }
}
