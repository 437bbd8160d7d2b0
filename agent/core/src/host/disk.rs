//! Block devices as `/sys/block` shows them.

use serde::{Deserialize, Serialize};

use super::clean;

/// A whole disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// Kernel name, for example `nvme0n1`.
    pub name: String,
    pub model: String,
    pub serial: String,
    /// World-wide name, for example `eui.0025385b71b3a1c2` or `naa.5002538e40a3b1c2`.
    pub wwn: String,
    pub bus: Bus,
    /// Bytes.
    pub size: u64,
    /// Logical block size: 512 or 4096 bytes.
    pub sector: u32,
    pub rotational: bool,
    /// What the device says of itself. See [`Disk::is_removable`].
    pub removable: bool,
    pub read_only: bool,
    /// Devices made out of the whole disk: `md0`, `dm-3`.
    pub holders: Vec<String>,
    pub partitions: Vec<PartitionFact>,
    /// Modaliases of the device and of its parents up to the host bridge, where a module drives them.
    pub modaliases: Vec<String>,
    /// Links under `/dev/disk/by-*` and other names of it.
    pub links: Vec<String>,
}

/// One partition of a disk, as the kernel sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PartitionFact {
    /// Kernel name, for example `nvme0n1p2`.
    pub name: String,
    pub number: u32,
    /// Bytes from the start of the disk.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    pub holders: Vec<String>,
}

/// How a disk is attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bus {
    Nvme,
    Ata,
    Scsi,
    Virtio,
    /// Soldered eMMC.
    Mmc,
    /// A card in a slot.
    Sd,
    Usb,
    #[default]
    Other,
}

impl Bus {
    /// As selectors and findings write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nvme => "nvme",
            Self::Ata => "ata",
            Self::Scsi => "scsi",
            Self::Virtio => "virtio",
            Self::Mmc => "mmc",
            Self::Sd => "sd",
            Self::Usb => "usb",
            Self::Other => "other",
        }
    }
}

impl Disk {
    /// Whether it may be pulled out: by its own word, or because it hangs on USB or in a card slot.
    /// USB enclosures say `removable=0` of themselves.
    pub fn is_removable(&self) -> bool {
        self.removable || matches!(self.bus, Bus::Usb | Bus::Sd)
    }

    /// What uses the disk or one of its partitions, for example `md0`.
    pub fn all_holders(&self) -> Vec<&str> {
        self.holders
            .iter()
            .chain(self.partitions.iter().flat_map(|p| &p.holders))
            .map(String::as_str)
            .collect()
    }

    /// Whether a path is a link to this disk: one that is there, or one under `/dev/disk/by-id` that
    /// udev would make. The installer runs no udev, and owners copy these names from elsewhere.
    pub fn has_link(&self, path: &str) -> bool {
        self.links.iter().any(|link| link == path)
            || path
                .strip_prefix("/dev/disk/by-id/")
                .is_some_and(|name| self.ids().iter().any(|id| id == name))
    }

    /// Names by udev's rules (systemd, rules.d/60-persistent-storage.rules).
    fn ids(&self) -> Vec<String> {
        // udev replaces runs of blanks by one `_` and leaves out those at the ends.
        let join = |text: &str| text.split_whitespace().collect::<Vec<_>>().join("_");
        let (model, serial) = (join(&self.model), join(&self.serial));
        let mut ids = Vec::new();
        if !serial.is_empty() {
            match self.bus {
                Bus::Nvme => {
                    ids.push(format!("nvme-{model}_{serial}"));
                    ids.push(format!("nvme-{model}_{serial}_1"));
                }
                Bus::Ata => ids.push(format!("ata-{model}_{serial}")),
                Bus::Mmc => ids.push(format!("mmc-{model}_{serial}")),
                // The kernel gives at most 20 characters of it.
                Bus::Virtio => ids.push(format!("virtio-{serial}")),
                Bus::Scsi | Bus::Sd | Bus::Usb | Bus::Other => {}
            }
        }
        match (self.bus, self.wwn.strip_prefix("naa.")) {
            (Bus::Nvme, _) if !self.wwn.is_empty() => ids.push(format!("nvme-{}", self.wwn)),
            (_, Some(name)) => {
                ids.push(format!("wwn-0x{name}"));
                ids.push(format!("scsi-3{name}"));
            }
            _ => {}
        }
        ids
    }

    /// Path of the device node.
    pub fn node(&self) -> String {
        format!("/dev/{}", self.name)
    }
}

