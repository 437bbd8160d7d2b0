//! What the initramfs of this boot reports.

use anyhow::{Context as _, Result};

use crate::context::Paths;
use crate::events::Events;
use crate::machine::file;
use crate::sysroot::{BootReport, REPORT};

/// Tells how long the way to the root took and what is not as it should be, once a boot: an agent
/// that is started again finds the report taken.
///
/// # Errors
/// When the report cannot be read.
pub fn tell(paths: &Paths, events: &Events) -> Result<()> {
    let path = paths.root.join(REPORT.trim_start_matches('/'));
    let Some(bytes) = file::read_if_there(&path, 1 << 20)? else {
        return Ok(());
    };
    let report: BootReport =
        serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display()))?;
    let taken = path.with_extension("told.json");
    std::fs::rename(&path, &taken).with_context(|| format!("taking {}", path.display()))?;
    let parts: Vec<_> = report
        .parts
        .iter()
        .map(|(part, took)| format!("{part} {took}"))
        .collect();
    events.note(format!(
        "the initramfs reached the root of generation {} in {} ms: {}",
        report.generation,
        report.left.saturating_sub(report.started),
        parts.join(", ")
    ));
    for trouble in report.troubles {
        events.note(trouble);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_of_a_boot_are_told_once() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        let events = Events::new("boot");
        tell(&paths, &events).unwrap();
        let report = BootReport {
            generation: 3,
            started: 1000,
            left: 1700,
            parts: vec![("disk".to_owned(), 500), ("root".to_owned(), 190)],
            troubles: vec!["the data partition is not in use".to_owned()],
            ..BootReport::default()
        };
        std::fs::create_dir_all(root.path().join("run/burin")).unwrap();
        let path = root.path().join("run/burin/boot.json");
        std::fs::write(&path, serde_json::to_vec(&report).unwrap()).unwrap();
        tell(&paths, &events).unwrap();
        tell(&paths, &events).unwrap();
        let told: Vec<_> = events
            .after(0, 10)
            .into_iter()
            .map(|event| event.message)
            .collect();
        assert_eq!(
            told,
            [
                "the initramfs reached the root of generation 3 in 700 ms: disk 500, root 190",
                "the data partition is not in use"
            ]
        );
    }
}
