use proptest::prelude::*;

use super::*;

/// A header block in POSIX form.
fn header(path: &str, kind: u8, size: u64) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    block[..path.len()].copy_from_slice(path.as_bytes());
    block[100..108].copy_from_slice(b"0000755\0");
    block[108..116].copy_from_slice(b"0000001\0");
    block[116..124].copy_from_slice(b"0000002\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000003\0");
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    checksum(&mut block);
    block
}

fn checksum(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u64 = block[..BLOCK].iter().map(|b| u64::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn padded(data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    data.resize(data.len().next_multiple_of(BLOCK), 0);
    data
}

fn extended(kind: u8, data: &[u8]) -> Vec<u8> {
    [header("ext", kind, data.len() as u64), padded(data)].concat()
}

fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while format!("{length}").len() + rest.len() != length {
        length += 1;
    }
    format!("{length}{rest}").into_bytes()
}

fn read_all(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut tar = Tar::new(bytes);
    let mut all = Vec::new();
    while let Some(entry) = tar.next_entry()? {
        let content = tar.content()?;
        all.push((entry, content));
    }
    Ok(all)
}

fn end() -> Vec<u8> {
    vec![0; 2 * BLOCK]
}

#[test]
fn long_names_come_from_pax_and_from_gnu() {
    let long = "d/".repeat(120) + "file";
    for ext in [
        extended(b'x', &record("path", &long)),
        extended(b'L', format!("{long}\0").as_bytes()),
    ] {
        let bytes = [ext, header("short", b'0', 3), padded(b"abc"), end()].concat();
        let all = read_all(&bytes).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].0.path, long.as_bytes());
        assert_eq!(all[0].1, b"abc");
        assert_eq!(
            (all[0].0.mode, all[0].0.uid, all[0].0.gid, all[0].0.mtime),
            (0o755, 1, 2, 3)
        );
    }
}

#[test]
fn a_prefix_is_joined_and_attributes_are_read() {
    let mut block = header("name", b'0', 0);
    block[345..351].copy_from_slice(b"prefix");
    checksum(&mut block);
    let pax = [
        record("SCHILY.xattr.security.capability", "cap"),
        record("mtime", "-1.5"),
        record("uid", "70000"),
    ]
    .concat();
    let all = read_all(&[extended(b'x', &pax), block, end()].concat()).unwrap();
    let entry = &all[0].0;
    assert_eq!(entry.path, b"prefix/name");
    assert_eq!(entry.xattrs["security.capability"], b"cap");
    assert_eq!((entry.mtime, entry.uid), (-2, 70_000));
}

#[test]
fn what_is_said_for_one_entry_does_not_reach_the_next() {
    let bytes = [
        extended(b'x', &record("path", "long")),
        header("a", b'0', 0),
        header("b", b'0', 0),
        end(),
    ]
    .concat();
    let paths: Vec<_> = read_all(&bytes)
        .unwrap()
        .into_iter()
        .map(|(e, _)| e.path)
        .collect();
    assert_eq!(paths, [b"long".to_vec(), b"b".to_vec()]);
}

#[test]
fn damage_is_an_error_with_its_place() {
    let mut wrong_sum = header("a", b'0', 0);
    wrong_sum[0] = b'b';
    let huge = header("a", b'x', LONGEST_EXTENSION + 1);
    let file = [header("a", b'0', 10), padded(b"0123456789")].concat();
    for (name, bytes, says) in [
        ("empty", vec![], "too early, at byte 0"),
        (
            "half a header",
            header("a", b'0', 0)[..300].to_vec(),
            "too early, at byte 300",
        ),
        ("no end", file.clone(), "too early, at byte 1024"),
        ("cut content", file[..600].to_vec(), "too early"),
        ("checksum", wrong_sum, "wrong checksum"),
        ("huge extension", huge, "absurdly long"),
        (
            "sparse",
            [header("a", b'S', 0), end()].concat(),
            "sparse file",
        ),
        (
            "pax sparse",
            [
                extended(b'x', &record("GNU.sparse.major", "1")),
                header("a", b'0', 0),
            ]
            .concat(),
            "sparse file",
        ),
        (
            "unknown type",
            [header("a", b'V', 0), end()].concat(),
            "unknown type",
        ),
        (
            "directory with content",
            [header("a", b'5', 5), padded(b"12345"), end()].concat(),
            "no file",
        ),
        (
            "pax length",
            [extended(b'x', b"999 a=b\n"), header("a", b'0', 0)].concat(),
            "wrong length",
        ),
        (
            "pax value",
            [extended(b'x', b"7 abcd\n"), header("a", b'0', 0)].concat(),
            "no value",
        ),
        (
            "pax size",
            [extended(b'x', &record("size", "-1")), header("a", b'0', 0)].concat(),
            "size is no number",
        ),
    ] {
        let error = read_all(&bytes).unwrap_err().to_string();
        assert!(error.contains(says), "{name}: {error}");
    }
}

#[test]
fn nothing_but_zeros_follows_the_end_mark() {
    assert!(
        read_all(&[end(), vec![0; 10_000]].concat())
            .unwrap()
            .is_empty()
    );
    let error = read_all(&[end(), vec![0; 100], vec![1]].concat()).unwrap_err();
    assert!(error.to_string().contains("after the end mark"), "{error}");
}

#[test]
fn an_absurd_size_is_refused_before_a_byte_is_read() {
    let absurd = [
        extended(b'x', &record("size", "99999999999999999")),
        header("a", b'0', 0),
    ]
    .concat();
    assert!(
        Tar::new(&absurd[..])
            .next_entry()
            .unwrap_err()
            .to_string()
            .contains("absurd size")
    );
}

#[test]
fn tars_of_another_writer_are_read() {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, data) in [
        ("etc/hosts", &b"x"[..]),
        (&"very/long/path/".repeat(20), b"yy"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        builder
            .append_data(&mut header, format!("{path}f"), data)
            .unwrap();
    }
    let all = read_all(&builder.into_inner().unwrap()).unwrap();
    assert_eq!(all[0].0.path, b"etc/hostsf");
    assert_eq!(all[1].0.path.len(), 15 * 20 + 1);
    assert_eq!(all[1].1, b"yy");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic_or_read_without_end(mut bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        drop(read_small(&bytes));
        // With a right checksum the fields behind it are reached.
        if bytes.len() >= BLOCK {
            checksum(&mut bytes[..BLOCK]);
            drop(read_small(&bytes));
        }
    }

    #[test]
    fn damaged_good_tars_end_in_an_error_or_in_entries(
        at in 0_usize..4096, with in any::<u8>(), fix in any::<bool>(),
    ) {
        let mut bytes = [
            extended(b'x', &[record("path", "p"), record("SCHILY.xattr.user.a", "b")].concat()),
            header("short", b'0', 3), padded(b"abc"),
            header("dir/", b'5', 0),
            header("link", b'1', 0), end(),
        ].concat();
        let at = at % bytes.len();
        bytes[at] = with;
        if fix {
            let start = at / BLOCK * BLOCK;
            checksum(&mut bytes[start..start + BLOCK]);
        }
        drop(read_small(&bytes));
    }
}

/// Reads without trusting a size.
fn read_small(bytes: &[u8]) -> Result<u64, TarError> {
    let mut tar = Tar::new(bytes);
    let mut buffer = [0; 1000];
    let mut entries = 0;
    while tar.next_entry()?.is_some() {
        entries += 1;
        while tar.piece(&mut buffer)? > 0 {}
    }
    Ok(entries)
}
