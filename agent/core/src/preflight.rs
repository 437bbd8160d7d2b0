//! Everything that can be known before the first write: bytes, kernel features, drivers.
//!
//! The facts come from publishing the release, so a host refuses before it erases anything.

use burin_api::desired::{Desired, Layer, LayerKind, Release};
use burin_api::event::{Finding, Severity};

/// Room that the host offers. All in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub system: u64,
    pub esp: u64,
    /// Memory that the kernel can use.
    pub memory: u64,
    /// Kernel and initramfs of the installer, which become the recovery entry.
    pub installer: u64,
}

/// Bytes on the system partition for one byte of content: measured 1.8 with a plain import, with
/// verity blocks (one eighth is the worst case of small files) and rounding to 4 KiB.
const STORE_PERCENT: u64 = 150;
/// Rounding, inode and directory entry of one file in the store.
const STORE_PER_FILE: u64 = 4096 + 512;
/// Journal, superblocks, logs, generations: never given to content.
const SYSTEM_RESERVE: u64 = 512 << 20;
/// The agent and its libraries in an initramfs beside the modules.
const INITRAMFS_BASE: u64 = 16 << 20;
/// Loader, entries, FAT itself.
const ESP_RESERVE: u64 = 4 << 20;
/// Streams, merge tree and page cache of an installation beyond the unpacked installer.
const MEMORY_RESERVE: u64 = 256 << 20;

/// The options that a sealed root stands on (`docs/base-images.md` says from which kernel on).
const KERNEL_OPTIONS: [&str; 3] = ["CONFIG_EROFS_FS", "CONFIG_OVERLAY_FS", "CONFIG_FS_VERITY"];
/// overlayfs `verity=require` with data-only lower layers came with this kernel.
const OLDEST_KERNEL: (u32, u32) = (6, 6);

/// Holds a release against a host. Nothing may be written while one finding is of class *block*.
#[must_use]
pub fn preflight(desired: &Desired, room: Room) -> Vec<Finding> {
    let release = &desired.release;
    let mut findings = vec![
        system_bytes(release, room),
        esp_bytes(release, room),
        memory(room),
    ];
    findings.extend(kernel(release));
    findings.push(drivers(&desired.unserved));
    findings
}

/// Bytes that the release needs on the system partition.
#[must_use]
pub fn system_need(release: &Release) -> u64 {
    let (bytes, files) = release
        .layers
        .iter()
        .fold((0_u64, 0_u64), |(bytes, files), layer| {
            (
                bytes.saturating_add(layer.facts.content_bytes),
                files.saturating_add(layer.facts.files),
            )
        });
    (bytes / 100)
        .saturating_mul(STORE_PERCENT)
        .saturating_add(files.saturating_mul(STORE_PER_FILE))
        .saturating_add(SYSTEM_RESERVE)
}

/// Bytes that the release's kernel and initramfs need on the ESP, beside the installer.
#[must_use]
pub fn esp_need(release: &Release) -> u64 {
    os(release).map_or(0, |os| {
        os.facts
            .kernel_bytes
            .saturating_add(os.facts.boot_module_bytes)
            .saturating_add(INITRAMFS_BASE)
    })
}

fn os(release: &Release) -> Option<&Layer> {
    release
        .layers
        .iter()
        .find(|layer| layer.kind == LayerKind::Os)
}

fn system_bytes(release: &Release, room: Room) -> Finding {
    bytes(
        "preflight.system",
        room.system,
        system_need(release),
        "give the system partition more room (`install.system-size`) or take a smaller image",
    )
}

fn esp_bytes(release: &Release, room: Room) -> Finding {
    let need = esp_need(release)
        .saturating_add(room.installer)
        .saturating_add(ESP_RESERVE);
    bytes(
        "preflight.esp",
        room.esp,
        need,
        "take an image with a smaller kernel or fewer storage modules",
    )
}

