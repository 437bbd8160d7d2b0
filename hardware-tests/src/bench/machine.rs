//! A whole installation in a virtual machine: the demo, and what the host told of itself.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use burin_core::cost::Cost;

use super::Figure;
use crate::artifacts::Artifacts;
use crate::board::Board as _;
use crate::hub::Hub;
use crate::person::Person;
use crate::process::output;
use crate::register::{announce, approve, host_id, newcomer};
use crate::screen::said;
use crate::story::Story;

/// Bytes of a MiB.
const MIB: f64 = 1024.0 * 1024.0;

/// What an installation may write to the system partition at most, in parts of the unpacked content.
pub const MOST_WRITTEN: f64 = 1.6;
/// What the agent may hold at most in an installation, MiB.
pub const MOST_MEMORY: f64 = 96.0;

/// Runs the demo with the programs as shipped. It leaves its story in `folder`.
///
/// # Errors
/// When the demo fails (the error carries what it said), or the host kept a figure to itself.
pub fn measure(folder: &Path) -> Result<Vec<Figure>> {
    let path = folder.join("story.json");
    let demo = std::env::current_exe().context("looking for the demo beside this program")?;
    let mut command = Command::new(demo.with_file_name("demo"));
    command.args(["--release", "--story"]);
    output(command.arg(&path)).context("running the demo")?;
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let story: Story = serde_json::from_str(&text).context("understanding the demo's story")?;
    let told = story.notes.join("\n");
    let cost = Cost::find(&told).with_context(|| format!("no cost is told in: {told}"))?;
    let initramfs =
        initramfs(&told).with_context(|| format!("no time of the initramfs is told in: {told}"))?;
    let click = click(folder)?.as_secs_f64();
    let whole = Some(story.seconds);
    let mut figures = figures(Some(cost), Some(initramfs), whole, Some(click));
    for (name, seconds) in &story.parts {
        figures.push(Figure::reported(&format!("– {name}"), *seconds, "s"));
    }
    Ok(figures)
}

/// The figures of a machine when none was started.
#[must_use]
pub fn unmeasured() -> Vec<Figure> {
    figures(None, None, None, None)
}

/// Has an operator let a host in at the hub's pages: the time from the click to the host's console.
fn click(folder: &Path) -> Result<Duration> {
    let artifacts = Artifacts::beside_this_program()?;
    let hub = Hub::start(&artifacts, folder, 0)?;
    let mut machine = newcomer(&artifacts, &hub, folder)?;
    machine.power_on()?;
    let id = host_id(&mut machine)?;
    let key = said(&mut machine, "key")?;
    let operator = Person::operator(&hub, folder)?;
    announce(&operator, &id, None)?;
    approve(&operator, &mut machine, &id, &key)
}

fn figures(
    cost: Option<Cost>,
    initramfs: Option<f64>,
    whole: Option<f64>,
    click: Option<f64>,
) -> Vec<Figure> {
    let mib = |bytes: u64| bytes as f64 / MIB;
    vec![
        Figure::bounded(
            "bytes written to the system partition in an install / unpacked content",
            cost.map(|it| it.written as f64 / it.content as f64),
            "x",
            MOST_WRITTEN,
            1.35,
        ),
        Figure::bounded(
            "peak memory of the agent in an install",
            cost.map(|it| mib(it.memory)),
            "MiB",
            MOST_MEMORY,
            64.0,
        ),
        Figure::reported(
            "peak memory of a program of the agent, at most",
            cost.map(|it| mib(it.programs)),
            "MiB",
        ),
        Figure {
            goal: Some(1.5),
            ..Figure::reported(
                "initramfs of the installed host, own time to switch root",
                initramfs,
                "s",
            )
        },
        Figure::reported(
            "an operator's click, until the host's console knows",
            click,
            "s",
        ),
        Figure::reported("demo, power-on to `running`", whole, "s"),
    ]
}

/// Seconds that the initramfs of the installed host took.
fn initramfs(told: &str) -> Option<f64> {
    told.lines().find_map(|line| {
        let line = line.strip_prefix("the initramfs reached the root of generation ")?;
        let (_, time) = line.split_once(" in ")?;
        let (time, _) = time.split_once(" ms")?;
        Some(time.parse::<f64>().ok()? / 1000.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initramfs_time_is_found_among_notes() {
        let told = "hello in 3 ms\nthe initramfs reached the root of generation 12 in 1480 ms: disk 900, root 80";
        assert_eq!(initramfs(told), Some(1.48));
        assert_eq!(initramfs("the initramfs reached the root"), None);
    }

    #[test]
    fn a_machine_that_was_not_started_leaves_the_same_rows_empty() {
        let cost = Cost {
            memory: 50 << 20,
            programs: 1 << 20,
            written: 130,
            content: 100,
        };
        let (some, none) = (
            figures(Some(cost), Some(1.0), Some(2.0), Some(3.0)),
            unmeasured(),
        );
        let names = |it: &[Figure]| it.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&some), names(&none));
        assert!(none.iter().all(|it| it.value.is_none()));
        assert_eq!((some[0].value, some[0].verdict()), (Some(1.3), "goal"));
        assert_eq!((some[1].value, some[1].verdict()), (Some(50.0), "goal"));
    }
}
