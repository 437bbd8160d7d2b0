//! What a sparse file really holds: disks of 128 GiB of which a few hundred MiB were ever written.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// Bytes that were written, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub start: u64,
    pub length: u64,
}

#[derive(Deserialize)]
struct Part {
    start: u64,
    length: u64,
    data: bool,
}

/// What the raw file `disk` holds, in its order; neighbours are one.
///
/// # Errors
/// When `qemu-img` fails.
pub fn stored(disk: &Path) -> Result<Vec<Extent>> {
    let mut command = Command::new("qemu-img");
    command
        .args(["map", "--output=json", "-f", "raw"])
        .arg(disk);
    let said = process::output(&mut command)?;
    let map: Vec<Part> = serde_json::from_str(&said).context("understanding qemu-img map")?;
    let mut extents: Vec<Extent> = Vec::new();
    for Part { start, length, .. } in map.into_iter().filter(|part| part.data) {
        match extents.last_mut() {
            Some(last) if last.start + last.length == start => last.length += length,
            _ => extents.push(Extent { start, length }),
        }
    }
    Ok(extents)
}
