//! The command line of QEMU for a [`Spec`].

use std::{path::Path, process::Command};

use super::{Firmware, First, Medium, Spec};
use crate::board::{Bus, Format};

/// QEMU's name of the boot medium's device.
pub(super) const MEDIUM: &str = "medium";

/// QEMU's name of a disk's drive.
pub(super) fn drive_name(index: usize) -> String {
    format!("drive{index}")
}

/// Where Debian's `ovmf` has the variables as they leave the factory.
pub(super) fn factory_variables(firmware: Firmware) -> &'static str {
    match firmware {
        Firmware::Uefi => "/usr/share/OVMF/OVMF_VARS_4M.fd",
        Firmware::SecureBoot => "/usr/share/OVMF/OVMF_VARS_4M.ms.fd",
    }
}

/// The whole command line. `sockets` holds the listening sockets `qmp` and `serial`.
pub(super) fn command(spec: &Spec, variables: &Path, sockets: &Path) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-nodefaults", "-display", "none", "-vga", "std"])
        .args(spec.accel.arguments())
        .args(["-m", &spec.memory.to_string()])
        .args(["-smp", &spec.cores.to_string()])
        .args(["-uuid", &spec.uuid]);
    let smbios = format!(
        "type=1,manufacturer=Burin,product=Edge Box,serial=BX-0001,uuid={}",
        spec.uuid
    );
    command.args(["-smbios", &smbios]);
    firmware(&mut command, spec.firmware, variables);
    // Without its option ROM the firmware does not try the network for half a minute.
    command
        .args(["-netdev", "user,id=uplink,ipv6=off"])
        .args([
            "-device",
            "virtio-net-pci,netdev=uplink,mac=52:54:00:b0:11:01,romfile=",
        ])
        .args(["-device", "virtio-rng-pci"])
        .args(["-device", "qemu-xhci,id=usb"]);
    for (index, disk) in spec.disks.iter().enumerate() {
        let name = drive_name(index);
        let format = match disk.format {
            Format::Raw => "raw",
            Format::Overlay => "qcow2",
        };
        // The host's page cache outlives the emulator, so a cut of the emulator loses no write either way.
        let path = escape(&disk.path);
        let drive =
            format!("if=none,id={name},format={format},file={path},cache=unsafe,discard=unmap");
        let device = match disk.bus {
            Bus::Nvme => "nvme",
            Bus::Virtio => "virtio-blk-pci",
        };
        let boot = order(spec.first, First::Disk).map_or_else(String::new, |first| {
            format!(",bootindex={}", first + index * 2)
        });
        command.args(["-drive", &drive]).args([
            "-device",
            &format!("{device},drive={name},serial={}{boot}", disk.serial),
        ]);
    }
    medium(&mut command, spec);
    for (name, option) in [("qmp", "-qmp"), ("serial", "-serial")] {
        let socket = sockets.join(name);
        command.args([option, &format!("unix:{},server=off", escape(&socket))]);
    }
    command
}

fn firmware(command: &mut Command, firmware: Firmware, variables: &Path) {
    let code = match firmware {
        Firmware::Uefi => {
            command.args(["-machine", "q35"]);
            "/usr/share/OVMF/OVMF_CODE_4M.fd"
        }
        Firmware::SecureBoot => {
            // Its variables are only as safe as system management mode makes them.
            command
                .args(["-machine", "q35,smm=on"])
                .args(["-global", "driver=cfi.pflash01,property=secure,value=on"]);
            "/usr/share/OVMF/OVMF_CODE_4M.ms.fd"
        }
    };
    let variables = escape(variables);
    command
        .args([
            "-drive",
            &format!("if=pflash,format=raw,unit=0,readonly=on,file={code}"),
        ])
        .args([
            "-drive",
            &format!("if=pflash,format=raw,unit=1,file={variables}"),
        ]);
}

fn medium(command: &mut Command, spec: &Spec) {
    let (path, device) = match &spec.medium {
        None => return,
        Some(Medium::UsbStick(path)) => (path, "usb-storage,bus=usb.0,removable=on"),
        Some(Medium::Dvd(path)) => (path, "ide-cd"),
    };
    let boot = order(spec.first, First::Medium)
        .map_or_else(String::new, |index| format!(",bootindex={index}"));
    let drive = format!(
        "if=none,id=iso,format=raw,readonly=on,file={}",
        escape(path)
    );
    command
        .args(["-drive", &drive])
        .args(["-device", &format!("{device},drive=iso,id={MEDIUM}{boot}")]);
}

/// Boot index of `what`; none when the firmware's own variables decide.
fn order(first: First, what: First) -> Option<usize> {
    match first {
        First::Variables => None,
        first if first == what => Some(0),
        _ => Some(1),
    }
}

/// A comma in a value is written twice.
fn escape(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Disk;

    #[test]
    fn the_medium_comes_after_the_disks_unless_it_is_first() {
        let disk = Disk::raw(Path::new("/d"), "S1");
        let medium = Medium::UsbStick("/i".into());
        let mut spec = Spec::edge_box(vec![disk], Some(medium));
        let line = |spec: &Spec| {
            let command = command(spec, Path::new("/v"), Path::new("/s"));
            command
                .get_args()
                .map(|a| a.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert!(line(&spec).contains("serial=S1,bootindex=0"));
        assert!(line(&spec).contains("id=medium,bootindex=1"));
        spec.first = First::Medium;
        assert!(line(&spec).contains("serial=S1,bootindex=1"));
        assert!(line(&spec).contains("id=medium,bootindex=0"));
        spec.first = First::Variables;
        assert!(!line(&spec).contains("bootindex"));
    }
}
