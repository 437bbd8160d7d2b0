//! Tells what an installation cost, once it is done.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use burin_api::event::EventKind;
use burin_core::cost::{self, Cost};
use burin_core::layout::Layout;
use nix::sys::resource::{UsageWho, getrusage};

use crate::context::Context;
use crate::machine::{block, file};

/// Bytes of a text of the kernel at most.
const TEXT: usize = 64 << 10;

/// Makes the note. Figures that cannot be had stop nothing.
///
/// # Errors
/// When the thread that counts dies.
pub(super) async fn tell(ctx: Context, layout: Layout) -> Result<()> {
    let told = tokio::task::spawn_blocking(move || match count(&ctx, &layout) {
        Ok(cost) => ctx.events.note(cost.to_string()),
        Err(err) => {
            let err = err.context("counting what the installation cost");
            ctx.events.report(EventKind::Note, "", &err);
        }
    });
    told.await.context("counting what the installation cost")
}

/// Everything is written to the disk before it is counted.
fn count(ctx: &Context, layout: &Layout) -> Result<Cost> {
    let root = &ctx.paths.root;
    let status = file::read_text(&root.join("proc/self/status"), TEXT)?;
    let memory = cost::peak_memory(&status).context("/proc/self/status has no VmHWM")?;
    let programs = getrusage(UsageWho::RUSAGE_CHILDREN).context("asking what programs needed")?;
    let guid = &layout.system.guid;
    let node = block::find_partition(root, guid).context("looking for the system partition")?;
    let name = node.file_name().context("a device has a name")?;
    let system = std::fs::File::open(&ctx.paths.system)
        .with_context(|| format!("opening {}", ctx.paths.system.display()))?;
    rustix::fs::syncfs(&system).context("writing the system partition")?;
    let stat = root.join("sys/class/block").join(name).join("stat");
    let written = cost::written(&file::read_text(&stat, TEXT)?)
        .with_context(|| format!("{} counts no writes", stat.display()))?;
    let layers = ctx.release()?.layers.iter();
    let ids: BTreeSet<_> = layers
        .flat_map(|layer| &layer.blobs)
        .map(|blob| &blob.diff_id)
        .collect();
    let mut content = 0_u64;
    for id in ids {
        content = content.saturating_add(ctx.store()?.layer_content(id)?);
    }
    Ok(Cost {
        memory,
        // Counted in KiB.
        programs: u64::try_from(programs.max_rss())
            .unwrap_or(0)
            .saturating_mul(1024),
        written,
        content,
    })
}
