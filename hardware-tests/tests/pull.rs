//! Registry client and store against Debian's registry, filled by skopeo.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use burin::store::{LayerExpect, StackLayer, Store, Verity};
use burin_api::desired::LayerKind;
use burin_hardware_tests::images::{Images, Layer, Layout, Packing, Target, TreeFile, push, tar};
use burin_hardware_tests::registry::Registry;
use burin_registry::{Access, Image, LayerSpec, Registry as Client};

/// More than the biggest image of the tests unpacks to, bytes.
const MOST: u64 = 1 << 30;

fn content(seed: u8, length: usize) -> Vec<u8> {
    let bytes = (0..length).map(|at| (at / 7) as u8 ^ seed ^ (at % 251) as u8);
    bytes.collect()
}

async fn import(client: &Client, store: &Arc<Store>, image: &Image) -> Result<()> {
    for (blob, diff_id) in image.blobs.iter().zip(&image.diff_ids) {
        let spec = LayerSpec {
            blob: blob.clone(),
            diff_id: Some(diff_id.clone()),
            most_unpacked: MOST,
        };
        let stream = client.layer("os/test", &spec, |_| {})?;
        let expect = LayerExpect {
            diff_id: diff_id.clone(),
            unpacked: MOST,
            entries: 100_000,
        };
        let store = Arc::clone(store);
        let import = move || store.import_layer(&expect, stream, &|_| {});
        tokio::task::spawn_blocking(import).await??;
    }
    Ok(())
}

/// A registry that holds `image` as `os/test:1`, and a client that reads it.
fn serve(folder: &Path, image: &Layout) -> Result<(Registry, Client)> {
    let registry = Registry::start(&folder.join("registry"), 0)?;
    let name = registry.local_name();
    let target = Target {
        registry: &name,
        certificates: registry.tls().ca.parent(),
        auth_file: None,
    };
    push(image, target, "os/test", "1")?;
    let client = Client::new(Access {
        host: name.clone(),
        ca: vec![std::fs::read_to_string(&registry.tls().ca)?],
        ..Access::default()
    })?;
    Ok((registry, client))
}

fn stacked(kind: LayerKind, image: &Image) -> StackLayer {
    StackLayer {
        kind,
        diff_ids: image.diff_ids.clone(),
        files: BTreeMap::new(),
        replaces_system: false,
        folder: None,
    }
}

#[tokio::test]
async fn an_image_that_skopeo_pushed_arrives_in_the_store_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let below = [
        TreeFile::plain("/usr/lib/big", content(1, 3_000_000)),
        TreeFile::program("/usr/bin/tool", content(2, 5000)),
        TreeFile::plain("/etc/old", "old"),
    ];
    let above = [
        TreeFile::plain("/etc/.wh.old", ""),
        TreeFile::plain("/etc/new", "new"),
    ];
    let layers =
        [(&below[..], Packing::Gzip), (&above[..], Packing::Zstd)].map(|(files, packing)| Layer {
            tar: tar(files).unwrap(),
            packing,
        });
    let layout = Layout::make(&folder.path().join("image"), &layers).unwrap();
    let (_registry, client) = serve(folder.path(), &layout).unwrap();
    assert_eq!(client.resolve("os/test", "1").await.unwrap(), layout.digest);
    let image = client
        .image("os/test", &layout.digest, "amd64")
        .await
        .unwrap();
    assert_eq!(image.blobs.len(), 2);
    let store = Arc::new(Store::open(&folder.path().join("store"), Verity::Off).unwrap());
    import(&client, &store, &image).await.unwrap();
    let stack = [stacked(LayerKind::Os, &image)];
    let sealed = store.merge(&stack, &[]).unwrap();
    assert_eq!(
        store.read_file(&sealed.id, "usr/lib/big").unwrap(),
        content(1, 3_000_000)
    );
    assert_eq!(
        store.read_file(&sealed.id, "usr/bin/tool").unwrap(),
        content(2, 5000)
    );
    assert_eq!(store.read_file(&sealed.id, "etc/new").unwrap(), b"new");
    assert!(
        store.read_file(&sealed.id, "etc/old").is_err(),
        "a whiteout took it away"
    );
    assert!(store.scrub(&|_| {}).unwrap().is_clean());
}

#[tokio::test]
async fn the_os_image_of_the_scenarios_becomes_a_root_with_kernel_and_systemd() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Images::of_this_user().unwrap().os().unwrap();
    let (_registry, client) = serve(folder.path(), &layout).unwrap();
    let store = Arc::new(Store::open(&folder.path().join("store"), Verity::Off).unwrap());
    let image = client
        .image("os/test", &layout.digest, "amd64")
        .await
        .unwrap();
    import(&client, &store, &image).await.unwrap();
    let sealed = store.merge(&[stacked(LayerKind::Os, &image)], &[]).unwrap();
    let root = store.root(&sealed.id).unwrap();
    let found = root.find("/sbin/init").unwrap();
    assert_eq!(
        found.path, "usr/lib/systemd/systemd",
        "behind two symbolic links"
    );
    let modules = root.walk("lib/modules").unwrap();
    let index = modules
        .iter()
        .find(|found| found.path.ends_with("/modules.dep"));
    assert!(index.is_some_and(|found| found.size > 10_000));
    let boot = root.walk("boot").unwrap();
    assert!(
        boot.iter()
            .any(|found| found.path.starts_with("boot/vmlinuz-") && found.size > 5_000_000)
    );
    for host in ["etc/machine-id", "etc/ssh/ssh_host_ed25519_key"] {
        assert!(
            root.find(host).is_none(),
            "{host} belongs to a host, not to an image"
        );
    }
}
