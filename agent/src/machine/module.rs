//! Kernel modules: loaded by modalias, packed as they lie, in the order that their indexes give.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use burin_core::modules::{IndexFiles, ModuleIndex};
use rustix::io::Errno;

use super::file;

/// A `modules.alias` of a whole distribution kernel is 1.5 MB.
const INDEX_LIMIT: usize = 32 << 20;
/// `MODULE_INIT_COMPRESSED_FILE` of linux/module.h: the kernel unpacks `.ko.xz` and `.ko.zst`.
const COMPRESSED: i32 = 4;

/// The longest module, unpacked, in bytes: the largest graphics drivers have 20 MiB.
const MODULE_LIMIT: usize = 128 << 20;

/// The modules of the running kernel.
#[derive(Debug)]
pub struct Drivers {
    folder: PathBuf,
    index: ModuleIndex,
    /// Paths that were handed to the kernel, successfully or not: each once in this process.
    tried: BTreeSet<String>,
}

/// What a request did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Modules that are in the kernel now because of it.
    pub new: Vec<String>,
    /// Modules that the kernel refused, with its reason.
    pub failed: Vec<(String, String)>,
}

impl Drivers {
    /// Reads the indexes of the running kernel below `root` (`/` on a machine).
    ///
    /// # Errors
    /// When there is no `usr/lib/modules/<release>` with a `modules.dep`.
    pub fn of_running_kernel(root: &Path) -> Result<Self> {
        let release = rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned();
        Self::open(&root.join("usr/lib/modules").join(release))
    }

    /// Reads the indexes in one folder.
    ///
    /// # Errors
    /// When it holds no readable `modules.dep`.
    pub fn open(folder: &Path) -> Result<Self> {
        let optional = |name: &str| -> Result<String> {
            let bytes = file::read_if_there(&folder.join(name), INDEX_LIMIT)?;
            Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
        };
        let dep = file::read_text(&folder.join("modules.dep"), INDEX_LIMIT)?;
        let index = ModuleIndex::parse(&IndexFiles {
            dep: &dep,
            alias: &optional("modules.alias")?,
            softdep: &optional("modules.softdep")?,
            builtin: &optional("modules.builtin")?,
            builtin_modinfo: &optional("modules.builtin.modinfo")?,
        });
        Ok(Self {
            folder: folder.to_owned(),
            index,
            tried: BTreeSet::new(),
        })
    }

    /// Loads all modules that serve a modalias, or the module of that name, after what they need.
    pub fn load(&mut self, wanted: &str) -> Loaded {
        let mut loaded = Loaded::default();
        for path in self.index.load_order(wanted) {
            if !self.tried.insert(path.clone()) {
                continue;
            }
            match insert(&self.folder.join(&path)) {
                Ok(Inserted::New) => loaded.new.push(path),
                Ok(Inserted::Already | Inserted::NoHardware) => {}
                Err(err) => loaded.failed.push((path, format!("{err:#}"))),
            }
        }
        loaded
    }
}

enum Inserted {
    New,
    /// In the kernel already, or being loaded by another process.
    Already,
    /// The module itself says that this machine has nothing for it.
    NoHardware,
}

fn insert(path: &Path) -> Result<Inserted> {
    let doing = || format!("loading module {}", path.display());
    let file = File::open(path).with_context(doing)?;
    let packed = path.extension().is_some_and(|ext| ext != "ko");
    let flags = if packed { COMPRESSED } else { 0 };
    let mut result = rustix::system::finit_module(&file, c"", flags);
    // No MODULE_DECOMPRESS, or built for another packing; before 5.17 the flag was not known.
    if packed && matches!(result, Err(Errno::OPNOTSUPP | Errno::INVAL)) {
        let plain = unpack(&file::read(path, MODULE_LIMIT).with_context(doing)?);
        result = rustix::system::init_module(&plain.with_context(doing)?, c"");
    }
    match result {
        Ok(()) => Ok(Inserted::New),
        Err(Errno::EXIST | Errno::BUSY) => Ok(Inserted::Already),
        Err(Errno::NODEV | Errno::NXIO) => Ok(Inserted::NoHardware),
        Err(err) => Err(err).with_context(doing),
    }
}

/// Unpacks a module, by what it begins with.
fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    let reader: Box<dyn Read> = match packed {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(zstd::Decoder::with_buffer(packed).context("unpacking it")?)
        }
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(packed)),
        _ => bail!("neither this kernel nor burin can unpack it"),
    };
    let mut plain = Vec::new();
    let limit = u64::try_from(MODULE_LIMIT).unwrap_or(u64::MAX);
    reader
        .take(limit)
        .read_to_end(&mut plain)
        .context("unpacking it")?;
    ensure!(plain.len() < MODULE_LIMIT, "it is too large");
    Ok(plain)
}

/// The modaliases of all devices that the kernel shows under `root` (`/` on a machine), each once.
pub fn modaliases(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for bus in entries(&root.join("sys/bus")) {
        for device in entries(&bus.join("devices")) {
            // Some buses (the CPU's) name it only in the text of their event.
            let own = fs::read_to_string(device.join("modalias")).ok();
            let alias = own.or_else(|| {
                let event = fs::read_to_string(device.join("uevent")).ok()?;
                let line = event
                    .lines()
                    .find_map(|line| line.strip_prefix("MODALIAS="));
                line.map(str::to_owned)
            });
            found.extend(
                alias
                    .map(|text| text.trim().to_owned())
                    .filter(|text| !text.is_empty()),
            );
        }
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    // A folder of sysfs may vanish with its device while it is read.
    fs::read_dir(folder)
        .map(|all| all.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modaliases_come_from_both_places_each_once() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("sys/bus/pci/devices/0000:00:01.0/modalias", "pci:v1\n");
        write("sys/bus/pci/devices/0000:00:02.0/modalias", "pci:v1\n");
        write(
            "sys/bus/cpu/devices/cpu0/uevent",
            "DRIVER=processor\nMODALIAS=cpu:type:x86\n",
        );
        write("sys/bus/acpi/devices/LNX:00/modalias", "");
        let found: Vec<_> = modaliases(root.path()).into_iter().collect();
        assert_eq!(found, ["cpu:type:x86", "pci:v1"]);
    }

    #[test]
    fn what_a_kernel_does_not_unpack_is_unpacked() {
        use std::io::Write as _;
        let plain = b"\x7fELF and the rest of a module".repeat(100);
        let zstd = zstd::bulk::compress(&plain, 3).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let gzip = gzip.finish().unwrap();
        for packed in [&zstd, &gzip] {
            assert_eq!(unpack(packed).unwrap(), plain);
            assert!(unpack(&packed[..packed.len() / 2]).is_err(), "cut short");
        }
        let err = unpack(b"\xfd7zXZ\0").unwrap_err();
        assert!(format!("{err:#}").contains("neither"), "{err:#}");
    }

    #[test]
    fn a_module_that_is_missing_is_a_failure_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("modules.dep"), "kernel/nvme.ko.xz:\n").unwrap();
        fs::write(folder.path().join("modules.alias"), "alias pci:v* nvme\n").unwrap();
        let mut drivers = Drivers::open(folder.path()).unwrap();
        let loaded = drivers.load("pci:v00001AF4");
        assert_eq!(loaded.failed.len(), 1);
        assert!(loaded.failed[0].1.contains("nvme.ko.xz"), "{loaded:?}");
        assert_eq!(
            drivers.load("pci:v00001AF4"),
            Loaded::default(),
            "tried once"
        );
    }
}
