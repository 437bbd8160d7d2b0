//! What lies on the disks, read without changing any of them.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use burin_core::boot::{ENTRIES, EntryName};
use burin_core::generations::{Generation, State};
use burin_core::host::{Disk, HostFacts};
use burin_core::layout::{
    BurinContent, Candidate, Content, GptEntry, HEAD_BYTES, Layout, Partition, Signatures,
    TAIL_BYTES, signatures,
};
use nix::mount::MsFlags;

use crate::context::Paths;
use crate::installed::generations;
use crate::machine::file;
use crate::machine::medium;
use crate::machine::mount::{Mounted, QUIET, Source, mounted_at, unmount};
use crate::record::Keeper;

/// A disk, what lies on it, and what a half-finished installation left there.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) candidate: Candidate,
    /// Partitions of a burin disk, with the operation's ID as the disk's GUID.
    pub(super) layout: Option<Layout>,
}

/// Looks at every disk.
pub(super) fn look(paths: &Paths, facts: &HostFacts) -> Vec<Found> {
    facts
        .disks
        .iter()
        .map(|disk| look_at(paths, disk))
        .collect()
}

fn look_at(paths: &Paths, disk: &Disk) -> Found {
    let read = read_signatures(paths, disk);
    let (content, layout) = match read {
        Err(err) => (Content::Unreadable(format!("{err:#}")), None),
        Ok(found) if found.is_empty() => (Content::Empty, None),
        Ok(found) if found.unfinished.is_some() => unfinished(disk, &found),
        Ok(found) if found.is_burin() => {
            let content = burin_content(paths, disk, &found);
            let operation = content.operation.clone().unwrap_or_default();
            let layout = layout(disk, &found, &operation);
            (Content::Burin(content), layout)
        }
        Ok(found) => (Content::Foreign(found.describe()), None),
    };
    Found {
        candidate: Candidate {
            disk: disk.clone(),
            content,
        },
        layout,
    }
}

/// An installation that ended before its file systems were whole: what is in the partitions says
/// nothing, and is not looked at.
fn unfinished(disk: &Disk, found: &Signatures) -> (Content, Option<Layout>) {
    let content = BurinContent {
        operation: found.unfinished.clone(),
        readable: true,
        ..BurinContent::default()
    };
    let operation = content.operation.clone().unwrap_or_default();
    (Content::Burin(content), layout(disk, found, &operation))
}

/// Kernel name of the disk that carries the installer's ISO.
pub(super) fn boot_medium(paths: &Paths, facts: &HostFacts) -> Option<String> {
    let media = medium::find(&paths.root);
    let carries = |disk: &&Disk| media.iter().any(|it| it.device == node(paths, &disk.name));
    facts
        .disks
        .iter()
        .find(carries)
        .map(|disk| disk.name.clone())
}

/// What lies on a disk, in a few words for the hub.
pub(super) fn describe(found: &[Found], disk: &Disk) -> String {
    let one = found.iter().find(|it| it.candidate.disk.name == disk.name);
    match one.map(|it| &it.candidate.content) {
        None => String::new(),
        Some(Content::Empty) => "empty".to_owned(),
        Some(Content::Burin(_)) => "burin".to_owned(),
        Some(Content::Foreign(what)) => format!("foreign: {what}"),
        Some(Content::Unreadable(_)) => "unreadable".to_owned(),
    }
}

fn read_signatures(paths: &Paths, disk: &Disk) -> Result<Signatures> {
    let node = node(paths, &disk.name);
    let doing = || format!("reading {}", node.display());
    let mut device = File::open(&node).with_context(doing)?;
    let mut head = Vec::new();
    let head_bytes = u64::try_from(HEAD_BYTES).unwrap_or(u64::MAX);
    (&mut device)
        .take(head_bytes)
        .read_to_end(&mut head)
        .with_context(doing)?;
    let tail_bytes = u64::try_from(TAIL_BYTES).unwrap_or(u64::MAX);
    let start = disk.size.saturating_sub(tail_bytes);
    device.seek(SeekFrom::Start(start)).with_context(doing)?;
    let mut tail = Vec::new();
    device
        .take(tail_bytes)
        .read_to_end(&mut tail)
        .with_context(doing)?;
    Ok(signatures(&head, &tail, disk.sector))
}

