mod damage;
mod outline;
mod rules;

use std::collections::BTreeMap;
use std::io::Read;

use burin_api::desired::LayerKind;
use burin_core::merge::EntryKind;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;

/// A tar under construction.
struct Layer(::tar::Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(::tar::Builder::new(Vec::new()))
    }

    fn put(mut self, path: &str, kind: ::tar::EntryType, link: &str, data: &[u8]) -> Self {
        let mut header = ::tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(if kind == ::tar::EntryType::Directory {
            0o755
        } else {
            0o644
        });
        header.set_mtime(1_700_000_000);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(data.len() as u64);
        // Written by hand: the crate refuses what a hostile tar has.
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..path.len()].copy_from_slice(path.as_bytes());
        gnu.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    fn file(self, path: &str, data: &[u8]) -> Self {
        self.put(path, ::tar::EntryType::Regular, "", data)
    }

    fn dir(self, path: &str) -> Self {
        self.put(path, ::tar::EntryType::Directory, "", b"")
    }

    fn symlink(self, path: &str, target: &str) -> Self {
        self.put(path, ::tar::EntryType::Symlink, target, b"")
    }

    fn link(self, path: &str, target: &str) -> Self {
        self.put(path, ::tar::EntryType::Link, target, b"")
    }

    fn xattr(mut self, name: &str, value: &str) -> Self {
        let rest = format!(" SCHILY.xattr.{name}={value}\n");
        let length = (1..)
            .find(|n: &usize| n.to_string().len() + rest.len() == *n)
            .unwrap();
        let data = format!("{length}{rest}");
        self = self.put("pax", ::tar::EntryType::XHeader, "", data.as_bytes());
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

fn diff_id(tar: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(tar)))
}

fn expect(tar: &[u8]) -> LayerExpect {
    LayerExpect {
        diff_id: diff_id(tar),
        unpacked: tar.len() as u64,
        entries: 1000,
    }
}

fn store() -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(&dir.path().join("store"), Verity::Off).unwrap();
    (dir, store)
}

fn import(store: &Store, tar: &[u8]) -> Result<String> {
    store.import_layer(&expect(tar), tar, &|_| {})?;
    Ok(diff_id(tar))
}

fn image(kind: LayerKind, diff_ids: &[&String]) -> StackLayer {
    StackLayer {
        kind,
        diff_ids: diff_ids.iter().map(|id| (*id).clone()).collect(),
        files: BTreeMap::new(),
        replaces_system: false,
        folder: None,
    }
}

fn paths(store: &Store, sealed: &Sealed) -> Vec<String> {
    let all = store.walk(&sealed.digest, "").unwrap();
    all.into_iter().map(|found| found.path).collect()
}

const BIG: usize = 700_000;

fn os() -> Vec<u8> {
    Layer::new()
        .dir("./")
        .dir("./usr/")
        .dir("./usr/bin/")
        .symlink("./bin", "usr/bin")
        .file("./usr/bin/small", b"tiny")
        .file("./usr/bin/medium", &[7; 5000])
        .file("./usr/bin/large", &vec![9; BIG])
        .link("./usr/bin/again", "./usr/bin/medium")
        .dir("./etc/")
        .file("./etc/machine-id", b"0123")
        .file("./etc/passwd", b"root:x:0:0::/root:/bin/sh\n")
        .dir("./dev/")
        .put("./dev/null", ::tar::EntryType::Char, "", b"")
        .bytes()
}

#[test]
fn what_went_in_comes_out_of_the_sealed_root() {
    let (_dir, store) = store();
    let id = import(&store, &os()).unwrap();
    assert!(store.has_layer(&id));
    let extras = [
        ExtraFile {
            path: "/usr/lib/burin".into(),
            mode: 0o755,
            content: ExtraContent::Directory,
        },
        ExtraFile {
            path: "usr/lib/systemd/system/burin.service".into(),
            mode: 0o644,
            content: ExtraContent::File(vec![b'#'; 100]),
        },
    ];
    let sealed = store
        .merge(&[image(LayerKind::Os, &[&id])], &extras)
        .unwrap();
    assert_eq!(sealed.id, format!("v1-sha512-12:{}", sealed.digest));
    let root = store.root(&sealed.id).unwrap();
    assert_eq!(root.read_file("bin/small").unwrap(), b"tiny");
    assert_eq!(root.read_file("/usr/bin/again").unwrap(), [7; 5000]);
    let mut large = Vec::new();
    root.open_file("bin/large")
        .unwrap()
        .read_to_end(&mut large)
        .unwrap();
    assert_eq!(large, vec![9; BIG]);
    assert_eq!(
        root.read_file("usr/lib/systemd/system/burin.service")
            .unwrap()
            .len(),
        100
    );
    assert_eq!(root.find("bin").unwrap().path, "usr/bin");
    assert_eq!(
        root.find("usr/lib/burin").unwrap().kind,
        EntryKind::Directory
    );
    assert!(
        root.find("etc/machine-id").is_none(),
        "a host makes its own"
    );
    assert!(
        root.find("dev/null").is_none(),
        "device nodes are never made"
    );
    assert!(root.find("dev").is_some());
}

#[test]
fn the_same_stack_has_the_same_digest_everywhere() {
    let seal = || {
        let (_dir, store) = store();
        let id = import(&store, &os()).unwrap();
        store
            .merge(&[image(LayerKind::Os, &[&id])], &[])
            .unwrap()
            .digest
    };
    assert_eq!(seal(), seal());
    // Hosts compute this digest and the hub and the boot entry name it: a change is a new format.
    assert_eq!(seal(), GOLDEN);
}

const GOLDEN: &str = "21d7d5ffb6be564f8e7b56134bed5d77c71d3cc9b7a5d45212b2c18b3732cdbdc9464ab549ca2c0419c25e90102ab0bdde52061f5796d851a3915e3d573b9155";

#[test]
fn contents_are_indexed_by_their_sha256() {
    let (_dir, store) = store();
    let id = import(&store, &os()).unwrap();
    let index = store.contents(&id).unwrap();
    assert_eq!(index.len(), 2, "small files lie in the image itself");
    assert!(index.contains_key(&hex::encode(Sha256::digest([7; 5000]))));
}

#[test]
fn the_agent_is_an_image_of_one_program() {
    let (dir, store) = store();
    let binary = dir.path().join("program");
    fs::write(&binary, [1; 10_000]).unwrap();
    let sealed = store.seal_agent(&binary).unwrap();
    let found = store.walk(&sealed.digest, "").unwrap();
    assert_eq!(
        (found.len(), found[0].path.as_str(), found[0].mode),
        (1, "burin", 0o755)
    );
    assert_eq!(
        store.read_file(&sealed.digest, "burin").unwrap(),
        [1; 10_000]
    );
}

#[test]
fn a_store_is_opened_again_and_one_without_verity_is_refused_where_it_is_required() {
    let (dir, store) = store();
    let id = import(&store, &os()).unwrap();
    drop(store);
    let path = dir.path().join("store");
    assert!(Store::open(&path, Verity::Off).unwrap().has_layer(&id));
    let error = Store::open(&path, Verity::Required).unwrap_err();
    assert!(format!("{error:#}").contains("verity"), "{error:#}");
}
