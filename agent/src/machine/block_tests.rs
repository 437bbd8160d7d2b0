use super::*;
use burin_core::layout::{HEAD_BYTES, Signatures, TAIL_BYTES, signatures};
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

/// A disk that keeps each write of a sector apart, so that a power cut can take any of them.
#[derive(Debug)]
struct Recorder {
    disk: File,
    writes: Vec<(u64, Vec<u8>)>,
}

impl Read for Recorder {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.disk.read(buffer)
    }
}

impl Seek for Recorder {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.disk.seek(to)
    }
}

impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let at = self.disk.stream_position()?;
        let room = usize::try_from(512 - at % 512).unwrap();
        let part = &bytes[..bytes.len().min(room)];
        self.writes.push((at, part.to_vec()));
        self.disk.write(part)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A wiped disk with the mark, and what writing the table writes.
fn marked(layout: &Layout) -> (File, Vec<(u64, Vec<u8>)>) {
    let mut start = disk();
    write_mark(&mut start, layout).unwrap();
    let mut copy = disk();
    write_mark(&mut copy, layout).unwrap();
    let recorder = Recorder {
        disk: copy,
        writes: Vec::new(),
    };
    (start, write_table(recorder, layout).unwrap().writes)
}

fn seen(disk: &mut File, sector: u32) -> Signatures {
    let mut read = |from: SeekFrom, length: usize| {
        disk.seek(from).unwrap();
        let mut bytes = vec![0; length];
        disk.read_exact(&mut bytes).unwrap();
        bytes
    };
    let head = read(SeekFrom::Start(0), HEAD_BYTES);
    let back = i64::try_from(TAIL_BYTES).unwrap();
    let tail = read(SeekFrom::End(-back), TAIL_BYTES);
    signatures(&head, &tail, sector)
}

/// The kernel, the controller and the disk may each write what was not flushed in any order.
#[test]
fn a_power_cut_while_the_table_is_written_leaves_a_disk_that_is_ours() {
    for sector in [512, 4096] {
        let wanted = layout(sector);
        let (_, writes) = marked(&wanted);
        assert!(writes.len() > 60, "{} writes", writes.len());
        for n in 0..writes.len() {
            // All up to the n-th, the n-th alone, all but the n-th.
            let cuts: [&dyn Fn(usize) -> bool; 3] = [&|i| i <= n, &|i| i == n, &|i| i != n];
            for cut in cuts {
                let (mut disk, _) = marked(&wanted);
                for (_, (at, bytes)) in writes.iter().enumerate().filter(|(i, _)| cut(*i)) {
                    disk.seek(SeekFrom::Start(*at)).unwrap();
                    disk.write_all(bytes).unwrap();
                }
                let found = seen(&mut disk, sector).unfinished;
                assert_eq!(found.as_ref(), Some(&wanted.disk_guid), "{sector}, {n}");
            }
        }
    }
}

/// File systems are being made on all of the disk, up to its end.
#[test]
fn a_marked_disk_is_ours_whatever_its_partitions_hold() {
    let wanted = layout(512);
    let (disk, _) = marked(&wanted);
    let mut disk = write_table(disk, &wanted).unwrap();
    for at in [9 * MIB + 1080, 25 * MIB, 64 * MIB - (400 << 10)] {
        disk.seek(SeekFrom::Start(at)).unwrap();
        disk.write_all(b"\x53\xef and more").unwrap();
    }
    let found = seen(&mut disk, 512);
    assert_eq!(found.unfinished, Some(wanted.disk_guid));
    assert!(found.is_burin());
}

#[test]
fn a_mark_under_anything_that_is_not_ours_is_worth_nothing() {
    let wanted = layout(512);
    let mut other = layout(512);
    other.disk_guid = "0f3c1a52-7a10-4a52-9c5f-5d2f7cf0afff".to_owned();
    let (mut foreign, _) = marked(&wanted);
    foreign = write_table(foreign, &other).unwrap();
    assert_eq!(seen(&mut foreign, 512).unfinished, None, "another table");

    for (at, bytes) in [
        (0, &b"boot code"[..]),
        (446, b"\x80\0\0\0\x83"),
        (512, b"LABELONE"),
        (40 * 512 - 8, b"embedded"),
        (512 * 100, b"core.img"),
        (MIB, b"x"),
        (MIB + 4000, b"x"),
        (64 * MIB - 4096, b"\xfc\x4e\x2b\xa9"),
        (64 * MIB - (512 << 10), b"data"),
    ] {
        let (mut disk, _) = marked(&wanted);
        disk.seek(SeekFrom::Start(at)).unwrap();
        disk.write_all(bytes).unwrap();
        let found = seen(&mut disk, 512);
        assert_eq!(found.unfinished, None, "{bytes:?} at {at}");
        assert!(!found.is_empty(), "{bytes:?} at {at} is overlooked");
    }
    let (mut marked, _) = marked(&wanted);
    assert_eq!(seen(&mut marked, 512).unfinished, Some(wanted.disk_guid));
}
