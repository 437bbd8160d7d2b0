use super::*;

#[test]
fn attributes_that_steer_overlayfs_are_left_out() {
    let overlay = Layer::new()
        .xattr("trusted.overlay.redirect", "/etc")
        .file("a", b"x")
        .xattr("user.overlay.metacopy", "y")
        .file("b", b"x")
        .xattr("user.mine", "z")
        .file("c", b"x")
        .bytes();
    let (_dir, store) = store();
    let id = import(&store, &overlay).unwrap();
    let record = store.read_record(&id).unwrap();
    let names: Vec<_> = record
        .entries
        .iter()
        .flat_map(|e| e.meta.xattrs.keys())
        .collect();
    assert_eq!(
        names,
        ["user.mine"],
        "attributes that steer overlayfs are left out"
    );
}

#[test]
fn hostile_tars_are_refused_and_nothing_is_reachable() {
    let (_dir, store) = store();
    for (says, tar) in [
        (
            "leaves the image",
            Layer::new().file("../../etc/passwd", b"x").bytes(),
        ),
        (
            "leaves the image",
            Layer::new().file("a/../../b", b"x").bytes(),
        ),
        ("control character", Layer::new().file("a\nb", b"x").bytes()),
        (
            "not a file of the same layer",
            Layer::new().link("a", "/etc/shadow").bytes(),
        ),
        (
            "not a file of the same layer",
            Layer::new().symlink("s", "/etc").link("a", "s").bytes(),
        ),
        (
            "leaves the image",
            Layer::new().link("a", "../../etc/shadow").bytes(),
        ),
        (
            "occurs twice",
            Layer::new().file("a", b"1").file("./a", b"2").bytes(),
        ),
        (
            "occurs twice",
            Layer::new().dir("a/").symlink("a", "/etc").bytes(),
        ),
        (
            "symbolic link whose target",
            Layer::new().symlink("a", "").bytes(),
        ),
        (
            "sparse",
            Layer::new()
                .put("a", ::tar::EntryType::GNUSparse, "", b"")
                .bytes(),
        ),
        (
            "unknown type",
            Layer::new()
                .put("a", ::tar::EntryType::new(b'!'), "", b"")
                .bytes(),
        ),
    ] {
        let error = format!("{:#}", import(&store, &tar).unwrap_err());
        assert!(error.contains(says), "{says}: {error}");
        assert!(!store.has_layer(&diff_id(&tar)));
    }
    assert_eq!(store.layers().unwrap(), [] as [String; 0]);
}

#[test]
fn paths_stay_below_the_root_and_out_of_symbolic_links() {
    let (_dir, store) = store();
    // Below a symbolic link: the tar alone is well-formed, the root refuses it.
    let tar = Layer::new()
        .symlink("a", "/etc")
        .file("a/passwd", b"x")
        .bytes();
    let id = import(&store, &tar).unwrap();
    let error = store
        .merge(&[image(LayerKind::Os, &[&id])], &[])
        .unwrap_err();
    assert!(
        format!("{error:#}").contains("which is a symbolic link"),
        "{error:#}"
    );
    // An absolute path is taken below the root, as tar programs do.
    let id = import(&store, &Layer::new().file("/abs", b"x").bytes()).unwrap();
    let sealed = store.merge(&[image(LayerKind::Os, &[&id])], &[]).unwrap();
    assert_eq!(paths(&store, &sealed), ["abs"]);
}

#[test]
fn a_layer_that_is_not_what_was_announced_is_not_reachable() {
    let (_dir, store) = store();
    let tar = os();
    let good = expect(&tar);
    for (says, expect, bytes) in [
        (
            "its diff-id is",
            LayerExpect {
                diff_id: diff_id(b"other"),
                ..good.clone()
            },
            &tar[..],
        ),
        (
            "longer than",
            LayerExpect {
                unpacked: 1000,
                ..good.clone()
            },
            &tar[..],
        ),
        (
            "more than the 3 entries",
            LayerExpect {
                entries: 3,
                ..good.clone()
            },
            &tar[..],
        ),
        ("ends too early", good.clone(), &tar[..tar.len() / 2]),
    ] {
        let error = store.import_layer(&expect, bytes, &|_| {}).unwrap_err();
        assert!(format!("{error:#}").contains(says), "{says}: {error:#}");
        assert!(!store.has_layer(&expect.diff_id));
    }
    assert!(!store.has_layer("sha256:../../etc/passwd"));
    assert!(
        import(&store, &tar).is_ok(),
        "a failed import is no obstacle"
    );
}

