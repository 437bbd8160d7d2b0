//! The raw bytes of a machine's disk, and whose they are.

use std::{
    fs::File,
    io::{Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{
    places::Place,
    search::{Hit, Searcher},
};
use crate::{
    process,
    sparse::{Extent, stored},
};

/// A block of the file systems that burin makes, bytes.
const BLOCK: u64 = 4096;

/// Whether the file is a disk, by its name.
pub(super) fn is_disk(path: &Path) -> bool {
    let kind = path.extension().and_then(|it| it.to_str());
    matches!(kind, Some("raw" | "qcow2"))
}

/// A disk as a raw file. That of an overlay is a copy, which holds what lies below it as well.
#[derive(Debug)]
pub(super) struct Image {
    name: String,
    raw: PathBuf,
    extents: Vec<Extent>,
    partitions: Vec<Partition>,
    _copy: Option<tempfile::TempDir>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Partition {
    start: u64,
    size: u64,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Dump {
    partitiontable: Table,
}

#[derive(Deserialize)]
struct Table {
    sectorsize: u64,
    #[serde(default)]
    partitions: Vec<Partition>,
}

impl Image {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default();
        let mut image = Self {
            name: name.to_string_lossy().into_owned(),
            raw: path.to_owned(),
            extents: Vec::new(),
            partitions: Vec::new(),
            _copy: None,
        };
        if path.extension().is_some_and(|it| it == "qcow2") {
            let folder = path.parent().context("a disk lies in a folder")?;
            let copy = tempfile::tempdir_in(folder).context("making a folder for a disk")?;
            image.raw = copy.path().join("whole");
            let mut convert = Command::new("qemu-img");
            convert.args(["convert", "-O", "raw"]).arg(path);
            process::output(convert.arg(&image.raw))?;
            image._copy = Some(copy);
        }
        image.extents = stored(&image.raw)?;
        image.partitions = partitions(&image.raw)?;
        Ok(image)
    }

    /// Bytes that it holds.
    pub(super) fn stored(&self) -> u64 {
        self.extents.iter().map(|it| it.length).sum()
    }

    /// Every secret in it; the places are counted from the disk's beginning.
    pub(super) fn search(&self, searcher: &Searcher) -> Result<Vec<Hit>> {
        let mut file = File::open(&self.raw).context("opening a disk")?;
        let mut hits = Vec::new();
        for extent in &self.extents {
            file.seek(SeekFrom::Start(extent.start))
                .context("reading a disk")?;
            let found = searcher.read((&mut file).take(extent.length))?;
            hits.extend(found.into_iter().map(|hit| Hit {
                at: extent.start + hit.at,
                ..hit
            }));
        }
        Ok(hits)
    }

    /// Whose byte `at` is: the file that its block belongs to, as far as somebody can say.
    pub(super) fn place(&self, at: u64) -> Result<Place> {
        let mut all = self.partitions.iter();
        let Some(partition) = all.find(|it| (it.start..it.start + it.size).contains(&at)) else {
            return Ok(Place::on_disk(&self.name, "no partition", &at.to_string()));
        };
        let within = at - partition.start;
        let file = match partition.name.as_str() {
            "burin-esp" => self.on_esp(partition, within)?,
            _ => self.on_ext4(partition, within / BLOCK)?,
        };
        let file = file.unwrap_or_else(|| format!("no file, byte {within}"));
        Ok(Place::on_disk(&self.name, &partition.name, &file))
    }

    /// The content of a file of the system partition; none when there is no such file.
    pub(super) fn system_file(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let mut all = self.partitions.iter();
        let Some(partition) = all.find(|it| it.name == "burin-system") else {
            return Ok(None);
        };
        let folder = tempfile::tempdir().context("making a folder")?;
        let to = folder.path().join("file");
        self.debugfs(partition, &format!("dump {path} {}", to.display()))?;
        match std::fs::read(&to) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("reading a file of the disk"),
        }
    }

    fn debugfs(&self, partition: &Partition, request: &str) -> Result<String> {
        let disk = format!("{}?offset={}", self.raw.display(), partition.start);
        // A power cut leaves checksums that fit again once the journal was replayed, which would write.
        process::output(Command::new("debugfs").args(["-n", "-R", request, &disk]))
    }

    fn on_ext4(&self, partition: &Partition, block: u64) -> Result<Option<String>> {
        let inode = self.debugfs(partition, &format!("icheck {block}"))?;
        let Some(inode) = second_of(&inode) else {
            return Ok(None);
        };
        let name = self.debugfs(partition, &format!("ncheck {inode}"))?;
        let name = second_of(&name).map(str::to_owned);
        Ok(Some(name.unwrap_or_else(|| format!("inode {inode}"))))
    }

    /// The chain of clusters that a byte belongs to, as mtools numbers them.
    fn on_esp(&self, partition: &Partition, within: u64) -> Result<Option<String>> {
        let image = format!("{}@@{}", self.raw.display(), partition.start);
        let names = process::output(Command::new("mdir").args(["-/", "-b", "-a", "-i", &image]))?;
        let boot = self.sector(partition)?;
        let Some(cluster) = cluster(&boot, within) else {
            return Ok(None);
        };
        for name in names.lines().filter(|name| !name.ends_with('/')) {
            let shown = process::output(Command::new("mshowfat").args(["-i", &image, name]))?;
            if holds(&shown, cluster) {
                return Ok(Some(name.trim_start_matches("::").to_owned()));
            }
        }
        Ok(None)
    }

    fn sector(&self, partition: &Partition) -> Result<[u8; 512]> {
        let mut file = File::open(&self.raw).context("opening a disk")?;
        let mut sector = [0; 512];
        file.seek(SeekFrom::Start(partition.start))
            .and_then(|_| file.read_exact(&mut sector))
            .context("reading a boot sector")?;
        Ok(sector)
    }
}

/// The second word of the second line: how debugfs answers.
fn second_of(table: &str) -> Option<&str> {
    let (_, what) = table.lines().nth(1)?.split_once('\t')?;
    (!what.starts_with('<')).then_some(what.trim())
}

/// The cluster of a byte of a FAT32 file system. Source: Microsoft's FAT specification 1.03, section 3.
fn cluster(boot: &[u8; 512], within: u64) -> Option<u64> {
    let two = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
    let sector = two(11);
    let size = sector * u64::from(boot[13]);
    let long = u32::from_le_bytes([boot[36], boot[37], boot[38], boot[39]]);
    let tables = u64::from(boot[16]) * u64::from(long);
    let data = (two(14) + tables) * sector;
    let cluster = within.checked_sub(data)?.checked_div(size)?;
    Some(cluster + 2)
}

/// Whether mshowfat's list (`::/name <2-5> <9>`) has the cluster.
fn holds(shown: &str, cluster: u64) -> bool {
    let ranges = shown
        .split('<')
        .skip(1)
        .filter_map(|it| it.split('>').next());
    ranges.into_iter().any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let both = first.trim().parse().ok().zip(last.trim().parse().ok());
        both.is_some_and(|(first, last): (u64, u64)| (first..=last).contains(&cluster))
    })
}

/// Partitions by GPT, in bytes; none when there is no table.
fn partitions(raw: &Path) -> Result<Vec<Partition>> {
    let Ok(said) = process::output(Command::new("sfdisk").arg("--json").arg(raw)) else {
        return Ok(Vec::new());
    };
    let dump: Dump = serde_json::from_str(&said).context("understanding sfdisk")?;
    let sector = dump.partitiontable.sectorsize;
    let all = dump.partitiontable.partitions.into_iter();
    Ok(all
        .map(|it| Partition {
            start: it.start * sector,
            size: it.size * sector,
            name: it.name,
        })
        .collect())
}
