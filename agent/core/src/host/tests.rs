use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn attributes<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<Vec<u8>> + use<'a> {
    let map: BTreeMap<_, _> = pairs.iter().copied().collect();
    move |path| map.get(path).map(|v| v.as_bytes().to_vec())
}

#[test]
fn memory_is_the_kernels_total_in_bytes() {
    for (text, want) in [
        (
            "MemTotal:       8005836 kB\nMemFree: 1 kB\n",
            Some(8_005_836 * 1024),
        ),
        ("MemFree: 1 kB\nMemTotal: 16 kB\n", Some(16 * 1024)),
        ("MemTotal: 16 MB\n", None),
        ("MemTotal: many kB\n", None),
        ("", None),
    ] {
        assert_eq!(memory(text), want, "{text:?}");
    }
}

#[test]
fn cores_are_counted_once_whatever_threads_they_have() {
    let hyper = "processor\t: 0\nmodel name\t: Intel(R) N100\nphysical id\t: 0\ncore id\t\t: 0\n\n\
                 processor\t: 1\nphysical id\t: 0\ncore id\t\t: 0\n\n\
                 processor\t: 2\nphysical id\t: 1\ncore id\t\t: 0\n";
    let got = cpu(hyper);
    assert_eq!((got.cores, got.threads), (2, 3));
    assert_eq!(got.model, "Intel(R) N100");
    let arm = "processor\t: 0\nBogoMIPS\t: 62.50\n\nprocessor\t: 1\n";
    assert_eq!(cpu(arm).cores, 2);
    assert_eq!(cpu("").cores, 0);
}

#[test]
fn dmi_values_are_trimmed_and_cleaned() {
    let got = dmi(&|name| match name {
        "product_uuid" => Some("4C4C4544-0042-3510-8051-B4C04F4A5231\n".to_owned()),
        "sys_vendor" => Some(" Dell\u{7}Inc. \n".to_owned()),
        _ => None,
    });
    assert_eq!(got.product_uuid, "4c4c4544-0042-3510-8051-b4c04f4a5231");
    assert_eq!(got.sys_vendor, "Dell?Inc.");
    assert_eq!(got.board_serial, "");
}

#[test]
fn a_jetson_is_known_by_its_device_tree() {
    let tree = |compatible: &str| HostFacts {
        device_tree: device_tree(
            &|name| (name == "compatible").then(|| compatible.as_bytes().to_vec()),
            None,
        ),
        ..HostFacts::default()
    };
    assert!(tree("nvidia,p3737-0000+p3701-0000\0nvidia,p3701-0000\0nvidia,tegra234\0").is_jetson());
    assert!(!tree("raspberrypi,4-model-b\0brcm,bcm2711\0").is_jetson());
    assert!(!tree("").is_jetson());
}

#[test]
fn uptime_has_hundredths() {
    for (text, want) in [
        (
            "350735.47 234388.90\n",
            Some(Duration::from_millis(350_735_470)),
        ),
        ("7 1\n", Some(Duration::from_secs(7))),
        ("x.y", None),
        ("", None),
    ] {
        assert_eq!(uptime(text), want, "{text:?}");
    }
}

#[test]
fn only_whole_disks_are_disks() {
    for (name, want) in [
        ("sda", true),
        ("nvme0n1", true),
        ("nvme0c1n1", false),
        ("vda", true),
        ("mmcblk0", true),
        ("mmcblk0boot0", false),
        ("mmcblk0rpmb", false),
        ("loop0", false),
        ("sr0", false),
        ("dm-0", false),
        ("md127", false),
        ("zram0", false),
        ("fd0", false),
        ("", false),
    ] {
        assert_eq!(is_disk_name(name), want, "{name}");
    }
}

#[test]
fn disks_of_every_bus_are_read() {
    let nvme = disk(
        "nvme0n1",
        "/sys/devices/pci0000:00/0000:00:03.0/nvme/nvme0/nvme0n1",
        &attributes(&[
            ("size", "250069680\n"),
            ("queue/rotational", "0\n"),
            ("queue/logical_block_size", "4096\n"),
            ("device/model", "QEMU NVMe Ctrl                          \n"),
            ("device/serial", "burin-1             \n"),
            ("wwid", "eui.0025385b71b3a1c2\n"),
            ("ro", "0\n"),
        ]),
        Vec::new(),
    )
    .unwrap();
    assert_eq!(nvme.size, 250_069_680 * 512);
    assert_eq!(
        (nvme.sector, nvme.bus, nvme.rotational),
        (4096, Bus::Nvme, false)
    );
    assert_eq!(
        (nvme.model.as_str(), nvme.serial.as_str()),
        ("QEMU NVMe Ctrl", "burin-1")
    );
    assert!(!nvme.is_removable());
}

