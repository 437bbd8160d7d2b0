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
        modaliases: Vec::new(),
    }
}

fn driver_of(uevent: &str) -> Option<String> {
    uevent
        .lines()
        .find_map(|line| line.strip_prefix("DRIVER="))
        .map(clean)
}
