//! What was seen of the machine: one value, and the parsers of the kernel's text that fill it.
//! Reading the text is the caller's work, so every parser can be tested with a file from a real box.

mod disk;
mod link;
mod smbios;

use std::time::Duration;

use burin_api::host::{DiskEvidence, Evidence};
use serde::{Deserialize, Serialize};

pub use disk::{Bus, Disk, PartitionFact, disk, is_disk_name};
pub use link::{Link, LinkBus, PciAddress, later_names, link, pci_address};
pub use smbios::installed_memory;

/// Everything that the gate, the host ID and the choice of the disk look at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostFacts {
    /// As `uname -m` prints it: `x86_64`, `aarch64`.
    pub arch: String,
    /// Kernel release, as `uname -r` prints it.
    pub kernel: String,
    pub firmware: Firmware,
    pub cpu: Cpu,
    /// Bytes that the kernel can use (`MemTotal`).
    pub memory: u64,
    /// Bytes of the memory modules as SMBIOS lists them; none where it does not.
    pub memory_installed: Option<u64>,
    pub dmi: Dmi,
    pub device_tree: DeviceTree,
    pub disks: Vec<Disk>,
    pub links: Vec<Link>,
    /// Every `modalias` under `/sys/devices`, without repetition.
    pub modaliases: Vec<String>,
    /// Since the kernel started.
    pub uptime: Duration,
    /// The clock when this was looked at, seconds since 1970.
    pub clock: u64,
}

/// How the machine was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Firmware {
    /// `/sys/firmware/efi` exists.
    Uefi,
    #[default]
    Legacy,
}

/// The processors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    pub model: String,
    /// Physical cores; processors that the kernel runs on where it does not tell cores apart.
    pub cores: u32,
    /// Processors that the kernel runs on.
    pub threads: u32,
}

/// Values of `/sys/class/dmi/id`, trimmed; empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dmi {
    pub sys_vendor: String,
    pub product_name: String,
    pub product_serial: String,
    /// As the kernel prints it: it already mends the byte order of SMBIOS before 2.6.
    pub product_uuid: String,
    pub board_vendor: String,
    pub board_name: String,
    pub board_serial: String,
    pub bios_vendor: String,
    pub bios_version: String,
    pub chassis_serial: String,
}

/// Values of `/proc/device-tree`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceTree {
    /// Most particular first, for example `nvidia,p3737-0000+p3701-0000`, `nvidia,tegra234`.
    pub compatible: Vec<String>,
    pub model: String,
    pub serial: String,
    /// What the system on a chip says of itself: `serial_number` of `/sys/devices/soc0`.
    pub soc: String,
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
pub fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The processors of `/proc/cpuinfo`.
///
/// x86 names socket and core of every processor; arm64 names neither, there every processor is a
/// core (no arm64 board we support has more than one thread a core).
pub fn cpu(cpuinfo: &str) -> Cpu {
    let mut threads = 0;
    let mut model = String::new();
    let mut cores = std::collections::BTreeSet::new();
    let mut socket = None;
    for line in cpuinfo.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        match key.trim() {
            "processor" => {
                threads += 1;
                socket = None;
            }
            "model name" | "Model" if model.is_empty() => value.clone_into(&mut model),
            "physical id" => socket = value.parse::<u32>().ok(),
            "core id" => {
                if let (Some(socket), Ok(core)) = (socket, value.parse::<u32>()) {
                    cores.insert((socket, core));
                }
            }
            _ => {}
        }
    }
    let cores = match u32::try_from(cores.len()) {
        Ok(0) | Err(_) => threads,
        Ok(count) => count,
    };
    Cpu {
        model,
        cores,
        threads,
    }
}

/// Reads the DMI values through `attribute`, which returns the text of a file of
/// `/sys/class/dmi/id`.
pub fn dmi(attribute: &dyn Fn(&str) -> Option<String>) -> Dmi {
    let get = |name| clean(&attribute(name).unwrap_or_default());
    Dmi {
        sys_vendor: get("sys_vendor"),
        product_name: get("product_name"),
        product_serial: get("product_serial"),
        product_uuid: get("product_uuid").to_ascii_lowercase(),
        board_vendor: get("board_vendor"),
        board_name: get("board_name"),
        board_serial: get("board_serial"),
        bios_vendor: get("bios_vendor"),
        bios_version: get("bios_version"),
        chassis_serial: get("chassis_serial"),
    }
}

