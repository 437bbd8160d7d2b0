//! Writes the partition table, if the disk is still the one that was chosen.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use burin_core::host::Disk;
use burin_core::layout::Layout;

use crate::context::Context;
use crate::machine::{block, ioctl, medium, probe};
use crate::steps::{Failure, Outcome};

/// The kernel shows new partitions within milliseconds; a slow controller within seconds.
const NODES_LIMIT: Duration = Duration::from_secs(30);

/// Writes the partition table with the GUIDs of the layout, after the signatures of whatever was on
/// the disk. A disk that carries the table already is left as it is.
///
/// # Errors
/// When the disk is in use, is no longer the one that was looked at, or cannot be written.
#[expect(clippy::unused_async, reason = "every step has the same shape")]
pub async fn perform(ctx: &Context, layout: &Layout) -> Result<Outcome> {
    let root = &ctx.paths.root;
    let node = Path::new(&layout.disk);
    let file = std::fs::File::open(node).with_context(|| format!("opening {}", node.display()))?;
    if !block::carries(block::ReadOnly(file), layout) {
        let now = probe::disks(root);
        let find = |disks: &[Disk]| {
            disks
                .iter()
                .find(|disk| disk.node() == layout.disk)
                .cloned()
        };
        let media: Vec<_> = medium::find(root)
            .into_iter()
            .map(|one| one.device)
            .collect();
        check(
            layout,
            find(&ctx.facts.disks).as_ref(),
            find(&now).as_ref(),
            &media,
        )?;
        write(node, layout)?;
    }
    let deadline = Instant::now() + NODES_LIMIT;
    for partition in [&layout.esp, &layout.system, &layout.data] {
        block::wait_for_partition(root, &partition.guid, deadline)?;
    }
    Ok(Outcome::Done)
}

fn write(node: &Path, layout: &Layout) -> Result<()> {
    let mut disk = block::open_alone(node).map_err(|err| {
        Failure::never(
            format!("{} is in use, nothing was written", node.display()),
            "Free the disk (it is mounted, or part of a RAID or volume group) or choose another.",
        )
        .because(err)
    })?;
    let size = ioctl::size(&disk)?;
    let syncing = || format!("syncing {}", node.display());
    block::wipe(&mut disk, size, layout)?;
    disk.sync_all().with_context(syncing)?;
    // From here on a power cut leaves a disk that is known as this installation's.
    block::write_mark(&mut disk, layout)?;
    disk.sync_all().with_context(syncing)?;
    let disk = block::write_table(disk, layout)?;
    disk.sync_all().with_context(syncing)?;
    ioctl::drop_cache(&disk)?;
    if !block::carries(&disk, layout) {
        return Err(Failure::again(format!(
            "the partition table of {} does not read back as it was written",
            node.display()
        ))
        .advise("If it stays so, the disk is broken: replace it.")
        .into());
    }
    block::tell_kernel(&disk, layout)
}

/// Between the choice and this write somebody may have pulled one disk and plugged another: names
/// are given in the order of discovery.
fn check(
    layout: &Layout,
    chosen: Option<&Disk>,
    now: Option<&Disk>,
    media: &[PathBuf],
) -> Result<(), Failure> {
    let changed = |what: &str| {
        Failure::never(
            format!("{}: {what}; nothing was written", layout.disk),
            "Start the installer again, so that it looks at the disks anew.",
        )
    };
    let (Some(chosen), Some(now)) = (chosen, now) else {
        return Err(changed("the disk is gone"));
    };
    let identity = |disk: &Disk| {
        (
            disk.serial.clone(),
            disk.wwn.clone(),
            disk.size,
            disk.sector,
        )
    };
    if identity(chosen) != identity(now) {
        return Err(changed("another disk has this name now"));
    }
    if media
        .iter()
        .any(|medium| medium.as_os_str() == layout.disk.as_str())
    {
        return Err(changed("the installer itself runs from this disk"));
    }
    // The kernel's view changes only after our own table is on the disk, which is noticed before.
    if chosen.partitions != now.partitions {
        return Err(changed("somebody partitioned the disk meanwhile"));
    }
    if now.sector != layout.sector || layout.data.start + layout.data.size > now.size {
        return Err(changed("the planned partitions do not fit the disk"));
    }
    if now.read_only {
        return Err(changed("the disk is read-only"));
    }
    let holders = now.all_holders();
    if !holders.is_empty() {
        return Err(changed(&format!("in use by {}", holders.join(", "))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use burin_core::host::PartitionFact;
    use burin_core::layout::{Guids, compute};

    fn disk() -> Disk {
        Disk {
            name: "nvme0n1".to_owned(),
            serial: "S1".to_owned(),
            size: 128_000_000_000,
            sector: 512,
            ..Disk::default()
        }
    }

    fn layout() -> Layout {
        let guid = |n: u8| format!("0f3c1a52-7a10-4a52-9c5f-5d2f7cf0a00{n}");
        let guids = Guids {
            disk: guid(0),
            esp: guid(1),
            system: guid(2),
            data: guid(3),
        };
        compute("/dev/nvme0n1", disk().size, 512, 24 << 30, &guids).unwrap()
    }

    #[test]
    fn only_the_disk_that_was_chosen_is_written() {
        let held = Disk {
            holders: vec!["md0".to_owned()],
            ..disk()
        };
        let other = Disk {
            serial: "S2".to_owned(),
            ..disk()
        };
        let smaller = Disk {
            size: 64_000_000_000,
            ..disk()
        };
        let partitioned = Disk {
            partitions: vec![PartitionFact::default()],
            ..disk()
        };
        let locked = Disk {
            read_only: true,
            ..disk()
        };
        for (now, want) in [
            (Some(disk()), None),
            (None, Some("gone")),
            (Some(other), Some("another disk")),
            (Some(smaller), Some("another disk")),
            (Some(held), Some("in use by md0")),
            (Some(locked), Some("read-only")),
            (Some(partitioned), Some("partitioned")),
        ] {
            let outcome = check(&layout(), Some(&disk()), now.as_ref(), &[]);
            match want {
                None => assert!(outcome.is_ok(), "{outcome:?}"),
                Some(text) => assert!(outcome.unwrap_err().to_string().contains(text)),
            }
        }
    }

    #[test]
    fn a_disk_that_was_never_looked_at_is_refused() {
        assert!(check(&layout(), None, Some(&disk()), &[]).is_err());
    }

    #[test]
    fn the_disk_that_the_installer_runs_from_is_never_written() {
        let (one, other) = (PathBuf::from("/dev/nvme0n1"), PathBuf::from("/dev/sda"));
        let with = |media: &[PathBuf]| check(&layout(), Some(&disk()), Some(&disk()), media);
        assert!(with(std::slice::from_ref(&other)).is_ok());
        let err = with(&[other, one]).unwrap_err();
        assert!(err.to_string().contains("runs from this disk"), "{err}");
    }
}
