//! The hardware gate: what a host must have, against what it has.

use std::collections::BTreeMap;

use burin_api::event::{Finding, Severity};
use serde::{Deserialize, Serialize};

use crate::date;
use crate::host::{Disk, Firmware, HostFacts};

/// Names of all findings, as `burin.checks` of user-data writes them.
pub const NAMES: [&str; 8] = [
    "cpu.arch",
    "cpu.cores",
    "memory.size",
    "storage.size",
    "storage.ssd",
    "firmware.uefi",
    "clock.sane",
    "network.link",
];

const GIB: u64 = 1 << 30;
/// A clock further than this from the newest time known to have passed is wrong, seconds.
const TEN_YEARS: u64 = 10 * 365 * 24 * 3600;

/// What a host must have. [`Default`] is what the product asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirements {
    pub cores: u32,
    /// Bytes of the memory modules, where SMBIOS lists them.
    pub memory_installed: u64,
    /// Bytes that must be left to the kernel where SMBIOS lists the modules.
    pub memory_left: u64,
    /// Bytes that the kernel must see where SMBIOS lists nothing.
    pub memory_seen: u64,
    /// Bytes of the main disk.
    pub disk: u64,
    /// The newest time known to have passed: build time or the last time the hub confirmed,
    /// seconds since 1970.
    pub clock_floor: u64,
}

impl Default for Requirements {
    /// 2 cores, 8 GB, 100 GB.
    ///
    /// A box sold as 8 GB shows less: firmware keeps up to 0.5 GiB, graphics up to 2 GiB. Where
    /// SMBIOS lists the modules, their sum decides (8 GB) and 5 GiB must be left, which is 8 GiB
    /// less the most that both keep. Where it does not, 6.5 GiB must be seen: more than a
    /// box sold as 6 GB can show, and what is left of 8 GiB after 1 GiB of graphics and 0.5 GiB.
    fn default() -> Self {
        Self {
            cores: 2,
            memory_installed: 8_000_000_000,
            memory_left: 5 * GIB,
            memory_seen: 6 * GIB + GIB / 2,
            disk: 100_000_000_000,
            clock_floor: 0,
        }
    }
}

/// Severities that user-data lowered: name of the finding, and the most that it may be.
pub type Lowered = BTreeMap<String, Severity>;

/// Every finding about a host, in the order of [`NAMES`].
///
/// `boot_medium` is the kernel name of the disk that the installer runs from: never the main disk.
pub fn gate(
    facts: &HostFacts,
    need: &Requirements,
    boot_medium: Option<&str>,
    lowered: &Lowered,
) -> Vec<Finding> {
    let mut disks: Vec<&Disk> = facts
        .disks
        .iter()
        .filter(|d| !d.is_removable() && !d.read_only && Some(d.name.as_str()) != boot_medium)
        .collect();
    disks.sort_by_key(|d| std::cmp::Reverse((d.size, !d.rotational)));
    let mut findings = vec![
        arch(facts),
        cores(facts, need),
        memory(facts, need),
        disk_size(&disks, need),
        disk_ssd(&disks, need),
        uefi(facts),
        clock(facts.clock, need.clock_floor),
        network(facts),
    ];
    for finding in &mut findings {
        lower(finding, lowered);
    }
    findings
}

/// Whether a finding stops the installation before any write.
pub fn is_blocked(findings: &[Finding]) -> bool {
    findings.iter().any(|f| f.severity == Severity::Block)
}

fn lower(finding: &mut Finding, lowered: &Lowered) {
    let Some(most) = lowered.get(&finding.name) else {
        return;
    };
    if finding.severity > *most {
        finding.severity = *most;
        finding.advice = format!("lowered by burin.checks: {}", finding.advice);
    }
}

fn finding(
    name: &str,
    measured: String,
    required: String,
    bad: Option<(Severity, &str)>,
) -> Finding {
    let (severity, advice) = bad.unwrap_or((Severity::Ok, ""));
    Finding {
        name: name.to_owned(),
        measured,
        required,
        severity,
        advice: advice.to_owned(),
    }
}

fn block_unless(ok: bool, advice: &str) -> Option<(Severity, &str)> {
    (!ok).then_some((Severity::Block, advice))
}

fn arch(facts: &HostFacts) -> Finding {
    let ok = match facts.arch.as_str() {
        "x86_64" => true,
        "aarch64" => facts.is_jetson(),
        _ => false,
    };
    let measured = match (facts.arch.as_str(), facts.device_tree.model.as_str()) {
        (arch, "") => arch.to_owned(),
        (arch, model) => format!("{arch} ({model})"),
    };
    finding(
        "cpu.arch",
        measured,
        "x86_64, or aarch64 on an NVIDIA Jetson".to_owned(),
        block_unless(ok, "use a 64-bit PC or an NVIDIA Jetson"),
    )
}

