//! A PC made by QEMU: UEFI firmware with its own variables, NVMe disks with serials, a USB stick.

pub mod accel;
mod arguments;
mod qmp;

use std::{
    fs,
    io::Write,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::json;

use self::{accel::Accel, qmp::Qmp};
use crate::{
    board::{Board, Disk},
    process::Guard,
    transcript::Transcript,
    workspace::Turn,
};

/// The machine as its order form would describe it.
#[derive(Debug, Clone)]
pub struct Spec {
    /// MiB of memory.
    pub memory: u32,
    pub cores: u32,
    pub disks: Vec<Disk>,
    /// The ISO and how it is plugged in.
    pub medium: Option<Medium>,
    pub first: First,
    pub firmware: Firmware,
    /// SMBIOS system UUID: the host ID is made of it.
    pub uuid: String,
    pub accel: Accel,
}

/// An ISO in the machine.
#[derive(Debug, Clone)]
pub enum Medium {
    UsbStick(PathBuf),
    Dvd(PathBuf),
}

/// What the firmware tries first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    Disk,
    Medium,
    /// Whatever its own variables say.
    Variables,
}

/// Which firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    Uefi,
    /// With the factory's keys, Secure Boot on.
    SecureBoot,
}

impl Spec {
    /// A small edge box that passes the gate: 2 cores, 8 GB, one medium, and `disks`.
    pub fn edge_box(disks: Vec<Disk>, medium: Option<Medium>) -> Self {
        Self {
            memory: 8192,
            cores: 2,
            disks,
            medium,
            first: First::Disk,
            firmware: Firmware::Uefi,
            uuid: String::from("5b0e4c2a-7f31-4d86-9a53-c1d2e3f40516"),
            accel: Accel::Tcg,
        }
    }
}

/// A machine of QEMU; dropping it cuts its power.
#[derive(Debug)]
pub struct Qemu {
    spec: Spec,
    folder: PathBuf,
    running: Option<Running>,
    console: Option<Transcript>,
    boots: u32,
}

#[derive(Debug)]
struct Running {
    process: Guard,
    qmp: Qmp,
    serial: UnixStream,
    _turn: Turn,
}

impl Qemu {
    /// A machine that is off, with its own firmware variables in `folder`.
    ///
    /// # Errors
    /// When the firmware (Debian package `ovmf`) is missing.
    pub fn new(spec: Spec, folder: &Path) -> Result<Self> {
        let mut machine = Self {
            spec,
            folder: folder.to_owned(),
            running: None,
            console: None,
            boots: 0,
        };
        if !machine.variables().exists() {
            machine.forget_firmware_variables()?;
        }
        Ok(machine)
    }

    /// The order form, to be changed while the machine is off.
    pub fn spec_mut(&mut self) -> &mut Spec {
        &mut self.spec
    }

    /// The file of the firmware's variables.
    pub fn variables(&self) -> PathBuf {
        self.folder.join("variables.fd")
    }

    /// Presses the reset button.
    ///
    /// # Errors
    /// When the machine is off.
    pub fn reset(&mut self) -> Result<()> {
        self.on()?.qmp.execute("system_reset", &json!({}))?;
        Ok(())
    }

    /// Stops the machine's clock and everything in it, as it is.
    ///
    /// # Errors
    /// When the machine is off.
    pub fn freeze(&mut self) -> Result<()> {
        self.on()?.qmp.execute("stop", &json!({}))?;
        Ok(())
    }

    /// Has the kernel kill the process that needs the most memory, by the `f` of its system request key
    /// (kernel documentation, admin-guide/sysrq) on the serial console: a break, then the letter.
    /// The kernel must be started with `sysrq_always_enabled`.
    ///
    /// # Errors
    /// When the machine is off.
    pub fn kill_the_largest_process(&mut self) -> Result<()> {
        let console = json!({ "id": "serial0" });
        self.on()?.qmp.execute("chardev-send-break", &console)?;
        self.type_text("f")
    }

    /// Presses the power button for a moment: an orderly system shuts down.
    ///
    /// # Errors
    /// When the machine is off.
    pub fn press_power_button(&mut self) -> Result<()> {
        self.on()?.qmp.execute("system_powerdown", &json!({}))?;
        Ok(())
    }

