//! Pull, decompress, verify, store and sync an image, beside `skopeo copy` + `umoci unpack` +
//! `sync`: same registry, same file system, one after the other in one run.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use burin::store::{LayerExpect, Store, Verity};
use burin_registry::{Access, LayerSpec, Registry as Client};

use super::Figure;
use super::cost::Cost;
use super::disk::Disk;
use crate::images::{Layout, Target, push};
use crate::process::run;
use crate::registry::Registry;

/// How the installer makes the system partition.
pub const EXT4: [&str; 8] = [
    "-t",
    "ext4",
    "-O",
    "verity,^resize_inode",
    "-b",
    "4096",
    "-J",
    "size=64",
];

/// Measures both in `folder`, which may be emptied.
///
/// # Errors
/// Programs that are missing, no right to mount, or a pull that fails.
pub fn measure(folder: &Path, image: &Layout) -> Result<Vec<Figure>> {
    let registry = Registry::start(&folder.join("registry"), 0)?;
    let certificates = registry
        .tls()
        .ca
        .parent()
        .context("certificates lie in a folder")?;
    let name = registry.local_name();
    let target = Target {
        registry: &name,
        certificates: Some(certificates),
        auth_file: None,
    };
    push(image, target, "bench/os", "1")?;
    let disk = Disk::make(folder, &EXT4)?;
    let ours = ours(&disk, &registry, image)?;
    fs::remove_dir_all(disk.path().join("store")).context("clearing the disk")?;
    disk.sync()?;
    let peer = peer(&disk, &registry, certificates)?;
    Ok(vec![
        Figure {
            peer: Some(peer),
            ratio: Some(ours.seconds / peer),
            ..Figure::bounded(
                "pull, verify, store and sync the OS image; peer: skopeo, umoci, sync",
                ours.seconds,
                "s",
                0.4,
                0.25,
            )
        },
        // The bounds are those of an installation, which machine.rs measures.
        Figure::reported(
            "bytes written / unpacked content, on the host, without fs-verity",
            ours.written as f64 / ours.unpacked as f64,
            "x",
        ),
        Figure::reported(
            "peak memory of the process that pulls, on the host",
            ours.peak,
            "MiB",
        ),
    ])
}

struct Ours {
    seconds: f64,
    written: u64,
    unpacked: u64,
    /// MiB.
    peak: f64,
}

fn ours(disk: &Disk, registry: &Registry, image: &Layout) -> Result<Ours> {
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let ca = fs::read_to_string(&registry.tls().ca).context("reading the registry's root")?;
    let client = Client::new(Access {
        host: registry.local_name(),
        ca: vec![ca],
        ..Access::default()
    })?;
    disk.sync()?;
    let before = disk.written()?;
    let started = Instant::now();
    let store = Arc::new(Store::open(&disk.path().join("store"), Verity::Off)?);
    let unpacked = runtime.block_on(pull(&client, &store, image))?;
    disk.sync()?;
    Ok(Ours {
        seconds: started.elapsed().as_secs_f64(),
        written: disk.written()? - before,
        unpacked,
        peak: Cost::of(std::process::id())?.peak_mib,
    })
}

/// Pulls all layers at once, as the agent does; the bytes of their files.
async fn pull(client: &Client, store: &Arc<Store>, image: &Layout) -> Result<u64> {
    let read = client.image("bench/os", &image.digest, "amd64").await?;
    let mut imports = Vec::new();
    for (blob, diff_id) in read.blobs.into_iter().zip(read.diff_ids) {
        let spec = LayerSpec {
            blob,
            diff_id: None,
            most_unpacked: image.unpacked,
        };
        let stream = client.layer("bench/os", &spec, |_| {})?;
        let expect = LayerExpect {
            diff_id,
            unpacked: image.unpacked,
            entries: 1_000_000,
        };
        let store = Arc::clone(store);
        imports.push(tokio::task::spawn_blocking(move || -> Result<u64> {
            store.import_layer(&expect, stream, &|_| {})?;
            store.layer_content(&expect.diff_id)
        }));
    }
    let mut unpacked = 0;
    for import in imports {
        unpacked += import.await.context("an import died")??;
    }
    Ok(unpacked)
}

/// Seconds of the peer.
fn peer(disk: &Disk, registry: &Registry, certificates: &Path) -> Result<f64> {
    let layout = format!("oci:{}:1", disk.path().join("peer").display());
    let image = format!("{}:1", disk.path().join("peer").display());
    let started = Instant::now();
    run(Command::new("skopeo")
        .args(["copy", "--quiet", "--insecure-policy", "--src-cert-dir"])
        .arg(certificates)
        .arg(format!("docker://{}/bench/os:1", registry.local_name()))
        .arg(layout))?;
    run(Command::new("umoci")
        .args(["unpack", "--image", &image])
        .arg(disk.path().join("bundle")))?;
    disk.sync()?;
    Ok(started.elapsed().as_secs_f64())
}
