//! The machines behind a host's key, on its page: more than one when a disk was copied.

use super::page;
use crate::admin::types::{HostInfo, MachineInfo};

/// One machine, and whether it may be chosen.
#[derive(Debug)]
pub(super) struct MachineRow {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) hardware: String,
    /// The digits that people compare.
    pub(super) short: String,
    pub(super) first: String,
    pub(super) seen: String,
    pub(super) chosen: bool,
}

/// Nothing as long as nobody had to choose: a machine that got another network card is two here.
pub(super) fn rows(host: &HostInfo) -> Vec<MachineRow> {
    if host.state != "quarantined" && !host.machines.iter().any(|machine| machine.chosen) {
        return Vec::new();
    }
    let row = |machine: &MachineInfo| MachineRow {
        name: machine.name.clone(),
        address: machine.address.clone(),
        hardware: machine.hardware.clone(),
        short: machine.hardware.chars().take(12).collect(),
        first: page::time(machine.first_at),
        seen: page::ago(machine.seen_at),
        chosen: machine.chosen,
    };
    host.machines.iter().map(row).collect()
}
