//! FAT32 after a power cut: whether it is sound, from its own bytes. Source of the format: Microsoft
//! FAT specification 1.03; of the dirty bit: Linux, fs/fat/inode.c (`fat_set_state`).

use std::io::{self, Read, Seek, SeekFrom};

use thiserror::Error;

/// Bytes of the boot sector that are read.
pub const BOOT_BYTES: usize = 512;
/// Where the boot sector keeps the state; bit 0: mounted, and not unmounted since.
pub const STATE_AT: u64 = 0x41;
/// The bit.
pub const DIRTY: u8 = 1;

/// A boot partition has some hundred entries and four levels of folders.
const MOST_ENTRIES: u32 = 65_536;
const DEEPEST: u32 = 16;
/// The largest table that is read: 16 million clusters.
const LARGEST_FAT: u64 = 64 << 20;

/// Why a FAT32 is not believed.
#[derive(Debug, Error)]
pub enum FatError {
    #[error("it is no FAT32: {0}")]
    Other(&'static str),
    #[error("its allocation is damaged: {0}")]
    Damaged(String),
    #[error("it cannot be read")]
    Io(#[from] io::Error),
}

/// Where things lie in a FAT32. Offsets and sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    pub sector: u64,
    pub cluster: u64,
    /// The first copy of the table.
    pub fat: u64,
    /// Bytes of one copy.
    pub fat_size: u64,
    /// One or two.
    pub copies: u64,
    /// The first cluster's data, which has the number 2.
    pub data: u64,
    pub clusters: u32,
    pub root: u32,
    /// FSInfo, which counts the free clusters.
    pub info: u64,
    /// The copy of the boot sector; none when there is none.
    pub backup: Option<u64>,
    pub dirty: bool,
}

impl Geometry {
    /// Reads a boot sector.
    ///
    /// # Errors
    /// When it is not one of a FAT32, or contradicts itself.
    pub fn parse(boot: &[u8; BOOT_BYTES]) -> Result<Self, FatError> {
        let u16_at = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let u32_at = |at: usize| u16_at(at) | u16_at(at + 2) << 16;
        if boot[510..] != [0x55, 0xaa] || u16_at(0x11) != 0 || u16_at(0x16) != 0 {
            return Err(FatError::Other("the boot sector is another one"));
        }
        let sector = u16_at(0x0b);
        let cluster = sector * u64::from(boot[0x0d]);
        if !matches!(sector, 512 | 1024 | 2048 | 4096) || !cluster.is_power_of_two() {
            return Err(FatError::Other("its sectors or clusters have an odd size"));
        }
        let (fat, copies) = (u16_at(0x0e) * sector, u64::from(boot[0x10]));
        let (fat_size, total) = (u32_at(0x24) * sector, u32_at(0x20) * sector);
        let data = fat + copies * fat_size;
        if !matches!(copies, 1 | 2) || fat_size > LARGEST_FAT || data >= total || fat == 0 {
            return Err(FatError::Other("its tables do not fit"));
        }
        let clusters = ((total - data) / cluster).min(fat_size / 4 - 2);
        let info = u16_at(0x30) * sector;
        let backup = u16_at(0x32) * sector;
        if info == 0 || info >= fat || backup >= fat {
            return Err(FatError::Other("its reserved sectors do not fit"));
        }
        Ok(Self {
            sector,
            cluster,
            fat,
            fat_size,
            copies,
            data,
            clusters: u32::try_from(clusters).unwrap_or(u32::MAX),
            root: u32::try_from(u32_at(0x2c)).unwrap_or(0),
            info,
            backup: (backup != 0).then_some(backup),
            dirty: boot[usize::try_from(STATE_AT).unwrap_or(0)] & DIRTY != 0,
        })
    }
}

/// Follows every file and folder through the table's first copy: chains that end, cross nobody's and
/// hold what the folder says. Clusters that nobody names are only lost room.
///
/// # Errors
/// What is damaged, or that it cannot be read.
pub fn check(device: &mut (impl Read + Seek), geometry: &Geometry) -> Result<(), FatError> {
    let length = usize::try_from(geometry.fat_size).unwrap_or(usize::MAX);
    let bytes = read(device, geometry.fat, length)?;
    let entries = bytes.chunks_exact(4);
    let table = entries.map(|it| u32::from_le_bytes([it[0], it[1], it[2], it[3]]) & 0x0fff_ffff);
    let mut walk = Walk {
        geometry,
        table: table.collect(),
        taken: vec![false; usize::try_from(geometry.clusters).unwrap_or(0) + 2],
        left: MOST_ENTRIES,
    };
    walk.folder(device, geometry.root, 0)
}

struct Walk<'a> {
    geometry: &'a Geometry,
    table: Vec<u32>,
    taken: Vec<bool>,
    left: u32,
}

