//! The consoles a machine really has: found, not assumed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use rustix::termios::{self, ControlModes, OptionalActions};

/// What kind of console, which decides what can be drawn on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A virtual terminal on a screen: has our font after boot.
    Screen,
    /// A wire: 115200 baud, every byte costs time.
    Serial,
    /// A hypervisor's console.
    Virtual,
}

/// One console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    /// For example `/dev/tty1`.
    pub device: PathBuf,
    pub kind: Kind,
}

/// Finds the consoles under `root` (`/` on a machine). The kernel registers four 8250 ports whether
/// they exist or not; `/sys/class/tty/ttyS0/type` is 0 (`PORT_UNKNOWN`) where nothing answered.
pub fn find(root: &Path) -> Vec<Console> {
    let class = root.join("sys/class/tty");
    let mut found = Vec::new();
    if class.join("tty1").exists() {
        found.push(console(root, "tty1", Kind::Screen));
    }
    for name in ["ttyS0", "ttyS1"] {
        let answered = std::fs::read_to_string(class.join(name).join("type"))
            .is_ok_and(|text| !matches!(text.trim(), "" | "0"));
        if answered {
            found.push(console(root, name, Kind::Serial));
        }
    }
    for (name, kind) in [("ttyAMA0", Kind::Serial), ("hvc0", Kind::Virtual)] {
        if class.join(name).exists() {
            found.push(console(root, name, kind));
        }
    }
    found
}

fn console(root: &Path, name: &str, kind: Kind) -> Console {
    Console {
        device: root.join("dev").join(name),
        kind,
    }
}

impl Console {
    /// Opens it for reading and writing without making it the controlling terminal and without
    /// blocking: a serial port whose other side holds flow control must not stop the installer.
    /// A serial port is set to 115200 baud, 8 bits.
    ///
    /// # Errors
    /// When the device cannot be opened.
    pub fn open(&self) -> io::Result<File> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags((OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits())
            .open(&self.device)?;
        if self.kind == Kind::Serial {
            // By system call, not by libc: its cfsetspeed cannot be linked statically.
            let mut settings = termios::tcgetattr(&file)?;
            settings.set_speed(115_200)?;
            settings.control_modes.remove(ControlModes::CRTSCTS);
            settings
                .control_modes
                .insert(ControlModes::CLOCAL | ControlModes::CREAD | ControlModes::CS8);
            termios::tcsetattr(&file, OptionalActions::Now, &settings)?;
        }
        Ok(file)
    }

    /// Writes one line, as far as the device takes it.
    ///
    /// # Errors
    /// When the device cannot be opened or written.
    pub fn say(&self, line: &str) -> io::Result<()> {
        self.open()?.write_all(format!("\r{line}\r\n").as_bytes())
    }
}

/// Columns and rows of a terminal; none where it has none or does not tell.
pub fn size(terminal: &File) -> Option<(usize, usize)> {
    let size = termios::tcgetwinsize(terminal).ok()?;
    let (columns, rows) = (usize::from(size.ws_col), usize::from(size.ws_row));
    (columns > 0 && rows > 0).then_some((columns, rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tty(root: &Path, name: &str, kind: Option<&str>) {
        let folder = root.join("sys/class/tty").join(name);
        fs::create_dir_all(&folder).unwrap();
        if let Some(kind) = kind {
            fs::write(folder.join("type"), kind).unwrap();
        }
    }

    #[test]
    fn a_serial_port_that_nothing_answered_is_no_console() {
        let root = tempfile::tempdir().unwrap();
        tty(root.path(), "tty1", None);
        tty(root.path(), "ttyS0", Some("0\n"));
        tty(root.path(), "ttyS1", Some("4\n"));
        tty(root.path(), "hvc0", None);
        let names: Vec<_> = find(root.path())
            .into_iter()
            .map(|one| (one.device.file_name().unwrap().to_owned(), one.kind))
            .collect();
        assert_eq!(
            names,
            [
                ("tty1".into(), Kind::Screen),
                ("ttyS1".into(), Kind::Serial),
                ("hvc0".into(), Kind::Virtual)
            ]
        );
    }

    #[test]
    fn a_machine_without_terminals_has_no_console() {
        let root = tempfile::tempdir().unwrap();
        assert!(find(root.path()).is_empty());
    }
}
