use composefs::fsverity::FsVerityHashValue;

use super::*;

#[test]
fn an_interrupted_import_is_not_believed() {
    let (dir, store) = store();
    let tar = os();
    let path = dir.path().join("store");
    let id = import(&store, &tar).unwrap();
    // The power went while the layer's objects were written: one is torn, the record is missing.
    let object = store.objects_of(&id).unwrap().pop().unwrap();
    let torn = path.join("objects").join(object.to_object_pathname());
    let length = fs::metadata(&torn).unwrap().len();
    fs::write(&torn, vec![0; usize::try_from(length).unwrap()]).unwrap();
    store.forget_layer(&id).unwrap();
    fs::write(
        path.join(import::UNDER_WAY).join(diff_id_hex(&id).unwrap()),
        b"",
    )
    .unwrap();
    drop(store);
    let store = Store::open(&path, Verity::Off).unwrap();
    import(&store, &tar).unwrap();
    assert!(store.scrub(&|_| {}).unwrap().is_clean());
    assert_eq!(
        fs::read_dir(path.join(import::UNDER_WAY)).unwrap().count(),
        0
    );
}

#[test]
fn damage_is_found_taken_out_and_mended_by_the_next_pull() {
    let (dir, store) = store();
    let tar = os();
    let id = import(&store, &tar).unwrap();
    let stack = [image(LayerKind::Os, &[&id])];
    let sealed = store.merge(&stack, &[]).unwrap();
    assert!(store.scrub(&|_| {}).unwrap().is_clean());
    let object = store.objects_of(&id).unwrap().pop().unwrap();
    let path = dir
        .path()
        .join("store/objects")
        .join(object.to_object_pathname());
    let mut data = fs::read(&path).unwrap();
    data[1000] ^= 1;
    fs::write(&path, data).unwrap();
    assert!(
        store.read_file(&sealed.digest, "usr/bin/large").is_err()
            || store.read_file(&sealed.digest, "usr/bin/medium").is_err()
    );
    let scrubbed = store.scrub(&|_| {}).unwrap();
    assert_eq!(scrubbed.damaged, [object.to_hex()]);
    let repaired = store.repair(&scrubbed).unwrap();
    assert_eq!(
        repaired,
        Repaired {
            layers: vec![id.clone()],
            reboot: true
        }
    );
    assert!(!store.has_layer(&id));
    import(&store, &tar).unwrap();
    assert!(store.scrub(&|_| {}).unwrap().is_clean());
    assert_eq!(store.merge(&stack, &[]).unwrap(), sealed);
}
