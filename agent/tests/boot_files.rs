//! The boot files that are made of a sealed root, unpacked by a stranger's tool.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use burin::store::{LayerExpect, StackLayer, Store, Verity};
use burin::sysroot::pack::{boot_files, digest};
use burin_api::desired::LayerKind;
use sha2::{Digest as _, Sha256};

const FOLDER: &str = "usr/lib/modules/6.12.1-test";
const DEP: &str = "\
kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz
kernel/fs/jbd2/jbd2.ko.xz:
kernel/fs/erofs/erofs.ko.xz:
kernel/fs/overlayfs/overlay.ko.xz:
kernel/fs/fat/vfat.ko.xz:
kernel/drivers/net/e1000.ko.xz:
";

/// An OS image with a kernel: every module holds its own name.
fn image(dep: &str) -> anyhow::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut put = |path: &str, bytes: &[u8]| -> std::io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, bytes)
    };
    put("boot/vmlinuz-6.12.1-test", b"the kernel")?;
    put(&format!("{FOLDER}/modules.dep"), dep.as_bytes())?;
    let alias = b"alias pci:v1d1* e1000\nalias fs-ext4 ext4\n";
    put(&format!("{FOLDER}/modules.alias"), alias)?;
    for path in dep.lines().filter_map(|line| line.split_once(':')) {
        put(&format!("{FOLDER}/{}", path.0), path.0.as_bytes())?;
    }
    Ok(tar.into_inner()?)
}

fn sealed(folder: &Path, tar: &[u8]) -> anyhow::Result<(Store, String)> {
    let store = Store::open(&folder.join("store"), Verity::Off)?;
    let diff_id = format!("sha256:{}", hex::encode(Sha256::digest(tar)));
    let expect = LayerExpect {
        diff_id: diff_id.clone(),
        unpacked: tar.len() as u64,
        entries: 100,
    };
    store.import_layer(&expect, tar, &|_| ())?;
    let layer = StackLayer {
        kind: LayerKind::Os,
        diff_ids: vec![diff_id],
        files: BTreeMap::new(),
        replaces_system: false,
        folder: None,
    };
    let sealed = store.merge(&[layer], &[])?;
    Ok((store, sealed.digest))
}

#[test]
fn the_initramfs_holds_the_program_its_role_and_the_modules_that_start_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("burin");
    std::fs::write(&program, "the program").unwrap();
    let (store, root) = sealed(folder.path(), &image(DEP).unwrap()).unwrap();
    let files = boot_files(&store.root(&root).unwrap(), &program).unwrap();
    assert_eq!(files.kernel, b"the kernel");
    assert_eq!(files.release, "6.12.1-test");

    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let mut cpio = Command::new("cpio")
        .args(["-i", "-d", "--quiet"])
        .current_dir(&out)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let plain = zstd::decode_all(files.initramfs.as_slice()).unwrap();
    cpio.stdin.take().unwrap().write_all(&plain).unwrap();
    assert!(cpio.wait().unwrap().success());
    let text = |path: &str| std::fs::read_to_string(out.join(path)).unwrap();
    assert_eq!(text("init"), "the program");
    assert_eq!(text("etc/burin/role"), "sysroot");
    assert_eq!(
        text(&format!("{FOLDER}/kernel/fs/jbd2/jbd2.ko.xz")),
        "kernel/fs/jbd2/jbd2.ko.xz"
    );
    assert!(!out.join(FOLDER).join("kernel/drivers/net").exists());
    assert_eq!(
        text(&format!("{FOLDER}/modules.alias")),
        "alias fs-ext4 ext4\n"
    );
    for place in ["dev", "proc", "run", "sys", "sysroot", "tmp"] {
        assert!(out.join(place).is_dir(), "{place}");
    }
    assert_eq!(burin::init::role(&out).unwrap(), burin::init::Role::Sysroot);
}

#[test]
fn the_same_root_and_program_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("burin");
    std::fs::write(&program, "the program").unwrap();
    let (store, root) = sealed(folder.path(), &image(DEP).unwrap()).unwrap();
    let make = || boot_files(&store.root(&root).unwrap(), &program).unwrap();
    let first = digest(&make().initramfs);
    assert_eq!(digest(&make().initramfs), first);
    std::fs::write(&program, "another program").unwrap();
    assert_ne!(digest(&make().initramfs), first);
}

#[test]
fn a_root_that_cannot_start_a_host_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("burin");
    std::fs::write(&program, "the program").unwrap();
    let without = DEP.replace("kernel/fs/erofs/erofs.ko.xz:\n", "");
    let (store, root) = sealed(folder.path(), &image(&without).unwrap()).unwrap();
    let err = boot_files(&store.root(&root).unwrap(), &program).unwrap_err();
    assert!(format!("{err:#}").contains("has no `erofs`"), "{err:#}");
}
