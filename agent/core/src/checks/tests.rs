use super::*;
use crate::host::{Bus, Cpu, Link, LinkBus};

fn good() -> HostFacts {
    HostFacts {
        arch: "x86_64".to_owned(),
        firmware: Firmware::Uefi,
        cpu: Cpu {
            cores: 4,
            threads: 4,
            model: String::new(),
        },
        memory: 8_005_836 * 1024,
        memory_installed: Some(8 * GIB),
        disks: vec![disk("nvme0n1", 128_000_000_000, Bus::Nvme)],
        links: vec![Link {
            name: "eth0".to_owned(),
            bus: LinkBus::Onboard,
            carrier: true,
            ..Link::default()
        }],
        clock: 1_800_000_000,
        ..HostFacts::default()
    }
}

fn disk(name: &str, size: u64, bus: Bus) -> Disk {
    Disk {
        name: name.to_owned(),
        size,
        bus,
        ..Disk::default()
    }
}

fn need() -> Requirements {
    Requirements {
        clock_floor: 1_790_000_000,
        ..Requirements::default()
    }
}

fn severity(facts: &HostFacts, name: &str) -> Severity {
    let findings = gate(facts, &need(), Some("sdz"), &Lowered::new());
    findings.iter().find(|f| f.name == name).unwrap().severity
}

#[test]
fn a_good_box_passes_every_check() {
    let findings = gate(&good(), &need(), None, &Lowered::new());
    assert_eq!(
        findings.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(),
        NAMES
    );
    for finding in &findings {
        assert_eq!(finding.severity, Severity::Ok, "{finding:?}");
        assert!(finding.advice.is_empty());
    }
    assert!(!is_blocked(&findings));
}

#[test]
fn a_box_sold_with_8_gb_passes_and_one_with_6_does_not() {
    for (installed, seen, want) in [
        (Some(8 * GIB), 7 * GIB, Severity::Ok),
        (Some(8 * GIB), 8 * GIB - 2 * GIB - GIB / 2, Severity::Ok),
        (Some(8 * GIB), 4 * GIB, Severity::Block),
        (Some(6 * GIB), 6 * GIB, Severity::Block),
        (Some(16 * GIB), 15 * GIB, Severity::Ok),
        (None, 8 * GIB - GIB - GIB / 2, Severity::Ok),
        (None, 6 * GIB, Severity::Block),
        (None, 0, Severity::Block),
    ] {
        let mut box_ = good();
        (box_.memory_installed, box_.memory) = (installed, seen);
        assert_eq!(severity(&box_, "memory.size"), want, "{installed:?} {seen}");
    }
}

#[test]
fn arm64_is_for_jetson_only() {
    for (arch, compatible, want) in [
        ("x86_64", "", Severity::Ok),
        ("aarch64", "nvidia,tegra234", Severity::Ok),
        ("aarch64", "brcm,bcm2711", Severity::Block),
        ("aarch64", "", Severity::Block),
        ("riscv64", "nvidia,tegra234", Severity::Block),
    ] {
        let mut box_ = good();
        box_.arch = arch.to_owned();
        box_.device_tree.compatible = vec![compatible.to_owned()];
        assert_eq!(severity(&box_, "cpu.arch"), want, "{arch} {compatible}");
    }
}

#[test]
fn the_main_disk_is_large_an_ssd_and_inside() {
    let spinning = Disk {
        rotational: true,
        ..disk("sda", 4_000_000_000_000, Bus::Ata)
    };
    for (disks, size, ssd) in [
        (vec![], Severity::Block, Severity::Block),
        (
            vec![disk("sda", 99_999_999_999, Bus::Ata)],
            Severity::Block,
            Severity::Ok,
        ),
        (
            vec![disk("sda", 100_000_000_000, Bus::Ata)],
            Severity::Ok,
            Severity::Ok,
        ),
        (vec![spinning.clone()], Severity::Ok, Severity::Block),
        (
            vec![spinning, disk("sdb", 120_000_000_000, Bus::Ata)],
            Severity::Ok,
            Severity::Ok,
        ),
        (
            vec![disk("sdb", 200_000_000_000, Bus::Usb)],
            Severity::Block,
            Severity::Block,
        ),
        (
            vec![disk("sdz", 200_000_000_000, Bus::Ata)],
            Severity::Block,
            Severity::Block,
        ),
    ] {
        let mut box_ = good();
        box_.disks = disks;
        assert_eq!(severity(&box_, "storage.size"), size, "{:?}", box_.disks);
        assert_eq!(severity(&box_, "storage.ssd"), ssd, "{:?}", box_.disks);
    }
}

#[test]
fn few_cores_and_legacy_firmware_block() {
    let mut box_ = good();
    box_.cpu.cores = 1;
    box_.firmware = Firmware::Legacy;
    assert_eq!(severity(&box_, "cpu.cores"), Severity::Block);
    assert_eq!(severity(&box_, "firmware.uefi"), Severity::Block);
}

#[test]
fn a_wrong_clock_and_a_missing_cable_only_warn() {
    for (clock, want) in [
        (0, Severity::Warn),
        (1_789_999_999, Severity::Warn),
        (1_790_000_000, Severity::Ok),
        (1_790_000_000 + TEN_YEARS, Severity::Ok),
        (1_790_000_001 + TEN_YEARS, Severity::Warn),
    ] {
        let mut box_ = good();
        box_.clock = clock;
        assert_eq!(severity(&box_, "clock.sane"), want, "{clock}");
    }
    let mut box_ = good();
    box_.links[0].carrier = false;
    assert_eq!(severity(&box_, "network.link"), Severity::Warn);
    box_.links.clear();
    assert_eq!(severity(&box_, "network.link"), Severity::Block);
}

#[test]
fn only_the_named_check_is_lowered() {
    let mut box_ = good();
    box_.disks[0].rotational = true;
    box_.cpu.cores = 1;
    let lowered = Lowered::from([
        ("storage.ssd".to_owned(), Severity::Warn),
        ("memory.size".to_owned(), Severity::Warn),
    ]);
    let findings = gate(&box_, &need(), None, &lowered);
    let of = |name: &str| findings.iter().find(|f| f.name == name).unwrap();
    assert_eq!(of("storage.ssd").severity, Severity::Warn);
    assert!(
        of("storage.ssd")
            .advice
            .starts_with("lowered by burin.checks")
    );
    assert_eq!(of("cpu.cores").severity, Severity::Block);
    assert_eq!(of("memory.size").severity, Severity::Ok, "never raised");
    assert!(is_blocked(&findings));
}

#[test]
fn the_clock_is_told_by_its_day_so_that_a_look_tells_nothing_new() {
    for (seconds, want) in [
        (0, "1970-01-01"),
        (951_782_400, "2000-02-29"),
        (951_868_800, "2000-03-01"),
        (1_767_225_599, "2025-12-31"),
        (1_767_225_600, "2026-01-01"),
        (4_107_542_400, "2100-03-01"),
    ] {
        assert_eq!(date::day(seconds), want);
    }
    let mut later = good();
    later.clock += 1;
    let all = |facts: &HostFacts| gate(facts, &need(), None, &Lowered::default());
    assert_eq!(all(&good()), all(&later));
}