fn memory(room: Room) -> Finding {
    // The installer's initramfs is unpacked in memory: twice its packed size is the worst seen.
    let need = MEMORY_RESERVE.saturating_add(room.installer.saturating_mul(2));
    bytes("preflight.memory", room.memory, need, "add memory")
}

fn bytes(name: &str, have: u64, need: u64, advice: &str) -> Finding {
    let fits = have >= need;
    Finding {
        name: name.to_owned(),
        measured: format!("{have} bytes"),
        required: format!("{need} bytes"),
        severity: if fits { Severity::Ok } else { Severity::Block },
        advice: if fits {
            String::new()
        } else {
            advice.to_owned()
        },
    }
}

fn kernel(release: &Release) -> Vec<Finding> {
    let Some(os) = os(release) else {
        return vec![block(
            "preflight.os",
            "no OS layer",
            "one",
            "add an `os` layer to the profile",
        )];
    };
    let facts = &os.facts;
    let mut findings = Vec::new();
    findings.push(kernel_release(facts.kernel.as_deref()));
    if let Some(problem) = &facts.kernel_problem {
        findings.push(block(
            "preflight.kernel",
            problem,
            "storage and file-system modules that can be found and loaded",
            "install the kernel's module package and run depmod in the image, or take another kernel",
        ));
    }
    if !facts.has_systemd {
        findings.push(block(
            "preflight.init",
            "no systemd in the OS image",
            "systemd",
            "install systemd into the image",
        ));
    }
    for option in KERNEL_OPTIONS {
        // An image that ships no configuration is checked again on its modules after the pull.
        if let Some(value) = facts.kernel_config.get(option)
            && value == "n"
        {
            findings.push(block(
                "preflight.kernel",
                &format!("{option} is not set"),
                &format!("{option}=y or m"),
                "take an image whose kernel has it",
            ));
        }
    }
    if facts.selinux_enforcing && !release.cmdline.iter().any(|word| word == "selinux=0") {
        findings.push(block(
            "preflight.selinux",
            "SELinux enforces, the merged root has no labels",
            "selinux: off",
            "write `selinux: off` into the profile",
        ));
    }
    findings
}

fn kernel_release(kernel: Option<&str>) -> Finding {
    match kernel {
        None => block(
            "preflight.kernel",
            "no kernel in the OS image",
            "a kernel of 6.6 or later",
            "install a kernel package into the image",
        ),
        Some(version) if release_of(version).is_none_or(|found| found < OLDEST_KERNEL) => block(
            "preflight.kernel",
            version,
            "6.6 or later",
            "take an image with a newer kernel",
        ),
        Some(version) => fine("preflight.kernel", version, "6.6 or later"),
    }
}