    /// Bytes that the guest has written to disk number `index` since it was switched on.
    ///
    /// # Errors
    /// When the machine is off.
    pub fn written(&mut self, index: usize) -> Result<u64> {
        let stats = self.on()?.qmp.execute("query-blockstats", &json!({}))?;
        let name = arguments::drive_name(index);
        stats
            .as_array()
            .into_iter()
            .flatten()
            .find(|drive| drive["device"] == name.as_str())
            .and_then(|drive| drive["stats"]["wr_bytes"].as_u64())
            .with_context(|| format!("QEMU counts nothing for {name}"))
    }

    /// Waits until the machine has switched itself off.
    ///
    /// # Errors
    /// When it is still on after `within`.
    pub fn wait_for_power_off(&mut self, within: Duration) -> Result<()> {
        self.on()?.process.wait(within)?;
        self.running = None;
        Ok(())
    }

    fn on(&mut self) -> Result<&mut Running> {
        self.running.as_mut().context("the machine is off")
    }

    fn start(&mut self) -> Result<Running> {
        let turn = Turn::take()?;
        // Socket names are short: the kernel allows 107 bytes.
        let sockets = tempfile::Builder::new()
            .prefix("burin-vm")
            .tempdir()
            .context("making a folder for sockets")?;
        let control = UnixListener::bind(sockets.path().join("qmp")).context("listening")?;
        let serial = UnixListener::bind(sockets.path().join("serial")).context("listening")?;
        let command = arguments::command(&self.spec, &self.variables(), sockets.path());
        let log = self.folder.join(format!("qemu-{}.log", self.boots));
        let mut process = Guard::start(&command, &log)
            .context("starting QEMU (Debian package qemu-system-x86)")?;
        let serial = match accept_or_explain(&serial, &mut process) {
            Ok(stream) => stream,
            Err(error) => return Err(error.context(process.says.text())),
        };
        let qmp = Qmp::accept(&control)?;
        Ok(Running {
            process,
            qmp,
            serial,
            _turn: turn,
        })
    }
}

/// QEMU connects to us, so there is no socket to wait for; it may also end because of a bad argument.
fn accept_or_explain(listener: &UnixListener, process: &mut Guard) -> Result<UnixStream> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let mut waits = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    for _second in 0..30 {
        if poll(&mut waits, PollTimeout::from(1000_u16)).context("waiting for QEMU")? > 0 {
            return Ok(listener.accept().context("accepting QEMU")?.0);
        }
        if !process.is_running()? {
            bail!("QEMU ended at once");
        }
    }
    bail!("QEMU did not open its console within 30 s")
}

impl Board for Qemu {
    fn folder(&self) -> &Path {
        &self.folder
    }

    fn power_on(&mut self) -> Result<()> {
        if self.is_on()? {
            bail!("the machine is on already");
        }
        self.boots += 1;
        let running = self.start()?;
        let log = self.folder.join(format!("console-{}.log", self.boots));
        let reader = running.serial.try_clone().context("copying the console")?;
        self.console = Some(Transcript::follow(reader, &log)?);
        self.running = Some(running);
        Ok(())
    }

    fn power_cut(&mut self) -> Result<()> {
        if let Some(mut running) = self.running.take() {
            running.process.kill()?;
        }
        Ok(())
    }

    fn is_on(&mut self) -> Result<bool> {
        match &mut self.running {
            None => Ok(false),
            Some(running) => running.process.is_running(),
        }
    }

    fn console(&self) -> Result<&Transcript> {
        self.console
            .as_ref()
            .context("the machine was never switched on")
    }

    fn type_text(&mut self, text: &str) -> Result<()> {
        self.on()?
            .serial
            .write_all(text.as_bytes())
            .context("typing on the console")
    }

    fn screenshot(&mut self, to: &Path) -> Result<()> {
        let arguments = json!({ "filename": to, "format": "png" });
        self.on()?.qmp.execute("screendump", &arguments)?;
        Ok(())
    }

    fn disks(&self) -> &[Disk] {
        &self.spec.disks
    }

    fn remove_medium(&mut self) -> Result<()> {
        if self.spec.medium.take().is_none() {
            bail!("there is no medium in the machine");
        }
        if let Some(running) = &mut self.running {
            running
                .qmp
                .execute("device_del", &json!({ "id": arguments::MEDIUM }))?;
        }
        Ok(())
    }

    fn forget_firmware_variables(&mut self) -> Result<()> {
        if self.is_on()? {
            bail!("the firmware's variables can only be reset while the machine is off");
        }
        let factory = arguments::factory_variables(self.spec.firmware);
        fs::copy(factory, self.variables())
            .with_context(|| format!("copying {factory} (Debian package ovmf)"))?;
        Ok(())
    }
}
