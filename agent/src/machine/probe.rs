//! What the machine is: read from `/proc`, `/sys` and the device tree, parsed by core.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use burin_core::host::{
    self, Disk, Firmware, HostFacts, Link, PartitionFact, installed_memory, is_disk_name,
};

use super::{file, module};

/// More than any attribute of sysfs (one page) and any SMBIOS table (64 KiB) has.
const LIMIT: usize = 1 << 20;

/// What was seen, and what could not be read (without root, SMBIOS serials are hidden).
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub facts: HostFacts,
    /// Paths that exist and could not be read.
    pub unreadable: Vec<String>,
}

/// Looks at the machine under `root` (`/`, or a tree of a test).
pub fn look(root: &Path) -> Seen {
    let mut unreadable = Vec::new();
    let mut text = |path: &str| read(root, path, &mut unreadable).unwrap_or_default();
    let meminfo = text("proc/meminfo");
    let cpuinfo = text("proc/cpuinfo");
    let uptime = text("proc/uptime");
    let kernel = text("proc/sys/kernel/osrelease").trim().to_owned();
    let dmi_folder = root.join("sys/class/dmi/id");
    let dmi = host::dmi(&|name| {
        let path = dmi_folder.join(name);
        file::read_text(&path, LIMIT).ok()
    });
    for name in ["product_serial", "product_uuid", "board_serial"] {
        note_unreadable(&dmi_folder.join(name), &mut unreadable);
    }
    let table = root.join("sys/firmware/dmi/tables/DMI");
    note_unreadable(&table, &mut unreadable);
    let soc = file::read_text(&root.join("sys/devices/soc0/serial_number"), LIMIT).ok();
    let facts = HostFacts {
        arch: std::env::consts::ARCH.to_owned(),
        kernel,
        firmware: if root.join("sys/firmware/efi").exists() {
            Firmware::Uefi
        } else {
            Firmware::Legacy
        },
        cpu: host::cpu(&cpuinfo),
        memory: host::memory(&meminfo).unwrap_or_default(),
        memory_installed: file::read(&table, LIMIT)
            .ok()
            .and_then(|bytes| installed_memory(&bytes)),
        dmi,
        device_tree: host::device_tree(
            &|name| file::read(&root.join("proc/device-tree").join(name), LIMIT).ok(),
            soc.as_deref(),
        ),
        disks: disks(root),
        links: links(root),
        modaliases: module::modaliases(root).into_iter().collect(),
        uptime: host::uptime(&uptime).unwrap_or_default(),
        clock: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
    };
    Seen { facts, unreadable }
}

fn read(root: &Path, path: &str, unreadable: &mut Vec<String>) -> Option<String> {
    let full = root.join(path);
    note_unreadable(&full, unreadable);
    file::read_text(&full, LIMIT).ok()
}

fn note_unreadable(path: &Path, unreadable: &mut Vec<String>) {
    if path.exists() && fs::File::open(path).is_err() {
        unreadable.push(path.display().to_string());
    }
}

/// The disks that could be installed on or from.
pub fn disks(root: &Path) -> Vec<Disk> {
    let links = names_of_disks(root);
    names(&root.join("sys/block"))
        .into_iter()
        .filter(|name| is_disk_name(name))
        .filter_map(|name| disk(root, &name, &links))
        .collect()
}

fn disk(root: &Path, name: &str, links: &[(String, String)]) -> Option<Disk> {
    let folder = root.join("sys/block").join(name);
    let device = real(&folder);
    let mut disk = host::disk(
        name,
        &device.to_string_lossy(),
        &|path| file::read(&folder.join(path), LIMIT).ok(),
        names(&folder.join("holders")),
    )?;
    disk.partitions = names(&folder)
        .iter()
        .filter(|entry| folder.join(entry).join("partition").exists())
        .filter_map(|entry| partition(&folder, entry))
        .collect();
    disk.partitions.sort_by_key(|one| one.number);
    disk.modaliases = parents_modaliases(root, &device);
    disk.links = links
        .iter()
        .filter(|(_, target)| target == name)
        .map(|(link, _)| link.clone())
        .collect();
    Some(disk)
}

fn partition(disk: &Path, name: &str) -> Option<PartitionFact> {
    let folder = disk.join(name);
    let text = |attribute: &str| file::read_text(&folder.join(attribute), LIMIT).ok();
    PartitionFact::parse(
        name,
        &text("partition")?,
        &text("start")?,
        &text("size")?,
        names(&folder.join("holders")),
    )
}