fn cores(facts: &HostFacts, need: &Requirements) -> Finding {
    finding(
        "cpu.cores",
        facts.cpu.cores.to_string(),
        format!(">= {}", need.cores),
        block_unless(
            facts.cpu.cores >= need.cores,
            "use a processor with more cores",
        ),
    )
}

fn memory(facts: &HostFacts, need: &Requirements) -> Finding {
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / GIB as f64);
    let (measured, required, ok) = match facts.memory_installed {
        Some(installed) => (
            format!("{} installed, {} usable", gib(installed), gib(facts.memory)),
            format!(
                ">= {} installed, {} usable",
                gb(need.memory_installed),
                gib(need.memory_left)
            ),
            installed >= need.memory_installed && facts.memory >= need.memory_left,
        ),
        None => (
            format!("{} usable", gib(facts.memory)),
            format!(">= {} (8 GB installed)", gib(need.memory_seen)),
            facts.memory >= need.memory_seen,
        ),
    };
    finding(
        "memory.size",
        measured,
        required,
        block_unless(
            ok,
            "add memory; if graphics keep much of it, give them less in the firmware",
        ),
    )
}

fn gb(bytes: u64) -> String {
    format!("{:.0} GB", bytes as f64 / 1e9)
}

fn show(disk: &Disk) -> String {
    let place = format!("{} on {}", gb(disk.size), disk.name);
    match disk.model.as_str() {
        "" => place,
        model => format!("{place} ({model})"),
    }
}

fn disk_size(disks: &[&Disk], need: &Requirements) -> Finding {
    let best = disks.first();
    finding(
        "storage.size",
        best.map_or_else(|| "no internal disk".to_owned(), |d| show(d)),
        format!(">= {}", gb(need.disk)),
        block_unless(
            best.is_some_and(|d| d.size >= need.disk),
            "put in a larger disk; if it has one, its controller may be in a RAID mode without driver",
        ),
    )
}

fn disk_ssd(disks: &[&Disk], need: &Requirements) -> Finding {
    // Of the disks that are large enough one must be an SSD; with none, the largest is looked at.
    let large: Vec<_> = disks.iter().filter(|d| d.size >= need.disk).collect();
    let chosen = large
        .iter()
        .find(|d| !d.rotational)
        .copied()
        .or(disks.first());
    finding(
        "storage.ssd",
        chosen.map_or_else(
            || "no internal disk".to_owned(),
            |d| {
                let kind = if d.rotational { "rotating" } else { "SSD" };
                format!("{kind}: {}", show(d))
            },
        ),
        "SSD".to_owned(),
        block_unless(
            chosen.is_some_and(|d| !d.rotational),
            "use an SSD: a control plane's datastore is too slow on a rotating disk",
        ),
    )
}

fn uefi(facts: &HostFacts) -> Finding {
    let ok = facts.firmware == Firmware::Uefi;
    finding(
        "firmware.uefi",
        if ok { "UEFI" } else { "legacy BIOS" }.to_owned(),
        "UEFI".to_owned(),
        block_unless(
            ok,
            "turn off legacy boot (CSM) in the firmware and boot the medium as UEFI",
        ),
    )
}

fn clock(clock: u64, floor: u64) -> Finding {
    let ok = clock >= floor && clock <= floor.saturating_add(TEN_YEARS);
    finding(
        "clock.sane",
        // The day alone: a finding that changes with every second is told again with every look.
        date::day(clock),
        format!("{} or at most ten years later", date::day(floor)),
        // Only a warning: the hub's signed time sets the clock.
        (!ok).then_some((
            Severity::Warn,
            "set the clock in the firmware; an empty battery shows like this",
        )),
    )
}

fn network(facts: &HostFacts) -> Finding {
    let wired: Vec<_> = facts.links.iter().filter(|l| l.is_wired()).collect();
    let up = wired.iter().filter(|l| l.carrier).count();
    let bad = if wired.is_empty() {
        Some((
            Severity::Block,
            "no wired network card has a driver: use another card",
        ))
    } else if up == 0 {
        // Only a warning: the cable may still be plugged in, and nothing is written without the hub.
        Some((Severity::Warn, "plug in a network cable"))
    } else {
        None
    };
    finding(
        "network.link",
        format!("{} wired, {up} with a cable", wired.len()),
        "one wired link with a cable".to_owned(),
        bad,
    )
}

#[cfg(test)]
mod tests;