/// Reads the device tree through `property`, which returns the bytes of a file of
/// `/proc/device-tree`. Strings there end with a zero byte, lists are strings one after another.
/// `soc` is the text of `/sys/devices/soc0/serial_number`.
pub fn device_tree(property: &dyn Fn(&str) -> Option<Vec<u8>>, soc: Option<&str>) -> DeviceTree {
    let strings = |name: &str| -> Vec<String> {
        let bytes = property(name).unwrap_or_default();
        bytes
            .split(|b| *b == 0)
            .map(|s| clean(&String::from_utf8_lossy(s)))
            .filter(|s| !s.is_empty())
            .collect()
    };
    let first = |name| strings(name).into_iter().next().unwrap_or_default();
    DeviceTree {
        compatible: strings("compatible"),
        model: first("model"),
        serial: first("serial-number"),
        soc: clean(soc.unwrap_or_default()),
    }
}

/// Time since the kernel started, from `/proc/uptime` (`seconds.hundredths idle`).
pub fn uptime(text: &str) -> Option<Duration> {
    let first = text.split_whitespace().next()?;
    let (seconds, hundredths) = first.split_once('.').unwrap_or((first, "0"));
    let seconds: u64 = seconds.parse().ok()?;
    let part: u64 = hundredths.get(..2).unwrap_or(hundredths).parse().ok()?;
    Some(Duration::from_secs(seconds) + Duration::from_millis(part * 10))
}

/// The modaliases of many `modalias` files: trimmed, sorted, each once, junk left out.
pub fn modaliases<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut all: Vec<String> = texts
        .into_iter()
        .map(str::trim)
        // The longest seen are those of input devices, about 600 bytes.
        .filter(|t| !t.is_empty() && t.len() <= 4096 && t.contains(':'))
        .map(str::to_owned)
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Trims, and replaces what is not printable: firmware strings end up on consoles and in logs.
fn clean(text: &str) -> String {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0')
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .take(256)
        .collect()
}

impl HostFacts {
    /// The same for the hub: what helps a person to recognise the box. `content` says what lies on
    /// a disk.
    pub fn evidence(&self, content: &dyn Fn(&Disk) -> String) -> Evidence {
        Evidence {
            vendor: self.dmi.sys_vendor.clone(),
            product: if self.dmi.product_name.is_empty() {
                self.device_tree.model.clone()
            } else {
                self.dmi.product_name.clone()
            },
            serial: if self.dmi.product_serial.is_empty() {
                self.device_tree.serial.clone()
            } else {
                self.dmi.product_serial.clone()
            },
            board_vendor: self.dmi.board_vendor.clone(),
            board_serial: self.dmi.board_serial.clone(),
            uuid: self.dmi.product_uuid.clone(),
            // Of cards alone: loopback has none, and those of bridges change from boot to boot.
            macs: self
                .links
                .iter()
                .filter(|link| link.bus != LinkBus::Virtual && !link.mac.is_empty())
                .map(|link| link.mac.clone())
                .collect(),
            cpu: self.cpu.model.clone(),
            cores: self.cpu.cores,
            memory: self.memory,
            disks: self
                .disks
                .iter()
                .map(|d| DiskEvidence {
                    name: d.name.clone(),
                    model: d.model.clone(),
                    serial: d.serial.clone(),
                    size: d.size,
                    rotational: d.rotational,
                    removable: d.is_removable(),
                    content: content(d),
                })
                .collect(),
            modaliases: self.boot_modaliases(),
        }
    }

    /// Modaliases of what a kernel must drive for this box to come back after a reboot: the
    /// controllers of its disks and its network cards.
    pub fn boot_modaliases(&self) -> Vec<String> {
        modaliases(
            self.disks
                .iter()
                .flat_map(|d| &d.modaliases)
                .chain(self.links.iter().flat_map(|l| &l.modaliases))
                .map(String::as_str),
        )
    }

    /// Whether it is an NVIDIA Jetson, by the device tree: the only arm64 boards supported.
    pub fn is_jetson(&self) -> bool {
        self.device_tree
            .compatible
            .iter()
            .any(|c| c.starts_with("nvidia,tegra") || c.starts_with("nvidia,jetson"))
    }
}

#[cfg(test)]
mod tests;