#[test]
fn later_images_add_but_do_not_break_the_system() {
    let (_dir, store) = store();
    let os = import(&store, &os()).unwrap();
    let good = import(
        &store,
        &Layer::new()
            .file("usr/bin/k3s", b"k3s")
            .file("etc/passwd", b"evil")
            .bytes(),
    )
    .unwrap();
    let from_os = image(LayerKind::Kubernetes, &[&os, &good]);
    let sealed = store
        .merge(&[image(LayerKind::Os, &[&os]), from_os], &[])
        .unwrap();
    assert_eq!(
        store.read_file(&sealed.digest, "usr/bin/k3s").unwrap(),
        b"k3s"
    );
    assert!(
        store
            .read_file(&sealed.digest, "etc/passwd")
            .unwrap()
            .starts_with(b"root")
    );
    for (tar, says) in [
        (
            Layer::new().dir("bin/").file("bin/k3s", b"x").bytes(),
            "map it with `files:`",
        ),
        (
            Layer::new().file("usr/lib/systemd/systemd", b"x").bytes(),
            "belongs to the init",
        ),
        (
            Layer::new().file("usr/lib/burin/burin", b"x").bytes(),
            "belongs to the agent",
        ),
        (Layer::new().file(".wh.usr", b"").bytes(), "belongs to the"),
        (
            Layer::new().file("usr/lib/modules/6/x.ko.xz", b"x").bytes(),
            "kernel module",
        ),
    ] {
        let id = import(&store, &tar).unwrap();
        let stack = [
            image(LayerKind::Os, &[&os]),
            image(LayerKind::Image, &[&id]),
        ];
        let error = format!("{:#}", store.merge(&stack, &[]).unwrap_err());
        assert!(error.contains(says), "{says}: {error}");
    }
}

#[test]
fn files_are_picked_out_of_an_image_as_its_maker_ships_it() {
    let (_dir, store) = store();
    let os = import(&store, &os()).unwrap();
    let upstream = import(
        &store,
        &Layer::new()
            .file("bin/k3s", &[3; 100])
            .symlink("bin/kubectl", "k3s")
            .file("share/a/b", b"1")
            .bytes(),
    )
    .unwrap();
    let mut picked = image(LayerKind::Kubernetes, &[&upstream]);
    picked.files = [
        ("/usr/local/bin/k3s", "/bin/k3s"),
        ("/usr/local/bin/kubectl", "bin/kubectl"),
        ("/usr/share/a", "share/a"),
    ]
    .map(|(a, b)| (a.to_string(), b.to_string()))
    .into();
    let sealed = store
        .merge(&[image(LayerKind::Os, &[&os]), picked.clone()], &[])
        .unwrap();
    for path in ["usr/local/bin/k3s", "usr/local/bin/kubectl"] {
        assert_eq!(store.read_file(&sealed.digest, path).unwrap(), [3; 100]);
    }
    assert_eq!(
        store.read_file(&sealed.digest, "usr/share/a/b").unwrap(),
        b"1"
    );
    picked.files = [("/usr/sbin/init".to_string(), "/bin/k3s".to_string())].into();
    let error = store
        .merge(&[image(LayerKind::Os, &[&os]), picked], &[])
        .unwrap_err();
    assert!(
        format!("{error:#}").contains("belongs to the init"),
        "{error:#}"
    );
}

#[test]
fn whiteouts_reach_layers_below_and_nothing_else() {
    let (_dir, store) = store();
    let below = Layer::new()
        .file("a/gone", b"1")
        .file("a/stays", b"2")
        .file("b/old1", b"3")
        .file("b/old2", b"4")
        .bytes();
    let above = Layer::new()
        .file("a/.wh.gone", b"")
        .file("b/new", b"5")
        .file("b/.wh..wh..opq", b"")
        .file("b/sub/new", b"6")
        .bytes();
    let ids = [
        import(&store, &below).unwrap(),
        import(&store, &above).unwrap(),
    ];
    let sealed = store
        .merge(&[image(LayerKind::Os, &[&ids[0], &ids[1]])], &[])
        .unwrap();
    assert_eq!(
        paths(&store, &sealed),
        ["a", "a/stays", "b", "b/new", "b/sub", "b/sub/new"]
    );
}

#[test]
fn of_an_image_of_manifests_only_the_manifests_are_taken() {
    let (_dir, store) = store();
    let tar = Layer::new()
        .file("manifests/net.yaml", b"kind: A")
        .file("other/net.yaml", b"kind: B")
        .file("usr/bin/evil", b"x")
        .bytes();
    let mut layer = image(LayerKind::Manifests, &[&import(&store, &tar).unwrap()]);
    layer.folder = Some("usr/share/burin/manifests/cni".into());
    let sealed = store.merge(&[layer.clone()], &[]).unwrap();
    let files: Vec<_> = store
        .walk(&sealed.digest, "usr/share/burin/manifests/cni")
        .unwrap();
    let files: Vec<_> = files
        .iter()
        .map(|f| f.path.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(files, ["manifests-net.yaml", "other-net.yaml"]);
    assert!(store.read_file(&sealed.digest, "usr/bin/evil").is_err());
    layer.diff_ids = vec![import(&store, &Layer::new().file("a", b"x").bytes()).unwrap()];
    let error = format!("{:#}", store.merge(&[layer], &[]).unwrap_err());
    assert!(error.contains("holds no manifest"), "{error}");
}
