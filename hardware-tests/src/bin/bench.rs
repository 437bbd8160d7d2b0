//! `scripts/bench`: burin's figures beside its peers, as a table and as `target/bench.json`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use burin_hardware_tests::artifacts::Artifacts;
use burin_hardware_tests::bench::{Figure, fleet, machine, pull, size, table};
use burin_hardware_tests::images::Images;
use burin_hardware_tests::workspace;
use clap::Parser;

#[derive(Debug, Parser)]
#[command(about = "Burin's figures beside its peers")]
struct Arguments {
    /// Also install a virtual machine and time each phase, which takes minutes
    #[arg(long)]
    machine: bool,
    /// Only drive so many fake hosts against the hub, which takes about eight minutes
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "10000",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    fleet: Option<u32>,
    /// Only time the hub's refusals of codes that a host shows and of others, with so many accounts,
    /// which takes about a minute
    #[arg(long, value_name = "ACCOUNTS", num_args = 0..=1, default_missing_value = "1000",
          conflicts_with_all = ["fleet", "machine"],
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    codes: Option<u32>,
    /// Seconds between two syncs of a host of the fleet
    #[arg(long, requires = "fleet", value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u32).range(1..=3600))]
    interval: u32,
    /// Seconds for which the hub of the fleet is away before it comes back
    #[arg(long, requires = "fleet", value_name = "SECONDS", default_value_t = 10,
          value_parser = clap::value_parser!(u64).range(0..=3600))]
    away: u64,
    /// The hub of the fleet uses this empty PostgreSQL database; without it an SQLite file
    #[arg(long, requires = "fleet", value_name = "postgres://USER@HOST/DATABASE")]
    database_url: Option<String>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir().context("making a folder for the measurement")?;
    let figures = match (arguments.codes, arguments.fleet) {
        (Some(accounts), _) => {
            let built = Artifacts::beside_this_program()?;
            fleet::codes::measure(&built, folder.path(), accounts)?
        }
        (None, Some(hosts)) => drive(&arguments, hosts, folder.path())?,
        (None, None) => programs(&arguments, folder.path())?,
    };
    print!("{}", table(&figures));
    let path = workspace::target().join("bench.json");
    let text = serde_json::to_string_pretty(&figures).context("writing the figures")?;
    std::fs::write(&path, text + "\n").with_context(|| format!("writing {}", path.display()))
}

fn programs(arguments: &Arguments, folder: &Path) -> Result<Vec<Figure>> {
    let mut figures = size::measure(folder)?;
    let image = Images::of_this_user()?.os()?;
    figures.extend(pull::measure(folder, &image)?);
    figures.extend(if arguments.machine {
        machine::measure(folder)?
    } else {
        machine::unmeasured()
    });
    Ok(figures)
}

fn drive(arguments: &Arguments, hosts: u32, folder: &Path) -> Result<Vec<Figure>> {
    let plan = fleet::Plan {
        away: Duration::from_secs(arguments.away),
        ..fleet::Plan::of(hosts, arguments.interval, arguments.database_url.clone())
    };
    fleet::measure(&Artifacts::beside_this_program()?, folder, &plan)
}
