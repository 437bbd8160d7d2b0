//! `scripts/bench`: burin's figures beside its peers, as a table and as `target/bench.json`.

use anyhow::{Context, Result};
use burin_hardware_tests::bench::{machine, pull, size, table};
use burin_hardware_tests::images::Images;
use burin_hardware_tests::workspace;
use clap::Parser;

#[derive(Debug, Parser)]
#[command(about = "Burin's figures beside its peers")]
struct Arguments {
    /// Also install a virtual machine and time each phase, which takes minutes
    #[arg(long)]
    machine: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir().context("making a folder for the measurement")?;
    let mut figures = size::measure(folder.path())?;
    let image = Images::of_this_user()?.os()?;
    figures.extend(pull::measure(folder.path(), &image)?);
    figures.extend(if arguments.machine {
        machine::measure(folder.path())?
    } else {
        machine::unmeasured()
    });
    print!("{}", table(&figures));
    let path = workspace::target().join("bench.json");
    let text = serde_json::to_string_pretty(&figures).context("writing the figures")?;
    std::fs::write(&path, text + "\n").with_context(|| format!("writing {}", path.display()))
}
