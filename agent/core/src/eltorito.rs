//! Where the boot partition lies in an ISO: the boot catalog of El Torito (version 1.0) and UEFI
//! 2.10, section 13.3.2 "ISO-9660 and El Torito".

use std::io::{self, Read, Seek, SeekFrom};

/// ISO 9660 sector, bytes.
const SECTOR: u64 = 2048;
/// Sector of the first volume descriptor.
const DESCRIPTORS: u64 = 16;
/// Volume descriptors that are looked through: a disc has three or four.
const MOST_DESCRIPTORS: u64 = 16;
/// Platform "EFI" in a section header.
const EFI: u8 = 0xef;

/// Name of the volume and where its EFI image starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootImage {
    /// Volume identifier, trimmed.
    pub volume: String,
    /// Bytes from the start of the device.
    pub offset: u64,
}

/// Looks for an ISO 9660 volume with an EFI boot image. None when it is something else.
///
/// # Errors
/// When the device cannot be read.
pub fn find(device: &mut (impl Read + Seek)) -> io::Result<Option<BootImage>> {
    let mut volume = None;
    let mut catalog = None;
    for number in DESCRIPTORS..DESCRIPTORS + MOST_DESCRIPTORS {
        let Some(sector) = sector(device, number)? else {
            return Ok(None);
        };
        if &sector[1..6] != b"CD001" {
            return Ok(None);
        }
        match sector[0] {
            0 if sector[7..].starts_with(b"EL TORITO SPECIFICATION") => {
                catalog = Some(u64::from(number_at(&sector, 0x47)));
            }
            1 => {
                let name = String::from_utf8_lossy(&sector[40..72]);
                volume = Some(name.trim_end_matches([' ', '\0']).to_owned());
            }
            255 => break,
            _ => {}
        }
    }
    let (Some(volume), Some(catalog)) = (volume, catalog) else {
        return Ok(None);
    };
    let Some(catalog) = sector(device, catalog)? else {
        return Ok(None);
    };
    Ok(efi_start(&catalog).map(|start| BootImage {
        volume,
        offset: start * SECTOR,
    }))
}

/// The start of the EFI image, in ISO sectors: in the entry of the validation entry's platform, or
/// in a section of that platform.
fn efi_start(catalog: &[u8; SECTOR as usize]) -> Option<u64> {
    if catalog[0] != 1 || catalog[0x1e..0x20] != [0x55, 0xaa] {
        return None;
    }
    let mut platform = catalog[1];
    for entry in catalog.chunks_exact(32).skip(1) {
        match entry[0] {
            // Section headers; 0x91 is the last one.
            0x90 | 0x91 => platform = entry[1],
            // A bootable entry.
            0x88 if platform == EFI => return Some(u64::from(number_at(entry, 8))),
            _ => {}
        }
    }
    None
}

fn number_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

/// None at the end of the device.
fn sector(
    device: &mut (impl Read + Seek),
    number: u64,
) -> io::Result<Option<[u8; SECTOR as usize]>> {
    let mut bytes = [0; SECTOR as usize];
    device.seek(SeekFrom::Start(number * SECTOR))?;
    match device.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(err) => Err(err),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn image() -> Vec<u8> {
        let mut image = vec![0u8; 24 * 2048];
        let mut put = |sector: usize, at: usize, bytes: &[u8]| {
            let from = sector * 2048 + at;
            image[from..from + bytes.len()].copy_from_slice(bytes);
        };
        put(16, 0, b"\x01CD001\x01");
        put(16, 40, b"BURIN                           ");
        put(17, 0, b"\x00CD001\x01EL TORITO SPECIFICATION");
        put(17, 0x47, &20u32.to_le_bytes());
        put(18, 0, b"\xffCD001\x01");
        put(20, 0, &[1, EFI]);
        put(20, 0x1e, &[0x55, 0xaa]);
        put(20, 32, &[0x88, 0]);
        put(20, 32 + 8, &700u32.to_le_bytes());
        image
    }

    #[test]
    fn the_efi_image_is_found() {
        let found = find(&mut Cursor::new(image())).unwrap().unwrap();
        assert_eq!((found.volume.as_str(), found.offset), ("BURIN", 700 * 2048));
    }

    #[test]
    fn a_bios_entry_before_it_is_passed_over() {
        let mut image = image();
        let catalog = &mut image[20 * 2048..21 * 2048];
        catalog[1] = 0;
        catalog[64..66].copy_from_slice(&[0x91, EFI]);
        catalog[96] = 0x88;
        catalog[104..108].copy_from_slice(&9u32.to_le_bytes());
        let found = find(&mut Cursor::new(image)).unwrap().unwrap();
        assert_eq!(found.offset, 9 * 2048);
    }

    #[test]
    fn other_media_are_no_errors() {
        for length in [0, 100, 40 * 1024, 80 * 1024] {
            assert_eq!(find(&mut Cursor::new(vec![0u8; length])).unwrap(), None);
        }
    }

    proptest! {
        #[test]
        fn no_byte_makes_it_panic(at in 16usize * 2048..21 * 2048, value: u8) {
            let mut image = image();
            image[at] = value;
            let _found = find(&mut Cursor::new(image)).unwrap();
        }
    }
}