/// `/dev/disk/by-*/*` and what each points at. Only where udev runs; the ISO has none.
fn names_of_disks(root: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for kind in names(&root.join("dev/disk")) {
        let folder = root.join("dev/disk").join(&kind);
        for name in names(&folder) {
            let target = fs::read_link(folder.join(&name)).ok();
            if let Some(target) = target.as_deref().and_then(Path::file_name) {
                let target = target.to_string_lossy().into_owned();
                all.push((format!("/dev/disk/{kind}/{name}"), target));
            }
        }
    }
    all
}

/// The network interfaces.
pub fn links(root: &Path) -> Vec<Link> {
    let slots = slots(root);
    let class = root.join("sys/class/net");
    names(&class)
        .into_iter()
        // `bonding_masters` is a file among the interfaces.
        .filter(|name| class.join(name).is_dir())
        .map(|name| link(root, &class.join(&name), &name, &slots))
        .collect()
}

/// Numbers of the slots by the PCI address of what is in them, `domain:bus:slot`.
fn slots(root: &Path) -> BTreeMap<String, u32> {
    let folder = root.join("sys/bus/pci/slots");
    let numbered = names(&folder).into_iter().filter_map(|name| {
        let address = file::read_text(&folder.join(&name).join("address"), LIMIT).ok()?;
        Some((address.trim().to_owned(), name.parse().ok()?))
    });
    numbered.collect()
}

fn link(root: &Path, folder: &Path, name: &str, slots: &BTreeMap<String, u32>) -> Link {
    let device = real(folder);
    let attribute = |path: &str| {
        // Some attributes answer EINVAL while the interface is down.
        file::read_text(&folder.join(path), LIMIT).ok()
    };
    // A member of a bond shows the bond's address as its own.
    let permanent = attribute("bonding_slave/perm_hwaddr");
    let permanent = permanent.as_deref().map(str::trim);
    let mut link = host::link(name, &device.to_string_lossy(), permanent, &attribute);
    if link.is_wired() {
        let path = device.to_string_lossy();
        let slot = host::pci_address(&path).and_then(|at| {
            let address = format!("{:04x}:{:02x}:{:02x}", at.domain, at.bus, at.slot);
            slots.get(&address).copied()
        });
        link.later_names = host::later_names(&link.mac, &path, slot, &attribute);
    }
    link.modaliases = parents_modaliases(root, &device);
    link
}

/// Modaliases of a device and of its parents, up to `/sys/devices`, as far as a module drives them.
///
/// What is built into the kernel (bridges, the virtio bus) is left out: `modules.alias` never names
/// it, and `modules.builtin.modinfo` has aliases only from Linux 6.17 on, so no image could be
/// found to serve it. The folder of a built-in module in sysfs has no `initstate`.
fn parents_modaliases(root: &Path, device: &Path) -> Vec<String> {
    let top = real(&root.join("sys/devices"));
    let texts: Vec<String> = device
        .ancestors()
        .take_while(|folder| folder.starts_with(&top) && *folder != top)
        .filter(|folder| folder.join("driver/module/initstate").exists())
        .filter_map(|folder| file::read_text(&folder.join("modalias"), LIMIT).ok())
        .collect();
    host::modaliases(texts.iter().map(String::as_str))
}