#[test]
fn a_usb_enclosure_is_removable_and_an_sata_disk_has_a_serial() {
    let stick = disk(
        "sdb",
        "/sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host4/target4:0:0/4:0:0:0/block/sdb",
        &attributes(&[
            ("size", "1000"),
            ("removable", "0"),
            ("device/vendor", "SanDisk"),
            ("device/model", "Extreme"),
        ]),
        Vec::new(),
    )
    .unwrap();
    assert_eq!(
        (stick.bus, stick.model.as_str()),
        (Bus::Usb, "SanDisk Extreme")
    );
    assert!(stick.is_removable(), "a USB enclosure says removable=0");

    let ata = "/sys/devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda";
    let mut page = vec![0, 0x80, 0, 8];
    page.extend(b"  S3Z9NB");
    let sata = disk(
        "sda",
        ata,
        &|path| match path {
            "size" => Some(b"100".to_vec()),
            "device/vpd_pg80" => Some(page.clone()),
            "device/vendor" => Some(b"ATA     ".to_vec()),
            "device/model" => Some(b"Samsung SSD 870 ".to_vec()),
            _ => None,
        },
        vec!["md0".to_owned()],
    )
    .unwrap();
    assert_eq!(
        (sata.bus, sata.serial.as_str(), sata.model.as_str()),
        (Bus::Ata, "S3Z9NB", "Samsung SSD 870")
    );
    assert_eq!(sata.all_holders(), ["md0"]);

    let empty = disk("sdc", "", &attributes(&[("size", "0")]), Vec::new());
    assert_eq!(empty, None);
}

#[test]
fn a_disk_answers_to_the_names_that_udev_would_give() {
    let disk = |bus, model: &str, serial: &str, wwn: &str| Disk {
        bus,
        model: model.to_owned(),
        serial: serial.to_owned(),
        wwn: wwn.to_owned(),
        links: vec!["/dev/disk/by-path/x".to_owned()],
        ..Disk::default()
    };
    let nvme = disk(Bus::Nvme, "Samsung SSD 980", "S64A", "eui.0025385b71b3a1c2");
    let sata = disk(
        Bus::Ata,
        "Samsung SSD 870",
        "S3Z9NB",
        "naa.5002538e40a3b1c2",
    );
    let bare = disk(Bus::Nvme, "", "", "");
    for (disk, name, want) in [
        (&nvme, "by-id/nvme-Samsung_SSD_980_S64A", true),
        (&nvme, "by-id/nvme-eui.0025385b71b3a1c2", true),
        (&nvme, "by-id/nvme-Samsung_SSD_980_S64B", false),
        (&nvme, "by-path/x", true),
        (&nvme, "by-path/y", false),
        (&sata, "by-id/ata-Samsung_SSD_870_S3Z9NB", true),
        (&sata, "by-id/wwn-0x5002538e40a3b1c2", true),
        (&bare, "by-id/nvme-_", false),
        (&bare, "by-id/nvme-", false),
    ] {
        assert_eq!(disk.has_link(&format!("/dev/disk/{name}")), want, "{name}");
    }
}

#[test]
fn an_sd_card_is_removable_and_an_emmc_is_not() {
    for (kind, bus, removable) in [("MMC", Bus::Mmc, false), ("SD", Bus::Sd, true)] {
        let got = disk(
            "mmcblk0",
            "/sys/devices/platform/soc/mmc0/mmc0:0001/block/mmcblk0",
            &attributes(&[("size", "10"), ("device/type", kind)]),
            Vec::new(),
        )
        .unwrap();
        assert_eq!((got.bus, got.is_removable()), (bus, removable), "{kind}");
    }
}

#[test]
fn links_know_their_bus_and_permanent_address() {
    let got = link(
        "enp1s0",
        "/sys/devices/pci0000:00/0000:00:1c.0/0000:01:00.0/net/enp1s0",
        Some("A8:A1:59:00:00:01"),
        &|path| match path {
            "carrier" => Some("1\n".to_owned()),
            "speed" => Some("2500\n".to_owned()),
            "device/uevent" => Some("DRIVER=igc\nPCI_CLASS=20000\n".to_owned()),
            _ => None,
        },
    );
    assert_eq!(got.mac, "a8:a1:59:00:00:01");
    assert_eq!(
        (got.bus, got.carrier, got.speed),
        (LinkBus::Onboard, true, Some(2500))
    );
    assert_eq!(got.driver, "igc");
    let bridge = link("br0", "/sys/devices/virtual/net/br0", None, &|_| None);
    assert!(!bridge.is_wired());
}

