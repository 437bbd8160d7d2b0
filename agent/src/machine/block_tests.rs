use super::*;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

fn layout(sector: u32) -> Layout {
    let part = |number, guid: &str, start, size| Partition {
        number,
        guid: guid.to_owned(),
        start,
        size,
    };
    Layout {
        disk: "/dev/test".to_owned(),
        sector,
        disk_guid: "0f3c1a52-7a10-4a52-9c5f-5d2f7cf0a001".to_owned(),
        esp: part(1, "0f3c1a52-7a10-4a52-9c5f-5d2f7cf0a002", MIB, 8 * MIB),
        system: part(2, "0f3c1a52-7a10-4a52-9c5f-5d2f7cf0a003", 9 * MIB, 16 * MIB),
        data: part(
            3,
            "0f3c1a52-7a10-4a52-9c5f-5d2f7cf0a004",
            25 * MIB,
            30 * MIB,
        ),
    }
}

fn disk() -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(64 * MIB).unwrap();
    file
}

#[test]
fn both_sector_sizes_read_back_as_written() {
    for sector in [512, 4096] {
        let wanted = layout(sector);
        let mut written = write_table(disk(), &wanted).unwrap();
        let (guid, entries) = read_table(written.try_clone().unwrap(), sector).unwrap();
        assert_eq!(
            (guid, entries),
            (wanted.disk_guid.clone(), expected(&wanted))
        );
        assert!(carries(written.try_clone().unwrap(), &wanted), "{sector}");
        // Another reader (libblkid, firmware) starts here: protective entry, and the header in LBA 1.
        let mut bytes = vec![0; 8192];
        written.rewind().unwrap();
        written.read_exact(&mut bytes).unwrap();
        assert_eq!((bytes[0x1c2], bytes[510], bytes[511]), (0xee, 0x55, 0xaa));
        let at = sector as usize;
        assert_eq!(&bytes[at..at + 8], b"EFI PART", "{sector}");
    }
}

#[test]
fn a_partition_off_its_sectors_is_refused() {
    let mut crooked = layout(4096);
    crooked.system.start += 512;
    let err = write_table(disk(), &crooked).unwrap_err();
    assert!(format!("{err:#}").contains("partition 2"), "{err:#}");
}

#[test]
fn a_disk_with_one_other_guid_does_not_carry_the_layout() {
    let wanted = layout(512);
    let written = write_table(disk(), &wanted).unwrap();
    let mut other = wanted;
    other.data.guid = "0f3c1a52-7a10-4a52-9c5f-5d2f7cf0afff".to_owned();
    assert!(!carries(written, &other));
}

#[test]
fn wiping_clears_signatures_at_the_ends_of_disk_and_partitions() {
    let wanted = layout(512);
    let mut file = write_table(disk(), &wanted).unwrap();
    let marks = [
        0,
        9 * MIB + 1080,
        25 * MIB - 16,
        25 * MIB + 65_600,
        64 * MIB - 512,
    ];
    for at in marks {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(b"signature").unwrap();
    }
    wipe(&mut file, 64 * MIB, &wanted).unwrap();
    for at in marks {
        let mut bytes = [1u8; 9];
        file.seek(SeekFrom::Start(at)).unwrap();
        file.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, [0; 9], "at {at}");
    }
    assert!(read_table(file, 512).is_err());
}

#[test]
fn a_partition_is_found_by_the_kernels_word_or_by_the_table() {
    let root = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let class = "sys/class/block";
    put(
        &format!("{class}/sda2/uevent"),
        "PARTN=2\nPARTUUID=aaaa-bb\n",
    );
    put(&format!("{class}/sda2/partition"), "2\n");
    put(&format!("{class}/vdb/queue/logical_block_size"), "4096\n");
    put(&format!("{class}/vdb/vdb3/partition"), "3\n");
    put("dev/vdb", "");
    let image = OpenOptions::new()
        .read(true)
        .write(true)
        .open(root.path().join("dev/vdb"))
        .unwrap();
    image.set_len(64 * MIB).unwrap();
    write_table(image, &layout(4096)).unwrap();
    let found = |guid: &str| find_partition(root.path(), guid);
    assert_eq!(found("AAAA-BB"), Some(root.path().join("dev/sda2")));
    assert_eq!(
        found(&layout(4096).data.guid),
        Some(root.path().join("dev/vdb3"))
    );
    assert_eq!(found("cccc"), None);
    let class = root.path().join(class);
    let guid = |folder: &str| guid_of(root.path(), &class.join(folder));
    assert_eq!(guid("sda2").unwrap(), "aaaa-bb");
    assert_eq!(guid("vdb/vdb3").unwrap(), layout(4096).data.guid);
    put("sys/class/block/vdb/vdb9/partition", "9\n");
    assert!(guid("vdb/vdb9").is_err(), "not in the table");
    let past = Instant::now();
    assert!(wait_for_partition(root.path(), "cccc", past).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_damaged_table_is_an_error_or_the_written_one(at in 512usize..20_000, value in any::<u8>()) {
        let wanted = layout(512);
        let mut file = write_table(disk(), &wanted).unwrap();
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&[value]).unwrap();
        if let Ok((guid, entries)) = read_table(file, 512) {
            prop_assert_eq!(guid, wanted.disk_guid.clone());
            prop_assert_eq!(entries, expected(&wanted));
        }
    }
}
