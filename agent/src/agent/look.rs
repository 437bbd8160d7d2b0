//! What is there now of the wanted installation: evidence on the disk, gathered for the plan.

use std::collections::BTreeSet;

use anyhow::Result;
use burin_core::boot::{ENTRIES, RECOVERY_ENTRY};
use burin_core::generations::next_number;
use burin_core::host::Disk;
use burin_core::layout::Layout;
use burin_core::plan::{Entry, Seen};

use super::disks;
use crate::context::{Context, Paths};
use crate::hub::Identity;
use crate::installed::generations;
use crate::steps;
use crate::steps::sealed::SealedRelease;

/// The number under which a release is installed: the one it was begun with, or a new one.
pub(super) fn generation_number(ctx: &Context) -> Result<u64> {
    let all = generations::all(&ctx.paths)?;
    let release = ctx.release()?;
    let next = next_number(all.iter().map(|it| it.content.number));
    for number in 1..=next {
        if SealedRelease::find(&ctx.paths, number, release)?.is_some() {
            return Ok(number);
        }
    }
    Ok(next)
}

/// Looks at the target disk. `found` is what its partition table said, with the GUID of this
/// operation as the disk's.
pub(super) fn install(
    ctx: &Context,
    disk: &Disk,
    found: Option<&Layout>,
    generation: u64,
) -> Result<Seen> {
    let mut seen = Seen {
        layout: found.cloned(),
        ..Seen::default()
    };
    let Some(layout) = found else {
        return Ok(seen);
    };
    seen.filesystems = mounted(&ctx.paths, disk, layout);
    if !seen.filesystems {
        return Ok(seen);
    }
    let kept = Identity::find(&ctx.paths)?;
    seen.identity = kept.is_some_and(|kept| kept.thumbprint() == ctx.identity.thumbprint());
    seen.recovery = has_recovery(&ctx.paths);
    if !seen.identity {
        return Ok(seen);
    }
    seen.layers = layers(ctx)?;
    let sealed = SealedRelease::find(&ctx.paths, generation, ctx.release()?)?;
    seen.sealed = sealed.is_some();
    let written = generations::all(&ctx.paths)?
        .into_iter()
        .find(|it| it.content.number == generation);
    if let (Some(sealed), Some(written)) = (sealed, written) {
        let content = &written.content;
        seen.generation =
            same_digest(&content.root, &sealed.root) && same_digest(&content.agent, &sealed.agent);
        seen.kernel = steps::kernel::look(&ctx.paths, generation);
        seen.entry = steps::entry::look(&ctx.paths, generation);
    }
    Ok(seen)
}

/// Digests stand in files with and without the name of their kind.
fn same_digest(a: &str, b: &str) -> bool {
    let hex = |text: &str| text.rsplit(':').next().unwrap_or_default().to_owned();
    hex(a) == hex(b)
}

fn mounted(paths: &Paths, disk: &Disk, layout: &Layout) -> bool {
    let places = [
        (layout.esp.number, &paths.esp),
        (layout.system.number, &paths.system),
        (layout.data.number, &paths.data),
    ];
    places.into_iter().all(|(number, at)| {
        disks::partition_node(paths, disk, number)
            .is_some_and(|device| disks::is_mounted(paths, &device, at))
    })
}

/// The entry is the last file of the recovery, written after what it names was read back.
fn has_recovery(paths: &Paths) -> bool {
    paths.esp.join(ENTRIES).join(RECOVERY_ENTRY).exists()
        && paths.esp.join("EFI/BOOT/BOOTX64.EFI").exists()
}

fn layers(ctx: &Context) -> Result<BTreeSet<String>> {
    let store = ctx.store()?;
    let blobs = ctx.release()?.layers.iter().flat_map(|layer| &layer.blobs);
    let diff_ids: BTreeSet<String> = blobs.map(|blob| blob.diff_id.clone()).collect();
    Ok(diff_ids
        .into_iter()
        .filter(|diff_id| store.has_layer(diff_id))
        .collect())
}

/// The boot entry of a generation on the mounted ESP, by its name: it has started this very boot.
///
/// # Errors
/// When the ESP cannot be read.
pub(super) fn entry(paths: &Paths, generation: u64) -> Result<Entry> {
    let entries = disks::entries(&paths.esp)?;
    let ours = entries.iter().filter(|it| it.generation == generation);
    let states = ours.map(|it| match it.tries {
        None => Entry::Good,
        Some(_) => Entry::Counted,
    });
    Ok(states.max().unwrap_or(Entry::Absent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_tells_whether_a_generation_is_armed_or_good() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        assert_eq!(entry(&paths, 1).unwrap(), Entry::Absent);
        let folder = paths.esp.join(ENTRIES);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, want) in [
            ("burin-recovery.conf", Entry::Absent),
            ("burin-2.conf", Entry::Absent),
            ("burin-1+2-1.conf", Entry::Counted),
            // A power cut may leave both names; the good one counts.
            ("burin-1.conf", Entry::Good),
        ] {
            std::fs::write(folder.join(name), "").unwrap();
            assert_eq!(entry(&paths, 1).unwrap(), want, "{name}");
        }
    }

    #[test]
    fn digests_are_compared_without_their_prefix() {
        assert!(same_digest("v1-sha512-12:ab", "ab"));
        assert!(!same_digest("sha512:ab", "ac"));
    }
}