/// Major and minor of a kernel release such as `6.12.48+deb13-amd64`.
fn release_of(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.splitn(3, |c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn drivers(unserved: &[String]) -> Finding {
    if unserved.is_empty() {
        return fine(
            "preflight.drivers",
            "all served",
            "disk and network drivers",
        );
    }
    // A console line has no room for all of them; the count tells that there are more.
    let shown: Vec<&str> = unserved.iter().take(3).map(String::as_str).collect();
    block(
        "preflight.drivers",
        &format!("{} without a driver: {}", unserved.len(), shown.join(", ")),
        "a driver in the OS image for the disk and the network card",
        "the box would go dark after the reboot; add the driver to the image or as an extra layer",
    )
}

fn fine(name: &str, measured: &str, required: &str) -> Finding {
    Finding {
        name: name.to_owned(),
        measured: measured.to_owned(),
        required: required.to_owned(),
        severity: Severity::Ok,
        advice: String::new(),
    }
}

fn block(name: &str, measured: &str, required: &str, advice: &str) -> Finding {
    Finding {
        name: name.to_owned(),
        measured: measured.to_owned(),
        required: required.to_owned(),
        severity: Severity::Block,
        advice: advice.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use burin_api::desired::{Health, LayerFacts};

    use super::*;

    const ROOM: Room = Room {
        system: 24 << 30,
        esp: 1 << 30,
        memory: 8 << 30,
        installer: 40 << 20,
    };

    fn desired(change: impl FnOnce(&mut Desired)) -> Desired {
        let layer = Layer {
            kind: LayerKind::Os,
            name: "os".into(),
            registry: String::new(),
            repository: String::new(),
            reference: String::new(),
            manifest: String::new(),
            resolved: String::new(),
            verify: Vec::new(),
            blobs: Vec::new(),
            files: BTreeMap::new(),
            inline: BTreeMap::new(),
            replaces_system: false,
            facts: LayerFacts {
                content_bytes: 240 << 20,
                files: 7400,
                kernel: Some("6.12.48+deb13-amd64".into()),
                kernel_bytes: 12 << 20,
                boot_module_bytes: 20 << 20,
                has_systemd: true,
                ..LayerFacts::default()
            },
        };
        let mut desired = Desired {
            assignment: 1,
            release: Release {
                name: "p".into(),
                version: "1".into(),
                layers: vec![layer],
                kubernetes: None,
                health: Health::default(),
                cmdline: Vec::new(),
                registries: Vec::new(),
            },
            signed: None,
            disk: None,
            unserved: Vec::new(),
        };
        change(&mut desired);
        desired
    }

    fn blocks(desired: &Desired, room: Room) -> Vec<String> {
        preflight(desired, room)
            .into_iter()
            .filter(|finding| finding.severity == Severity::Block)
            .map(|finding| finding.name)
            .collect()
    }

    #[test]
    fn a_plain_image_fits_a_plain_box() {
        assert_eq!(blocks(&desired(|_| {}), ROOM), Vec::<String>::new());
    }

    #[test]
    fn too_little_room_is_refused_by_the_byte() {
        let wanted = desired(|_| {});
        let need = system_need(&wanted.release);
        for (system, blocked) in [(need, false), (need - 1, true)] {
            assert_eq!(
                !blocks(&wanted, Room { system, ..ROOM }).is_empty(),
                blocked
            );
        }
        let esp = esp_need(&wanted.release) + ROOM.installer + ESP_RESERVE;
        for (esp, blocked) in [(esp, false), (esp - 1, true)] {
            assert_eq!(!blocks(&wanted, Room { esp, ..ROOM }).is_empty(), blocked);
        }
        assert_eq!(
            blocks(
                &wanted,
                Room {
                    memory: 64 << 20,
                    ..ROOM
                }
            ),
            ["preflight.memory"]
        );
    }

    #[test]
    fn what_the_kernel_lacks_is_named() {
        type Change = fn(&mut Desired);
        let rows: [(Change, &str); 7] = [
            (
                |d| d.release.layers[0].facts.kernel = None,
                "preflight.kernel",
            ),
            (
                |d| d.release.layers[0].facts.kernel = Some("5.15.0-1-generic".into()),
                "preflight.kernel",
            ),
            (
                |d| d.release.layers[0].facts.kernel = Some("vmlinuz".into()),
                "preflight.kernel",
            ),
            (
                |d| d.release.layers[0].facts.has_systemd = false,
                "preflight.init",
            ),
            (
                |d| {
                    let config = &mut d.release.layers[0].facts.kernel_config;
                    config.insert("CONFIG_FS_VERITY".into(), "n".into());
                },
                "preflight.kernel",
            ),
            (
                |d| d.release.layers[0].facts.selinux_enforcing = true,
                "preflight.selinux",
            ),
            (
                |d| d.unserved = vec!["pci:v00008086d0000".into()],
                "preflight.drivers",
            ),
        ];
        for (change, name) in rows {
            assert_eq!(blocks(&desired(change), ROOM), [name]);
        }
    }

    #[test]
    fn absurd_facts_do_not_overflow() {
        let wanted = desired(|d| {
            d.release.layers[0].facts.content_bytes = u64::MAX;
            d.release.layers[0].facts.files = u64::MAX;
            d.release.layers[0].facts.kernel_bytes = u64::MAX;
        });
        assert_eq!(blocks(&wanted, ROOM), ["preflight.system", "preflight.esp"]);
    }
}