impl Walk<'_> {
    /// The clusters of a chain, which belong to nobody else.
    fn chain(&mut self, first: u32) -> Result<Vec<u32>, FatError> {
        let mut chain = Vec::new();
        let mut at = first;
        // 0x0ffffff8 and above: the end.
        while at < 0x0fff_fff8 {
            let place = usize::try_from(at).unwrap_or(usize::MAX);
            let taken = self.taken.get_mut(place).filter(|_| at >= 2);
            let taken = taken.ok_or_else(|| damaged(first, "leads out of the partition"))?;
            if std::mem::replace(taken, true) {
                return Err(damaged(first, "crosses another one"));
            }
            chain.push(at);
            at = self.table.get(place).copied().unwrap_or(0);
        }
        Ok(chain)
    }

    fn folder(
        &mut self,
        device: &mut (impl Read + Seek),
        first: u32,
        depth: u32,
    ) -> Result<(), FatError> {
        if depth > DEEPEST {
            return Err(damaged(first, "lies too deep"));
        }
        for cluster in self.chain(first)? {
            let geometry = self.geometry;
            let at = geometry.data + u64::from(cluster - 2) * geometry.cluster;
            let length = usize::try_from(geometry.cluster).unwrap_or(0);
            for entry in read(device, at, length)?.chunks_exact(32) {
                if entry[0] == 0 {
                    return Ok(());
                }
                self.entry(device, entry, depth)?;
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        device: &mut (impl Read + Seek),
        entry: &[u8],
        depth: u32,
    ) -> Result<(), FatError> {
        let half = |at: usize| u32::from(u16::from_le_bytes([entry[at], entry[at + 1]]));
        let (first, size) = (half(20) << 16 | half(26), half(30) << 16 | half(28));
        // Deleted, `.` and `..`, parts of long names and the volume's label lead nowhere.
        if matches!(entry[0], 0xe5 | b'.') || entry[11] & 0x08 != 0 {
            return Ok(());
        }
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| damaged(first, "is one of too many"))?;
        if entry[11] & 0x10 != 0 {
            return self.folder(device, first, depth + 1);
        }
        let clusters = match first {
            0 => 0,
            first => self.chain(first)?.len() as u64,
        };
        if clusters * self.geometry.cluster < u64::from(size) {
            return Err(damaged(first, "is shorter than its file"));
        }
        Ok(())
    }
}

fn damaged(first: u32, what: &str) -> FatError {
    FatError::Damaged(format!("the chain that begins at cluster {first} {what}"))
}

fn read(device: &mut (impl Read + Seek), at: u64, length: usize) -> io::Result<Vec<u8>> {
    device.seek(SeekFrom::Start(at))?;
    let mut bytes = vec![0; length];
    device.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    /// 64 clusters of 512 bytes; root at 2, whose first entry is `entry`.
    fn image(entry: &[u8; 32], chain: &[(usize, u32)]) -> Vec<u8> {
        let mut bytes = vec![0; 512 * 100];
        let mut put = |at: usize, new: &[u8]| bytes[at..at + new.len()].copy_from_slice(new);
        put(0x0b, &512u16.to_le_bytes());
        put(0x0d, &[1]);
        put(0x0e, &32u16.to_le_bytes());
        put(0x10, &[2]);
        put(0x20, &100u32.to_le_bytes());
        put(0x24, &1u32.to_le_bytes());
        put(0x2c, &2u32.to_le_bytes());
        put(0x30, &1u16.to_le_bytes());
        put(0x32, &6u16.to_le_bytes());
        put(510, &[0x55, 0xaa]);
        put(32 * 512 + 8, &0x0fff_ffff_u32.to_le_bytes());
        for (cluster, next) in chain {
            put(32 * 512 + cluster * 4, &next.to_le_bytes());
        }
        put(34 * 512, entry);
        bytes
    }

    fn file(first: u16, size: u32) -> [u8; 32] {
        let mut entry = [0; 32];
        entry[..11].copy_from_slice(b"LINUX      ");
        entry[26..28].copy_from_slice(&first.to_le_bytes());
        entry[28..].copy_from_slice(&size.to_le_bytes());
        entry
    }

    fn verdict(bytes: &[u8]) -> Result<(), FatError> {
        let boot = bytes[..BOOT_BYTES].try_into().unwrap();
        check(&mut Cursor::new(bytes), &Geometry::parse(boot)?)
    }

    #[test]
    fn only_whole_chains_are_sound() {
        const END: u32 = 0x0fff_ffff;
        type Row<'a> = (u16, u32, &'a [(usize, u32)], &'a str);
        let rows: [Row<'_>; 7] = [
            (5, 1000, &[(5, 6), (6, END)], ""),
            (0, 0, &[], ""),
            (5, 1000, &[(5, END)], "shorter"),
            (5, 1000, &[(5, 6), (6, 5)], "crosses"),
            (2, 100, &[], "crosses"),
            (5, 1000, &[(5, 6)], "out of the partition"),
            (5, 1000, &[(5, 99), (99, END)], "out of the partition"),
        ];
        for (first, size, chain, want) in rows {
            let result = verdict(&image(&file(first, size), chain));
            match result {
                Ok(()) => assert_eq!(want, "", "{chain:?}"),
                Err(err) => {
                    let text = err.to_string();
                    assert!(!want.is_empty() && text.contains(want), "{chain:?}: {text}");
                }
            }
        }
    }

    #[test]
    fn another_file_system_is_none() {
        assert!(Geometry::parse(&[0; BOOT_BYTES]).is_err());
    }

    proptest! {
        #[test]
        fn damage_is_an_error_and_never_a_panic(
            changes in proptest::collection::vec((0..512 * 40usize, any::<u8>()), 1..20)
        ) {
            let mut bytes = image(&file(5, 1000), &[(5, 6), (6, 0x0fff_ffff)]);
            for (at, value) in changes {
                bytes[at] = value;
            }
            let _verdict = verdict(&bytes).is_ok();
        }
    }
}