/// Whether a name under `/sys/block` can be a disk to install on or from.
///
/// Left out: memory (`ram`, `zram`), loops, optical drives, floppies, assembled devices (`md`, `dm-`:
/// their members are looked at instead), network block devices, raw flash, the boot and RPMB areas
/// of an eMMC, and the hidden paths of a multipath NVMe (`nvme0c1n1`).
pub fn is_disk_name(name: &str) -> bool {
    const NOT_DISKS: [&str; 10] = [
        "ram", "zram", "loop", "sr", "fd", "md", "dm-", "nbd", "mtdblock", "rbd",
    ];
    let digit_after = |prefix: &str| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    if NOT_DISKS.iter().any(|p| digit_after(p)) {
        return false;
    }
    if let Some(rest) = name.strip_prefix("mmcblk") {
        return rest.bytes().all(|b| b.is_ascii_digit());
    }
    if let Some(rest) = name.strip_prefix("nvme") {
        return !rest.contains('c');
    }
    !name.is_empty()
}

/// Reads one disk.
///
/// `attribute` returns the bytes of a file below `/sys/block/<name>`, for example
/// `queue/rotational`; `device` is the real path of that folder under `/sys/devices`, which tells
/// the bus. None when it has no size (an empty card reader).
pub fn disk(
    name: &str,
    device: &str,
    attribute: &dyn Fn(&str) -> Option<Vec<u8>>,
    holders: Vec<String>,
) -> Option<Disk> {
    let text = |path: &str| attribute(path).map(|b| clean(&String::from_utf8_lossy(&b)));
    let first = |paths: &[&str]| {
        paths
            .iter()
            .filter_map(|p| text(p))
            .find(|t| !t.is_empty())
            .unwrap_or_default()
    };
    let flag = |path: &str| text(path).as_deref() == Some("1");
    let size = sectors(&text("size")?)?;
    if size == 0 {
        return None;
    }
    let vendor = first(&["device/vendor"]);
    let model = first(&["device/model", "device/name"]);
    // For NVMe and virtio `vendor` is a PCI number, for ATA the word `ATA`.
    let model = if vendor.is_empty() || vendor == "ATA" || vendor.starts_with("0x") {
        model
    } else {
        format!("{vendor} {model}")
    };
    let serial = match attribute("device/vpd_pg80").as_deref().and_then(vpd_serial) {
        Some(serial) => serial,
        None => first(&["serial", "device/serial"]),
    };
    Some(Disk {
        name: name.to_owned(),
        model: model.trim().to_owned(),
        serial,
        wwn: first(&["wwid", "device/wwid", "device/cid"]),
        bus: bus(name, device, &first(&["device/type"])),
        size,
        sector: text("queue/logical_block_size")
            .and_then(|t| t.parse().ok())
            .unwrap_or(512),
        rotational: flag("queue/rotational"),
        removable: flag("removable"),
        read_only: flag("ro"),
        holders,
        ..Disk::default()
    })
}

/// `/sys/block/*/size` counts in 512 bytes, whatever the disk's own block size is
/// (kernel, Documentation/ABI/stable/sysfs-block).
fn sectors(text: &str) -> Option<u64> {
    text.parse::<u64>().ok()?.checked_mul(512)
}

impl PartitionFact {
    /// Reads one partition: the texts of `partition`, `start` and `size` in its folder.
    pub fn parse(
        name: &str,
        number: &str,
        start: &str,
        size: &str,
        holders: Vec<String>,
    ) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            number: number.trim().parse().ok()?,
            start: sectors(start.trim())?,
            size: sectors(size.trim())?,
            holders,
        })
    }
}

/// Serial of SCSI's vital product data, page 0x80: four bytes of header, then text (SPC-4, 7.8.15).
fn vpd_serial(page: &[u8]) -> Option<String> {
    let (header, rest) = page.split_at_checked(4)?;
    if header[1] != 0x80 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let serial = clean(&String::from_utf8_lossy(rest.get(..length)?));
    (!serial.is_empty()).then_some(serial)
}

fn bus(name: &str, device: &str, kind: &str) -> Bus {
    // USB first: a USB enclosure is a SCSI disk below a USB device.
    if device.split('/').any(|part| {
        part.strip_prefix("usb")
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    }) {
        return Bus::Usb;
    }
    if name.starts_with("mmcblk") {
        return if kind == "MMC" { Bus::Mmc } else { Bus::Sd };
    }
    if name.starts_with("nvme") {
        return Bus::Nvme;
    }
    let has = |prefix: &str| device.split('/').any(|part| part.starts_with(prefix));
    if has("ata") {
        Bus::Ata
    } else if name.starts_with("vd") || (has("virtio") && !has("host")) {
        Bus::Virtio
    } else if name.starts_with("sd") {
        Bus::Scsi
    } else {
        Bus::Other
    }
}
