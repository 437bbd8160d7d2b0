//! The hardware gate and what must be known in bytes before the first write.

use burin_api::desired::Desired;
use burin_api::event::{Finding, Severity};
use burin_core::checks::{self, Requirements};
use burin_core::host::HostFacts;
use burin_core::layout::{Layout, Refusal};
use burin_core::preflight::{Room, preflight};
use burin_core::userdata::UserData;

/// Bytes of an installer that cannot be measured because its medium is gone: no ISO is larger.
const INSTALLER: u64 = 64 << 20;

/// The findings about a host. `floor` is in milliseconds since 1970.
pub(super) fn hardware(
    facts: &HostFacts,
    data: &UserData,
    boot_medium: Option<&str>,
    floor: u64,
) -> Vec<Finding> {
    let need = Requirements {
        clock_floor: floor / 1000,
        ..Requirements::default()
    };
    checks::gate(facts, &need, boot_medium, &data.checks)
}

/// The findings about a release on this host, before anything is erased. `installer` are the bytes
/// of kernel, initramfs and user-data on the medium.
pub(super) fn release(
    desired: &Desired,
    facts: &HostFacts,
    layout: &Layout,
    installer: Option<u64>,
) -> Vec<Finding> {
    let room = Room {
        system: layout.system.size,
        esp: layout.esp.size,
        memory: facts.memory,
        installer: installer.unwrap_or(INSTALLER),
    };
    preflight(desired, room)
}

/// A refused choice of the disk, as a finding: it stands on consoles and in the hub like the others.
pub(super) fn refusal(refusal: &Refusal) -> Finding {
    Finding {
        name: "storage.choice".to_owned(),
        measured: refusal.to_string(),
        required: "one disk that may be erased".to_owned(),
        severity: Severity::Block,
        advice: match refusal {
            Refusal::Live { .. } => "Remove the installer's medium and start from the disk.",
            Refusal::Several { .. } | Refusal::NoMatch { .. } => {
                "Name the disk by install.device in the user-data, or by its serial in the hub."
            }
            Refusal::Foreign { .. } => {
                "Save the data and allow to erase the disk, or name it in the hub."
            }
            Refusal::None { .. } | Refusal::Unreadable { .. } => {
                "Add a disk or replace the bad one."
            }
        }
        .to_owned(),
    }
}