fn memory_device(size: u16, extended: u32) -> Vec<u8> {
    let mut out = vec![17, 0x22, 0, 0];
    out.resize(0x22, 0);
    out[0x0c..0x0e].copy_from_slice(&size.to_le_bytes());
    out[0x1c..0x20].copy_from_slice(&extended.to_le_bytes());
    out.extend(b"DIMM 0\0\0");
    out
}

#[test]
fn installed_memory_is_the_sum_of_the_modules() {
    const GIB: u64 = 1 << 30;
    let table = |parts: &[Vec<u8>]| -> Vec<u8> {
        let mut all = parts.concat();
        all.extend([127, 4, 0, 0, 0, 0]);
        all
    };
    for (parts, want) in [
        (vec![memory_device(8192, 0)], Some(8 * GIB)),
        (
            vec![
                memory_device(4096, 0),
                memory_device(0, 0),
                memory_device(4096, 0),
            ],
            Some(8 * GIB),
        ),
        (vec![memory_device(0x7fff, 65536)], Some(64 * GIB)),
        (vec![memory_device(0x8000 | 512, 0)], Some(512 * 1024)),
        (vec![memory_device(0xffff, 0)], None),
        (vec![], None),
    ] {
        assert_eq!(installed_memory(&table(&parts)), want);
    }
    assert_eq!(
        installed_memory(&memory_device(8192, 0)[..30]),
        None,
        "cut off"
    );
}

#[test]
fn the_names_that_udev_gives_are_known_before() {
    let pci = "/sys/devices/pci0000:00/0000:00:1c.0/0000:0a:00.1/net/eth0";
    let virtio = "/sys/devices/pci0000:00/0000:00:03.0/virtio0/net/eth0";
    let far = "/sys/devices/pci0001:00/0001:00:02.0/net/eth0";
    let usb = "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/net/eth0";
    type Attributes = &'static [(&'static str, &'static str)];
    let cases: [(&str, Option<u32>, Attributes, &[&str]); 5] = [
        (pci, None, &[], &["enp10s0f1"]),
        (
            virtio,
            Some(160),
            &[],
            &["ens160", "enp0s3", "ens160f0", "enp0s3f0"],
        ),
        (
            far,
            None,
            &[("phys_port_name", "p1\n")],
            &["enP1p0s2np1", "enP1p0s2f0np1"],
        ),
        (
            pci,
            None,
            &[("device/acpi_index", "2\n"), ("dev_port", "1\n")],
            &["eno2d1", "enp10s0f1d1"],
        ),
        (usb, None, &[], &[]),
    ];
    for (device, slot, attributes, want) in cases {
        let attribute = |path: &str| {
            let mut all = attributes.iter();
            all.find(|(name, _)| *name == path)
                .map(|(_, text)| (*text).to_owned())
        };
        let mut names = later_names("a8:a1:59:00:00:01", device, slot, &attribute);
        assert_eq!(names.pop().as_deref(), Some("enxa8a159000001"));
        assert_eq!(names, want, "{device}");
    }
}

#[test]
fn evidence_names_the_addresses_of_cards_alone() {
    let link = |mac: &str, bus| Link {
        mac: mac.to_owned(),
        bus,
        ..Link::default()
    };
    let facts = HostFacts {
        links: vec![
            link("00:00:00:00:00:00", LinkBus::Virtual),
            link("a8:a1:59:00:00:01", LinkBus::Onboard),
            link("a8:a1:59:00:00:02", LinkBus::Usb),
            link("de:ad:be:00:00:01", LinkBus::Virtual),
            link("", LinkBus::Onboard),
        ],
        ..HostFacts::default()
    };
    let evidence = facts.evidence(&|_| String::new());
    assert_eq!(evidence.macs, ["a8:a1:59:00:00:01", "a8:a1:59:00:00:02"]);
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in ".{0,400}", bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = (memory(&text), cpu(&text), uptime(&text), installed_memory(&bytes));
        let _ = dmi(&|_| Some(text.clone()));
        let _ = device_tree(&|_| Some(bytes.clone()), std::str::from_utf8(&bytes).ok());
        let _ = disk("sda", &text, &|_| Some(bytes.clone()), Vec::new());
        let _ = link("eth0", &text, None, &|_| Some(text.clone()));
        let _ = is_disk_name(&text);
        let _ = later_names("", &text, Some(1), &|_| Some(text.clone()));
    }
}
