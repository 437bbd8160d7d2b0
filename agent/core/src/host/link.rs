//! Network cards as `/sys/class/net` shows them.

use serde::{Deserialize, Serialize};

use super::clean;

/// A network interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Link {
    pub name: String,
    /// Permanent hardware address, lower case with colons; the present one where the card does not
    /// tell the permanent one.
    pub mac: String,
    pub bus: LinkBus,
    pub wireless: bool,
    /// Whether a cable with somebody at the other end is in it.
    pub carrier: bool,
    /// Megabits per second; none when down or unknown.
    pub speed: Option<u32>,
    /// Kernel module that drives it.
    pub driver: String,
    /// Names that udev may give it on an installed host (systemd.net-naming-scheme(7)): the
    /// installer has no udev, and user-data is written with these names.
    pub later_names: Vec<String>,
    /// Modaliases of the card and of its parents, where a module drives them.
    pub modaliases: Vec<String>,
}

/// Where a network interface sits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkBus {
    /// PCI, platform and the like: part of the machine.
    Onboard,
    Usb,
    /// Bridges, bonds, tunnels, loopback: no hardware at all.
    #[default]
    Virtual,
}

impl Link {
    /// Whether it is a wired card: the ones on which the installer asks for addresses.
    pub fn is_wired(&self) -> bool {
        self.bus != LinkBus::Virtual && !self.wireless
    }
}

/// Reads one interface.
///
/// `attribute` returns the text of a file below `/sys/class/net/<name>` (reading `carrier` of a
/// link that is down is an error there: none means no carrier). `device` is the real path of its
/// folder under `/sys/devices`, `permanent` the address that `ethtool` calls permanent.
pub fn link(
    name: &str,
    device: &str,
    permanent: Option<&str>,
    attribute: &dyn Fn(&str) -> Option<String>,
) -> Link {
    let text = |path: &str| attribute(path).map(|t| clean(&t)).unwrap_or_default();
    let bus = if device.contains("/virtual/") || device.is_empty() {
        LinkBus::Virtual
    } else if device.contains("/usb") {
        LinkBus::Usb
    } else {
        LinkBus::Onboard
    };
    let mac = permanent
        .map(str::to_owned)
        .filter(|m| !m.is_empty() && m != "00:00:00:00:00:00")
        .unwrap_or_else(|| text("address"))
        .to_ascii_lowercase();
    Link {
        name: name.to_owned(),
        mac,
        bus,
        wireless: attribute("phy80211/index").is_some() || text("uevent").contains("DEVTYPE=wlan"),
        carrier: text("carrier") == "1",
        // Unknown is -1 there.
        speed: text("speed").parse().ok(),
        driver: attribute("device/uevent")
            .and_then(|t| driver_of(&t))
            .unwrap_or_default(),
        later_names: Vec::new(),
        modaliases: Vec::new(),
    }
}

/// The names that udev may give to a wired card.
///
/// `device` and `attribute` are as for [`link()`]; `slot` is the number of the slot that the firmware
/// says the card is in (`/sys/bus/pci/slots`).
pub fn later_names(
    mac: &str,
    device: &str,
    slot: Option<u32>,
    attribute: &dyn Fn(&str) -> Option<String>,
) -> Vec<String> {
    let number = |path: &str| attribute(path).and_then(|text| clean(&text).parse::<u32>().ok());
    let port = match (attribute("phys_port_name"), number("dev_port")) {
        (Some(name), _) if !clean(&name).is_empty() => format!("n{}", clean(&name)),
        (_, Some(port)) if port > 0 => format!("d{port}"),
        _ => String::new(),
    };
    let mut stems = Vec::new();
    if let Some(index) = number("device/acpi_index").or_else(|| number("device/index")) {
        stems.push(format!("eno{index}"));
    }
    if let Some(address) = pci_address(device) {
        // Whether a device has further functions is in its configuration space: both may be right.
        let function = match address.function {
            0 => vec![String::new(), "f0".to_owned()],
            function => vec![format!("f{function}")],
        };
        let domain = match address.domain {
            0 => String::new(),
            domain => format!("P{domain}"),
        };
        for function in function {
            stems.extend(slot.map(|slot| format!("en{domain}s{slot}{function}")));
            let (bus, slot) = (address.bus, address.slot);
            stems.push(format!("en{domain}p{bus}s{slot}{function}"));
        }
    }
    let mut names: Vec<String> = stems.iter().map(|stem| format!("{stem}{port}")).collect();
    if !mac.is_empty() {
        names.push(format!("enx{}", mac.replace(':', "")));
    }
    names
}

/// Where a PCI function is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PciAddress {
    pub domain: u32,
    pub bus: u32,
    pub slot: u32,
    pub function: u32,
}

/// The last PCI function on the path of a device: bridges come before it. None for USB, where the
/// function is the controller.
#[must_use]
pub fn pci_address(device: &str) -> Option<PciAddress> {
    if device.contains("/usb") {
        return None;
    }
    device.rsplit('/').find_map(|part| {
        let (domain, rest) = part.split_once(':')?;
        let (bus, rest) = rest.split_once(':')?;
        let (slot, function) = rest.split_once('.')?;
        let number = |text: &str| u32::from_str_radix(text, 16).ok();
        let fits = domain.len() >= 4 && bus.len() == 2 && slot.len() == 2 && function.len() == 1;
        fits.then_some(PciAddress {
            domain: number(domain)?,
            bus: number(bus)?,
            slot: number(slot)?,
            function: number(function)?,
        })
    })
}

fn driver_of(uevent: &str) -> Option<String> {
    uevent
        .lines()
        .find_map(|line| line.strip_prefix("DRIVER="))
        .map(clean)
}
