//! `bench-pull`: pull, verify and store an OS image beside its peers, for a person at a shell.
use anyhow::{Context, Result};
use burin_hardware_tests::bench::pull::measure;
use burin_hardware_tests::images::Images;

fn main() -> Result<()> {
    let image = Images::of_this_user()?.os()?;
    let folder = tempfile::tempdir().context("making a folder for the measurement")?;
    for figure in measure(folder.path(), &image)? {
        println!("{}", serde_json::to_string(&figure)?);
    }
    Ok(())
}
