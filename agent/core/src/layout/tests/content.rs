use proptest::prelude::*;

use super::super::*;

const GB: u64 = 1_000_000_000;

fn guids() -> Guids {
    Guids {
        disk: "d".to_owned(),
        esp: "e".to_owned(),
        system: "s".to_owned(),
        data: "a".to_owned(),
    }
}

#[test]
fn partitions_are_aligned_inside_the_disk_and_apart() {
    for (size, sector) in [
        (120 * GB, 512),
        (120_034_123_776, 4096),
        (least_disk(DEFAULT_SYSTEM), 512),
    ] {
        let got = compute("/dev/x", size, sector, DEFAULT_SYSTEM, &guids()).unwrap();
        let parts = [&got.esp, &got.system, &got.data];
        let mut at = 1 << 20;
        for part in parts {
            assert_eq!(part.start, at, "no hole");
            assert_eq!((part.start % (1 << 20), part.size % (1 << 20)), (0, 0));
            at = part.start + part.size;
        }
        assert!(
            at + 33 * u64::from(sector) <= size,
            "the copy of the table fits behind"
        );
        assert_eq!((got.esp.size, got.system.size), (ESP_BYTES, DEFAULT_SYSTEM));
        assert!(got.data.size >= LEAST_DATA);
    }
}

#[test]
fn a_disk_one_byte_too_small_is_refused() {
    let need = least_disk(LEAST_SYSTEM);
    assert!(compute("/dev/x", need, 512, LEAST_SYSTEM, &guids()).is_ok());
    assert_eq!(
        compute("/dev/x", need - 1, 512, LEAST_SYSTEM, &guids()),
        Err(LayoutError::TooSmall {
            have: need - 1,
            need
        })
    );
    assert_eq!(
        compute("/dev/x", need, 520, LEAST_SYSTEM, &guids()),
        Err(LayoutError::Sector(520))
    );
    assert_eq!(
        compute("/dev/x", need, 512, LEAST_SYSTEM + 1, &guids()),
        Err(LayoutError::Alignment(LEAST_SYSTEM + 1))
    );
}

#[test]
fn sizes_are_read_in_both_units() {
    for (text, want) in [
        ("24GiB", Some(24 << 30)),
        ("24 GiB", Some(24 << 30)),
        ("24G", Some(24 << 30)),
        ("200GB", Some(200 * GB)),
        ("512MiB", Some(512 << 20)),
        ("24", None),
        ("GiB", None),
        ("-1GiB", None),
        ("99999999999999TiB", None),
    ] {
        assert_eq!(parse_size(text), want, "{text}");
    }
}

fn image(parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut head = vec![0; HEAD_BYTES];
    for (at, bytes) in parts {
        head[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    head
}

#[test]
fn everything_that_people_put_on_disks_is_recognised() {
    for (at, bytes, want) in [
        (1080, b"\x53\xef".as_slice(), "ext"),
        (0, b"XFSB", "xfs"),
        (65_600, b"_BHRfS_M", "btrfs"),
        (512, b"LABELONE", "LVM"),
        (0, b"LUKS\xba\xbe", "LUKS"),
        (4096, b"\xfc\x4e\x2b\xa9", "Linux RAID member"),
        (131_072, &0x00ba_b10c_u64.to_le_bytes(), "ZFS"),
        (3, b"NTFS    ", "NTFS"),
        (3, b"-FVE-FS-", "BitLocker"),
        (0x52, b"FAT32   ", "FAT"),
        (4086, b"SWAPSPACE2", "swap"),
        (32_769, b"CD001", "ISO 9660"),
        (777, b"x", "unknown data"),
    ] {
        let got = signatures(&image(&[(at, bytes)]), &[0; 4096], 512);
        assert_eq!(got.found, [want], "{want}");
        assert!(!got.is_empty() && !got.is_burin());
    }
}

#[test]
fn blank_disks_are_empty_and_tails_count() {
    for byte in [0, 0xff] {
        let got = signatures(&vec![byte; HEAD_BYTES], &vec![byte; TAIL_BYTES], 512);
        assert!(got.is_empty(), "{byte}");
        assert_eq!(got.describe(), "empty");
    }
    for (from_end, bytes, want) in [
        (65_536, b"\xfc\x4e\x2b\xa9".as_slice(), "Linux RAID member"),
        (8192, b"\xfc\x4e\x2b\xa9", "Linux RAID member"),
        (1024, b"Intel Raid ISM Cfg Sig. 1", "Intel RAID member"),
        (512, b"EFI PART", "end of a gpt"),
        (512, b"\xde\x11\xde\x11", "DDF RAID member"),
    ] {
        let mut tail = vec![0; TAIL_BYTES];
        tail[TAIL_BYTES - from_end..TAIL_BYTES - from_end + bytes.len()].copy_from_slice(bytes);
        let got = signatures(&image(&[]), &tail, 512);
        assert_eq!(got.found, [want]);
    }
    let mbr = signatures(&image(&[(450, b"\x83"), (510, b"\x55\xaa")]), &[], 512);
    assert_eq!(
        (mbr.table.as_str(), mbr.describe().as_str()),
        ("mbr", "mbr")
    );
}

fn gpt_head(sector: usize, names: &[&str]) -> Vec<u8> {
    let mut head = image(&[(450, b"\xee"), (510, b"\x55\xaa"), (sector, b"EFI PART")]);
    head[sector + 72..sector + 80].copy_from_slice(&2u64.to_le_bytes());
    head[sector + 80..sector + 84].copy_from_slice(&128u32.to_le_bytes());
    head[sector + 84..sector + 88].copy_from_slice(&128u32.to_le_bytes());
    for (i, name) in names.iter().enumerate() {
        let at = 2 * sector + i * 128;
        head[at..at + 16].copy_from_slice(&[
            0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0, 0xa0, 0xc9, 0x3e, 0xc9,
            0x3b,
        ]);
        head[at + 16] = 1;
        head[at + 32..at + 40].copy_from_slice(&2048u64.to_le_bytes());
        head[at + 40..at + 48].copy_from_slice(&4095u64.to_le_bytes());
        for (j, unit) in name.encode_utf16().enumerate() {
            head[at + 56 + j * 2..at + 58 + j * 2].copy_from_slice(&unit.to_le_bytes());
        }
    }
    head
}

#[test]
fn a_burin_disk_is_known_by_its_partitions() {
    for sector in [512, 4096] {
        let got = signatures(
            &gpt_head(sector, &["burin-esp", "burin-system", "burin-data"]),
            &[],
            sector as u32,
        );
        assert!(got.is_burin(), "{got:?}");
        let esp = &got.partitions[0];
        assert_eq!(esp.kind, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(
            (esp.number, esp.start, esp.size),
            (1, 2048 * sector as u64, 2048 * sector as u64)
        );
    }
    for names in [&["burin-esp", "burin-system"][..], &["EFI", "root"], &[]] {
        let got = signatures(&gpt_head(512, names), &[], 512);
        assert!(!got.is_burin() && !got.is_empty(), "{names:?}");
        assert!(
            got.describe()
                .starts_with(&format!("gpt with {} partitions", names.len()))
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut head in proptest::collection::vec(any::<u8>(), 0..9000), header in any::<[u8; 32]>(), tail in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let _ = signatures(&head, &tail, 512);
        if head.len() > 700 {
            head[512..520].copy_from_slice(b"EFI PART");
            head[580..612].copy_from_slice(&header);
        }
        let _ = (signatures(&head, &tail, 512), signatures(&head, &tail, 4096));
    }
}