/// The folder behind the links of sysfs; the path itself when it is none.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Names in a folder, sorted; a folder that is not there has none.
fn names(folder: &Path) -> Vec<String> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .map(|entries| {
            entries
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect()
        })
        .unwrap_or_default();
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use burin_core::host::{Bus, LinkBus};
    use std::os::unix::fs::symlink;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// An edge box: one NVMe disk with a partition, one USB stick, one network card.
    fn box_tree(root: &Path) {
        put(root, "proc/meminfo", "MemTotal:       16303108 kB\n");
        put(
            root,
            "proc/cpuinfo",
            "processor : 0\nmodel name : Xeon D\n\nprocessor : 1\n",
        );
        put(root, "proc/uptime", "12.50 20.00\n");
        put(root, "proc/sys/kernel/osrelease", "6.12.48+deb13-amd64\n");
        put(root, "sys/class/dmi/id/sys_vendor", "Supermicro\n");
        put(root, "sys/firmware/efi/fw_platform_size", "64\n");
        let pci = "sys/devices/pci0000:00/0000:00:03.0";
        put(root, &format!("{pci}/modalias"), "pci:v00008086d0000A80A\n");
        put(root, &format!("{pci}/driver/module/initstate"), "live\n");
        // Driven by what is built in: no module to ask an image for.
        put(root, "sys/devices/pci0000:00/modalias", "acpi:PNP0A08:\n");
        let nvme = format!("{pci}/nvme/nvme0/nvme0n1");
        put(root, &format!("{nvme}/size"), "250069680\n");
        put(root, &format!("{nvme}/queue/rotational"), "0\n");
        put(root, &format!("{nvme}/queue/logical_block_size"), "4096\n");
        put(root, &format!("{nvme}/holders/dm-0"), "");
        put(root, &format!("{nvme}/nvme0n1p1/partition"), "1\n");
        put(root, &format!("{nvme}/nvme0n1p1/start"), "2048\n");
        put(root, &format!("{nvme}/nvme0n1p1/size"), "4096\n");
        let net = format!("{pci}/net/eth0");
        put(root, &format!("{net}/address"), "52:54:00:12:34:56\n");
        put(root, &format!("{net}/carrier"), "1\n");
        let usb = "sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/host6/sda";
        put(root, &format!("{usb}/size"), "60062500\n");
        for name in ["loop0", "sr0"] {
            put(root, &format!("sys/block/{name}/size"), "8\n");
        }
        symlink(root.join(&nvme), root.join("sys/block/nvme0n1")).unwrap();
        symlink(root.join(usb), root.join("sys/block/sda")).unwrap();
        fs::create_dir_all(root.join("sys/class/net")).unwrap();
        symlink(root.join(&net), root.join("sys/class/net/eth0")).unwrap();
        put(root, "sys/class/net/bonding_masters", "");
        fs::create_dir_all(root.join("dev/disk/by-id")).unwrap();
        symlink("../../nvme0n1", root.join("dev/disk/by-id/nvme-X1")).unwrap();
    }

    #[test]
    fn a_member_of_a_bond_keeps_its_own_address_and_the_names_to_come() {
        let root = tempfile::tempdir().unwrap();
        let path = root
            .path()
            .join("sys/devices/pci0000:00/0000:03:00.0/net/eth0");
        fs::create_dir_all(path.join("bonding_slave")).unwrap();
        fs::write(path.join("address"), "a8:a1:59:00:00:01\n").unwrap();
        fs::write(
            path.join("bonding_slave/perm_hwaddr"),
            "a8:a1:59:00:00:02\n",
        )
        .unwrap();
        let slot = root.path().join("sys/bus/pci/slots/192");
        fs::create_dir_all(&slot).unwrap();
        fs::write(slot.join("address"), "0000:03:00\n").unwrap();
        fs::create_dir_all(root.path().join("sys/class/net")).unwrap();
        symlink(&path, root.path().join("sys/class/net/eth0")).unwrap();
        let found = links(root.path());
        assert_eq!(found[0].mac, "a8:a1:59:00:00:02");
        assert!(
            found[0].later_names.contains(&"ens192".to_owned()),
            "{found:?}"
        );
    }

    #[test]
    fn a_box_is_read_from_its_tree() {
        let root = tempfile::tempdir().unwrap();
        box_tree(root.path());
        let Seen { facts, unreadable } = look(root.path());
        assert_eq!(unreadable, Vec::<String>::new());
        assert_eq!(facts.firmware, Firmware::Uefi);
        assert_eq!(facts.memory, 16_303_108 * 1024);
        assert_eq!(facts.kernel, "6.12.48+deb13-amd64");
        assert_eq!(facts.uptime.as_millis(), 12_500);
        let names: Vec<_> = facts
            .disks
            .iter()
            .map(|d| (d.name.as_str(), d.bus))
            .collect();
        assert_eq!(names, [("nvme0n1", Bus::Nvme), ("sda", Bus::Usb)]);
        let disk = &facts.disks[0];
        assert_eq!((disk.size, disk.sector), (250_069_680 * 512, 4096));
        assert_eq!(disk.holders, ["dm-0"]);
        assert_eq!(disk.partitions[0].start, 2048 * 512);
        assert_eq!(disk.modaliases, ["pci:v00008086d0000A80A"]);
        assert_eq!(disk.links, ["/dev/disk/by-id/nvme-X1"]);
        assert_eq!(facts.links.len(), 1);
        assert_eq!(facts.links[0].bus, LinkBus::Onboard);
        assert!(facts.links[0].carrier);
    }

    #[test]
    fn an_empty_tree_gives_empty_facts() {
        let root = tempfile::tempdir().unwrap();
        let Seen { facts, .. } = look(root.path());
        assert_eq!(facts.firmware, Firmware::Legacy);
        assert!(facts.disks.is_empty() && facts.links.is_empty() && facts.memory == 0);
    }
}