fn node(paths: &Paths, name: &str) -> PathBuf {
    paths.root.join("dev").join(name)
}

/// The device of a partition, by its number: kernel names differ (`sda2`, `nvme0n1p2`).
pub(super) fn partition_node(paths: &Paths, disk: &Disk, number: u32) -> Option<PathBuf> {
    let fact = disk.partitions.iter().find(|it| it.number == number)?;
    Some(node(paths, &fact.name))
}

/// What the system partition says. A partition that holds no file system was never finished; one
/// that holds something and cannot be read is taken for a live host by the rules.
fn burin_content(paths: &Paths, disk: &Disk, found: &Signatures) -> BurinContent {
    let Some(system) = found.partitions.get(1) else {
        return BurinContent::default();
    };
    let Some(device) = partition_node(paths, disk, system.number) else {
        return BurinContent::default();
    };
    let read = with_mounted(paths, &device, "ext4", &paths.system, read_system);
    let installed = match (&read, found.partitions.first()) {
        (Ok(content), Some(esp)) if content.identity => armed(paths, disk, esp.number),
        _ => Ok(false),
    };
    match (read, installed) {
        (Ok(content), Ok(installed)) => BurinContent {
            installed,
            ..content
        },
        (Ok(content), Err(_)) => BurinContent {
            readable: false,
            ..content
        },
        (Err(_), _) => BurinContent {
            readable: is_blank(&device),
            ..BurinContent::default()
        },
    }
}

/// Whether a generation has a boot entry: the last write of an installation.
fn armed(paths: &Paths, disk: &Disk, esp: u32) -> Result<bool> {
    let device = partition_node(paths, disk, esp).context("finding the ESP")?;
    with_mounted(paths, &device, "vfat", &paths.esp, |at| {
        Ok(!entries(at)?.is_empty())
    })
}

/// The boot entries of generations on a mounted ESP.
pub(super) fn entries(esp: &Path) -> Result<Vec<EntryName>> {
    let folder = esp.join(ENTRIES);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let doing = || format!("reading {}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(doing)? {
        let name = entry.with_context(doing)?.file_name();
        found.extend(name.to_str().and_then(EntryName::parse));
    }
    Ok(found)
}

/// Whether a partition carries no file system yet.
fn is_blank(device: &Path) -> bool {
    let mut head = Vec::new();
    let limit = u64::try_from(HEAD_BYTES).unwrap_or(u64::MAX);
    let read = File::open(device).and_then(|device| device.take(limit).read_to_end(&mut head));
    read.is_ok() && signatures(&head, &[], 512).is_empty()
}

/// Calls `read` with the folder where a partition is: where it is mounted already, or mounted
/// read-only for this call. The kernel may replay the journal of a disk that lost power, which is
/// part of reading it: what was synced there is not visible otherwise.
pub(super) fn with_mounted<T>(
    paths: &Paths,
    device: &Path,
    kind: &str,
    usual: &Path,
    read: impl FnOnce(&Path) -> Result<T>,
) -> Result<T> {
    if is_mounted(paths, device, usual) {
        return read(usual);
    }
    let source = Source {
        device,
        kind,
        flags: QUIET | MsFlags::MS_RDONLY,
        options: "",
    };
    let mounted = Mounted::new(source, &paths.root.join("run/burin/look"))?;
    let result = read(mounted.path());
    mounted.end()?;
    result
}

/// Whether this very device is mounted there.
pub(super) fn is_mounted(paths: &Paths, device: &Path, at: &Path) -> bool {
    let mounts = file::read_text(&paths.root.join("proc/self/mounts"), 1 << 20);
    let mounts = mounts.unwrap_or_default();
    mounted_at(&mounts, &at.display().to_string())
        .is_some_and(|(source, _)| Path::new(source) == device)
}

/// Unmounts what an earlier life of the agent mounted and did not get as far as making its own: the
/// disk is partitioned anew, which the kernel refuses for one in use.
///
/// # Errors
/// When something still uses it.
pub(super) fn let_go(paths: &Paths) -> Result<()> {
    let mounts = file::read_text(&paths.root.join("proc/self/mounts"), 1 << 20)?;
    for at in [&paths.esp, &paths.data, &paths.system] {
        if mounted_at(&mounts, &at.to_string_lossy()).is_some() {
            unmount(at)?;
        }
    }
    Ok(())
}

