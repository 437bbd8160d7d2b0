//! A small ISO of the real shape: what a hub makes others of.

use std::collections::BTreeMap;
use std::path::Path;

use burin_iso::manifest::{self, Manifest, digest};
use burin_iso::{esp, initramfs, iso};

/// Bytes kept for user-data.
pub(crate) const AREA: u64 = 16 * 1024;

/// Writes one that firmware with this loader would start.
pub(crate) fn write(out: &Path, loader: &str) {
    let area = initramfs::user_data(None, AREA).unwrap();
    let mut files = BTreeMap::from([
        (loader.to_owned(), b"MZ".to_vec()),
        ("burin/linux".to_owned(), vec![0x4d; 300_000]),
        ("burin/initrd".to_owned(), vec![0x49; 300_000]),
        ("burin/user-data.cpio".to_owned(), area),
    ]);
    let sums = files.iter();
    let manifest = Manifest {
        version: "0.1.0".to_owned(),
        kernel: "6.12.1-test".to_owned(),
        files: sums
            .map(|(path, bytes)| (path.clone(), digest(bytes)))
            .collect(),
        ..Manifest::default()
    };
    files.insert(manifest::PATH.to_owned(), manifest.render().unwrap());
    let image = esp::make(&files).unwrap();
    iso::write(out, &image, 1_750_000_000, iso::Readers::Everybody).unwrap();
}

/// The user-data in an ISO, after every file was held against the ISO's manifest.
pub(crate) fn user_data(path: &Path) -> String {
    use burin_iso::cpio::{Archive, Content};
    burin_iso::custom::Base::open(path).unwrap();
    let mut file = std::fs::File::open(path).unwrap();
    let place = iso::boot_image(&mut file).unwrap();
    let image = iso::read_boot_image(&mut file, &place).unwrap();
    let files = esp::read(image, place.length).unwrap();
    let archive = Archive::unpack(&files["burin/user-data.cpio"]).unwrap();
    match &archive.get("etc/burin/user-data").unwrap().content {
        Content::File(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("user-data is {other:?}"),
    }
}
