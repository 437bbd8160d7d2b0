use proptest::prelude::*;

use super::*;

const DEP: &str = "\
kernel/drivers/nvme/host/nvme.ko.xz: kernel/drivers/nvme/host/nvme-core.ko.xz kernel/lib/t10-pi.ko.xz
kernel/drivers/nvme/host/nvme-core.ko.xz: kernel/lib/t10-pi.ko.xz
kernel/lib/t10-pi.ko.xz:
kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/fs/mbcache.ko.xz
kernel/fs/jbd2/jbd2.ko.xz:
kernel/fs/mbcache.ko.xz:
kernel/crypto/crc32c_generic.ko.xz:
kernel/net/after.ko.xz:
";
const ALIAS: &str = "\
# Aliases extracted from modules themselves.
alias pci:v*d*sv*sd*bc01sc08i02* nvme
alias pci:v00008086d0000*sv*sd*bc*sc*i* e1000e
alias crypto-crc32c crc32c_generic
";
const SOFTDEP: &str =
    "softdep ext4 pre: crypto-crc32c post: after\nsoftdep jbd2 pre: crypto-nothing\n";

fn index() -> ModuleIndex {
    ModuleIndex::parse(&IndexFiles {
        dep: DEP,
        alias: ALIAS,
        softdep: SOFTDEP,
        builtin: "kernel/drivers/ata/ahci.ko\n",
        builtin_modinfo: "ahci.license=GPL\0ahci.alias=pci:v*d*sv*sd*bc01sc06i01*\0",
    })
}

#[test]
fn patterns_match_as_in_fnmatch() {
    for (pattern, alias, want) in [
        (
            "pci:v*d*sv*sd*bc01sc08i02*",
            "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02",
            true,
        ),
        (
            "pci:v*d*sv*sd*bc01sc08i02*",
            "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc06i01",
            false,
        ),
        ("virtio:d00000002v*", "virtio:d00000002v00001AF4", true),
        ("virtio:d00000002v*", "virtio:d00000012v00001AF4", false),
        (
            "usb:v*p*d*dc*dsc*dp*ic08isc06ip50in*",
            "usb:v0781p5581d0100dc00dsc00dp00ic08isc06ip50in00",
            true,
        ),
        ("acpi*:PNP0C0C:*", "acpi:PNP0C0C:", true),
        ("input:b*[4-7]x", "input:b05x", true),
        ("input:b*[!4-7]x", "input:b05x", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("*", "", true),
        ("", "", true),
        ("", "a", false),
        ("a[", "a[", true),
    ] {
        assert_eq!(modalias_matches(pattern, alias), want, "{pattern} {alias}");
    }
}

#[test]
fn a_hostile_pattern_ends_in_time() {
    let pattern = "*a".repeat(500);
    assert!(!modalias_matches(&pattern, &"a".repeat(499)));
    assert!(modalias_matches(&pattern, &"a".repeat(5000)));
}

#[test]
fn what_is_needed_is_loaded_first() {
    let nvme = index().load_order("pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02");
    assert_eq!(
        nvme,
        [
            "kernel/lib/t10-pi.ko.xz",
            "kernel/drivers/nvme/host/nvme-core.ko.xz",
            "kernel/drivers/nvme/host/nvme.ko.xz"
        ]
    );
    let both = index().load_order_of(["nvme-core", "nvme"]);
    assert_eq!(both, nvme);
}

#[test]
fn soft_dependencies_are_followed_and_missing_ones_passed_over() {
    assert_eq!(
        index().load_order("ext4"),
        [
            "kernel/crypto/crc32c_generic.ko.xz",
            "kernel/fs/mbcache.ko.xz",
            "kernel/fs/jbd2/jbd2.ko.xz",
            "kernel/fs/ext4/ext4.ko.xz",
            "kernel/net/after.ko.xz"
        ]
    );
}

#[test]
fn built_in_code_serves_hardware_too() {
    let index = index();
    assert!(index.serves("pci:v00008086d00002922sv1sd1bc01sc06i01"));
    assert!(index.is_builtin("ahci"));
    assert!(index.load_order("ahci").is_empty());
    assert!(!index.serves("pci:v000010DEd00001234sv1sd1bc03sc00i00"));
}

#[test]
fn names_have_underscores_and_no_suffix() {
    for (path, want) in [
        ("kernel/drivers/nvme/host/nvme-core.ko.xz", "nvme_core"),
        ("snd-hda-intel", "snd_hda_intel"),
        ("a.ko", "a"),
        ("", ""),
    ] {
        assert_eq!(module_name(path), want);
    }
}

#[test]
fn a_circle_in_the_dependencies_ends() {
    let index = ModuleIndex::parse(&IndexFiles {
        dep: "a.ko: b.ko\nb.ko: a.ko\n",
        ..IndexFiles::default()
    });
    assert_eq!(index.load_order("a"), ["b.ko", "a.ko"]);
}

#[test]
fn an_endless_chain_costs_no_stack() {
    let dep: String = (0..100_000)
        .map(|i| format!("m{i}.ko: m{}.ko\n", i + 1))
        .collect();
    let index = ModuleIndex::parse(&IndexFiles {
        dep: &dep,
        ..IndexFiles::default()
    });
    assert_eq!(index.load_order("m0").len(), MAX_CHAIN);
}

/// Plain recursion over the definition, to compare with.
fn slow(pattern: &[u8], alias: &[u8]) -> bool {
    match (pattern.split_first(), alias.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            slow(rest, alias) || alias.split_first().is_some_and(|(_, a)| slow(pattern, a))
        }
        (Some((b'?', rest)), Some((_, a))) => slow(rest, a),
        (Some((p, rest)), Some((c, a))) => p == c && slow(rest, a),
        _ => false,
    }
}

proptest! {
    #[test]
    fn the_matcher_agrees_with_the_definition(pattern in "[ab*?]{0,8}", alias in "[ab]{0,10}") {
        prop_assert_eq!(modalias_matches(&pattern, &alias), slow(pattern.as_bytes(), alias.as_bytes()));
    }

    #[test]
    fn no_text_makes_a_parser_panic(pattern in "\\PC{0,60}", text in "\\PC{0,300}") {
        let _ = modalias_matches(&pattern, &text);
        let index = ModuleIndex::parse(&IndexFiles { dep: &text, alias: &text, softdep: &text, builtin: &text, builtin_modinfo: &text });
        let _ = (index.load_order(&pattern), index.serves(&pattern));
    }
}

#[test]
fn controllers_of_disks_are_known_by_their_modalias() {
    for (alias, want) in [
        (
            "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02",
            true,
        ),
        (
            "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01",
            true,
        ),
        (
            "pci:v00001217d00008620sv00000000sd00000000bc08sc05i01",
            true,
        ),
        (
            "pci:v00001B36d0000000Dsv00001AF4sd00001100bc0Csc03i30",
            false,
        ),
        (
            "pci:v00001AF4d00001041sv00001AF4sd00001100bc02sc00i00",
            false,
        ),
        ("virtio:d00000002v00001AF4", true),
        ("virtio:d00000001v00001AF4", false),
        ("of:NmmcT(null)Cnvidia,tegra234-sdhci", true),
        ("acpi:PNP0303:", false),
        ("", false),
    ] {
        assert_eq!(drives_disks(alias), want, "{alias}");
    }
}