fn read_system(at: &Path) -> Result<BurinContent> {
    let paths = Paths {
        system: at.to_owned(),
        ..Paths::default()
    };
    let record = Keeper::find(&paths)?;
    let all = generations::all(&paths)?;
    let good = |it: &Generation| matches!(it.state, State::Good { .. });
    Ok(BurinContent {
        identity: paths.identity_key().exists(),
        ever_good: all.iter().any(good),
        installed: false,
        operation: record.map(|record| record.operation),
        readable: true,
    })
}

fn layout(disk: &Disk, found: &Signatures, operation: &str) -> Option<Layout> {
    let part = |entry: &GptEntry| Partition {
        number: entry.number,
        guid: entry.guid.clone(),
        start: entry.start,
        size: entry.size,
    };
    let [esp, system, data] = &found.partitions[..] else {
        return None;
    };
    Some(Layout {
        disk: disk.node(),
        sector: disk.sector,
        disk_guid: operation.to_owned(),
        esp: part(esp),
        system: part(system),
        data: part(data),
    })
}

/// The half-finished installation on these disks, if there is exactly one: its partitions, and the
/// device of its system partition.
pub(super) fn half_finished<'a>(
    paths: &Paths,
    found: &'a [Found],
) -> Option<(&'a Layout, PathBuf)> {
    let unfinished = |it: &&Found| {
        matches!(&it.candidate.content, Content::Burin(content)
            if content.readable && content.identity && content.operation.is_some()
                && !content.ever_good && !content.installed)
    };
    let mut all = found.iter().filter(unfinished);
    let (one, None) = (all.next()?, all.next()) else {
        return None;
    };
    let layout = one.layout.as_ref()?;
    let device = partition_node(paths, &one.candidate.disk, layout.system.number)?;
    Some((layout, device))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(name: &str, size: u64) -> Disk {
        Disk {
            name: name.to_owned(),
            size,
            sector: 512,
            ..Disk::default()
        }
    }

    #[test]
    fn an_empty_disk_is_empty_and_a_missing_one_unreadable() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        std::fs::create_dir_all(root.path().join("dev")).unwrap();
        std::fs::write(root.path().join("dev/vda"), vec![0; 4 << 20]).unwrap();
        let facts = HostFacts {
            disks: vec![disk("vda", 4 << 20), disk("vdb", 1 << 20)],
            ..HostFacts::default()
        };
        let found = look(&paths, &facts);
        assert_eq!(found[0].candidate.content, Content::Empty);
        assert!(matches!(found[1].candidate.content, Content::Unreadable(_)));
        assert_eq!(describe(&found, &facts.disks[0]), "empty");
        assert!(half_finished(&paths, &found).is_none());
    }

    #[test]
    fn a_disk_that_was_being_partitioned_is_no_live_host() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        std::fs::create_dir_all(root.path().join("dev")).unwrap();
        let operation = "0f3c1a52-7a10-4a52-9c5f-5d2f7cf0a001";
        let mut bytes = vec![0; 4 << 20];
        let block = burin_core::layout::mark(operation);
        bytes[1 << 20..][..block.len()].copy_from_slice(&block);
        std::fs::write(root.path().join("dev/vda"), bytes).unwrap();
        let facts = HostFacts {
            disks: vec![disk("vda", 4 << 20)],
            ..HostFacts::default()
        };
        let found = look(&paths, &facts);
        assert!(half_finished(&paths, &found).is_none(), "nothing to resume");
        let Content::Burin(content) = &found[0].candidate.content else {
            panic!("{found:?}");
        };
        assert_eq!(content.operation.as_deref(), Some(operation));
        assert!(content.readable && !content.identity && !content.installed);
    }

    #[test]
    fn a_disk_with_data_is_foreign() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        std::fs::create_dir_all(root.path().join("dev")).unwrap();
        let mut bytes = vec![0; 4 << 20];
        bytes[1080..1082].copy_from_slice(&[0x53, 0xef]);
        std::fs::write(root.path().join("dev/vda"), bytes).unwrap();
        let found = look(
            &paths,
            &HostFacts {
                disks: vec![disk("vda", 4 << 20)],
                ..HostFacts::default()
            },
        );
        assert!(
            matches!(&found[0].candidate.content, Content::Foreign(what) if what.contains("ext")),
            "{found:?}"
        );
    }
}
