//! Firmware variables through efivarfs (kernel documentation, filesystems/efivarfs): four bytes of
//! attributes, then the value, written in one call.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use burin_core::efi::{LoadOption, boot_number, order_with_first, parse_order};

use super::file;
use super::ioctl::{Immutable, set_immutable};

/// The firmware's own variables (UEFI specification, "Globally Defined Variables").
pub const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// burin's own variables.
pub const BURIN: &str = "b0711a5e-5d2e-4c0b-9a57-627572696e00";
/// The boot loader's variables (Boot Loader Interface of systemd).
pub const LOADER: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// Non-volatile, readable while booting and at run time.
const ATTRIBUTES: u32 = 7;
/// No variable that is read here comes near it.
const LIMIT: usize = 64 * 1024;

/// The variables of this machine.
#[derive(Debug, Clone)]
pub struct Variables {
    folder: PathBuf,
}

impl Variables {
    /// Those below `root` (`/` on a machine); none where the firmware is not UEFI.
    #[must_use]
    pub fn open(root: &Path) -> Option<Self> {
        let folder = root.join("sys/firmware/efi/efivars");
        // The folder is there without the file system as well; then it is empty.
        let mut entries = fs::read_dir(&folder).ok()?;
        entries.next()?.ok()?;
        Some(Self { folder })
    }

    /// The value of a variable; none when it does not exist.
    ///
    /// # Errors
    /// When the firmware cannot be read.
    pub fn read(&self, name: &str, vendor: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path(name, vendor);
        let Some(bytes) = file::read_if_there(&path, LIMIT)? else {
            return Ok(None);
        };
        ensure!(
            bytes.len() >= 4,
            "the firmware variable {name} is cut short"
        );
        Ok(Some(bytes[4..].to_vec()))
    }

    /// Sets a variable and reads it back.
    ///
    /// # Errors
    /// When the firmware refuses, or keeps something else.
    pub fn write(&self, name: &str, vendor: &str, value: &[u8]) -> Result<()> {
        let doing = || format!("writing the firmware variable {name}");
        let path = self.path(name, vendor);
        make_mutable(&path).with_context(doing)?;
        let mut bytes = ATTRIBUTES.to_le_bytes().to_vec();
        bytes.extend_from_slice(value);
        let mut out = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(doing)?;
        // One call: the kernel passes each write to the firmware as a whole variable.
        let written = out.write(&bytes).with_context(doing)?;
        ensure!(written == bytes.len(), "{}: cut short", doing());
        let kept = self.read(name, vendor)?;
        ensure!(
            kept.as_deref() == Some(value),
            "{}: the firmware kept something else",
            doing()
        );
        Ok(())
    }

    /// Removes a variable; one that is not there is fine.
    ///
    /// # Errors
    /// When the firmware refuses.
    pub fn remove(&self, name: &str, vendor: &str) -> Result<()> {
        let path = self.path(name, vendor);
        make_mutable(&path)?;
        match fs::remove_file(&path) {
            Err(err) if err.kind() != ErrorKind::NotFound => {
                Err(err).with_context(|| format!("removing the firmware variable {name}"))
            }
            _ => Ok(()),
        }
    }

    /// Makes the firmware start `option` first; an entry that is the same is used again. Returns
    /// its number.
    ///
    /// # Errors
    /// When the firmware refuses; it then still finds the fallback path on the disk.
    pub fn boot_first(&self, option: &LoadOption) -> Result<u16> {
        let bytes = option.encode().context("encoding the boot entry")?;
        let number = self.number_for(option)?;
        let name = format!("Boot{number:04X}");
        if self.read(&name, GLOBAL)?.as_deref() != Some(bytes.as_slice()) {
            self.write(&name, GLOBAL, &bytes)?;
        }
        let old = self.read("BootOrder", GLOBAL)?.unwrap_or_default();
        let new = order_with_first(&parse_order(&old), number);
        if old != new {
            self.write("BootOrder", GLOBAL, &new)?;
        }
        Ok(number)
    }

    /// The entry that `option` has or replaces (same partition, same file), or the first free number.
    fn number_for(&self, option: &LoadOption) -> Result<u16> {
        let mut taken = std::collections::BTreeSet::new();
        let suffix = format!("-{GLOBAL}");
        let listing = || "listing the firmware's boot entries";
        for entry in fs::read_dir(&self.folder).with_context(listing)? {
            let name = entry.with_context(listing)?.file_name();
            let name = name.to_string_lossy();
            let Some(number) = name.strip_suffix(&suffix).and_then(boot_number) else {
                continue;
            };
            let found = self
                .read(&format!("Boot{number:04X}"), GLOBAL)?
                .unwrap_or_default();
            if let Ok(found) = LoadOption::decode(&found)
                && (&found.guid, &found.path) == (&option.guid, &option.path)
            {
                return Ok(number);
            }
            taken.insert(number);
        }
        (0..=u16::MAX)
            .find(|number| !taken.contains(number))
            .context("the firmware has no free boot entry")
    }

    fn path(&self, name: &str, vendor: &str) -> PathBuf {
        self.folder.join(format!("{name}-{vendor}"))
    }
}

fn make_mutable(path: &Path) -> Result<()> {
    match File::open(path) {
        Ok(file) => set_immutable(&file, Immutable::No),
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(()),
        Err(err) => Err(err).with_context(|| format!("opening {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(root: &Path) -> Variables {
        let folder = root.join("sys/firmware/efi/efivars");
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join(format!("Boot0000-{GLOBAL}")),
            [7, 0, 0, 0, 1, 2],
        )
        .unwrap();
        Variables::open(root).unwrap()
    }

    fn option() -> LoadOption {
        LoadOption {
            description: "burin".into(),
            partition: 1,
            start: 2048,
            blocks: 4096,
            guid: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b".into(),
            path: "\\EFI\\burin\\BOOTX64.EFI".into(),
        }
    }

    #[test]
    fn an_entry_is_made_once_and_comes_first() {
        let root = tempfile::tempdir().unwrap();
        let variables = variables(root.path());
        variables.write("BootOrder", GLOBAL, &[0, 0]).unwrap();
        for _ in 0..2 {
            assert_eq!(variables.boot_first(&option()).unwrap(), 1);
            let order = variables.read("BootOrder", GLOBAL).unwrap().unwrap();
            assert_eq!(parse_order(&order), [1, 0]);
        }
    }

    #[test]
    fn no_firmware_variables_is_no_error() {
        let root = tempfile::tempdir().unwrap();
        assert!(Variables::open(root.path()).is_none());
    }

    #[test]
    fn a_variable_goes_and_may_be_gone() {
        let root = tempfile::tempdir().unwrap();
        let variables = variables(root.path());
        variables.write("Seed", BURIN, b"x").unwrap();
        assert_eq!(
            variables.read("Seed", BURIN).unwrap().as_deref(),
            Some(&b"x"[..])
        );
        for _ in 0..2 {
            variables.remove("Seed", BURIN).unwrap();
        }
        assert_eq!(variables.read("Seed", BURIN).unwrap(), None);
    }
}
