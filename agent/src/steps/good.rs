//! Marks the running generation good.

use anyhow::{Context as _, Result};
use burin_core::boot::mark_good;

use crate::context::{Context, Paths};
use crate::installed::generations;
use crate::steps::generation::now;
use crate::steps::{Outcome, entry};

/// Writes and syncs the entry without a counter, then removes the counted name, then the state.
///
/// # Errors
/// When the generation has no entry, or the disk fails.
#[expect(clippy::unused_async, reason = "every step has the same shape")]
pub async fn perform(ctx: &Context, generation: u64) -> Result<Outcome> {
    mark(&ctx.paths, generation)?;
    ctx.events
        .note(format!("generation {generation} is proven good"));
    Ok(Outcome::Done)
}

fn mark(paths: &Paths, number: u64) -> Result<()> {
    let names = entry::names(paths)?;
    let todo = mark_good(&names, number)
        .with_context(|| format!("generation {number} has no boot entry to mark"))?;
    if let Some(good) = todo.write {
        let text = entry::read(paths, &todo.source)?;
        entry::write(paths, &good, &text)?;
    }
    for counted in &todo.remove {
        entry::remove(paths, counted)?;
    }
    let mut generation = generations::need(paths, number)?;
    generation.mark_good(now())?;
    generations::write(paths, &generation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::entry::tests::{entry_names, staged};
    use burin_core::boot::{Entry, EntryName};

    /// Every state in which a power cut can leave the folder ends in the same good state.
    #[test]
    fn marking_ends_the_same_from_every_cut() {
        let text = Entry::generation(2, "p 1", "k", "i", "quiet").render();
        for there in [
            vec!["burin-2+2-1.conf"],
            vec!["burin-2.conf", "burin-2+2-1.conf"],
            vec!["burin-2.conf"],
        ] {
            let root = tempfile::tempdir().unwrap();
            let paths = staged(root.path(), 2);
            let mut generation = generations::need(&paths, 2).unwrap();
            generation.arm().unwrap();
            generations::write(&paths, &generation).unwrap();
            for name in &there {
                entry::write(&paths, &EntryName::parse(name).unwrap(), &text).unwrap();
            }
            mark(&paths, 2).unwrap();
            assert_eq!(entry_names(&paths), ["burin-2.conf"], "from {there:?}");
            assert!(!generations::need(&paths, 2).unwrap().unproven());
            assert_eq!(entry::read(&paths, &EntryName::good(2)).unwrap(), text);
        }
    }

    #[test]
    fn a_generation_without_an_entry_cannot_be_good() {
        let root = tempfile::tempdir().unwrap();
        let paths = staged(root.path(), 2);
        let err = mark(&paths, 2).unwrap_err();
        assert!(format!("{err:#}").contains("no boot entry"), "{err:#}");
    }
}
