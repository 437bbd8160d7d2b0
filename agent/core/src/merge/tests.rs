use proptest::prelude::*;

use super::*;

const OS: Origin = Origin {
    kind: LayerKind::Os,
    replaces_system: false,
};
const EXTRA: Origin = Origin {
    kind: LayerKind::Image,
    replaces_system: false,
};
const ALLOWED: Origin = Origin {
    kind: LayerKind::Image,
    replaces_system: true,
};

#[test]
fn paths_are_brought_to_one_form() {
    for (path, want) in [
        ("./usr//bin/", "usr/bin"),
        ("/etc/passwd", "etc/passwd"),
        ("./", ""),
        ("a/./b", "a/b"),
        ("etc/F\u{151}tan\u{fa}s.pem", "etc/F\u{151}tan\u{fa}s.pem"),
    ] {
        assert_eq!(normalize(path.as_bytes()), Ok(want.to_owned()), "{path}");
    }
    for path in ["../etc", "a/../../b", "a/..", "..", "a\nb", "a\0b"] {
        assert!(normalize(path.as_bytes()).is_err(), "{path:?}");
    }
    assert_eq!(normalize(b""), Err(Refusal::EmptyPath));
    assert!(matches!(normalize(b"a/\xff"), Err(Refusal::Encoding(_))));
    assert!(matches!(
        normalize("a/".repeat(129).as_bytes()),
        Err(Refusal::TooLong(_))
    ));
    assert!(matches!(
        normalize("a".repeat(256).as_bytes()),
        Err(Refusal::TooLong(_))
    ));
    assert!(normalize("a".repeat(255).as_bytes()).is_ok());
}

#[test]
fn entries_are_classified_by_path_kind_and_origin() {
    use DropReason as R;
    use EntryKind::{CharDevice, Directory, File, Socket, Symlink};
    let drop = Decision::Drop;
    for (path, kind, origin, want) in [
        ("usr/bin/k3s", File, EXTRA, Decision::Keep),
        ("etc/passwd", File, OS, Decision::Keep),
        ("etc/passwd", File, EXTRA, drop(R::ForOsOnly)),
        ("etc/passwd.d", File, EXTRA, Decision::Keep),
        ("var/lib/dpkg/status", File, EXTRA, drop(R::ForOsOnly)),
        ("var/lib/dpkg", Directory, OS, Decision::Keep),
        ("usr/lib/os-release", File, EXTRA, drop(R::ForOsOnly)),
        ("etc/ld.so.cache", File, EXTRA, drop(R::ForOsOnly)),
        ("etc/machine-id", File, OS, drop(R::HostSecret)),
        (
            "etc/ssh/ssh_host_ed25519_key",
            File,
            OS,
            drop(R::HostSecret),
        ),
        (
            "etc/ssh/ssh_host_ed25519_key.pub",
            File,
            OS,
            drop(R::HostSecret),
        ),
        ("etc/ssh/sshd_config", File, OS, Decision::Keep),
        ("dev/console", CharDevice, OS, drop(R::Special)),
        ("usr/dev", CharDevice, OS, drop(R::Special)),
        ("run/x", Socket, OS, drop(R::Special)),
        ("run/lock/x", File, OS, drop(R::Volatile)),
        ("run", Directory, OS, Decision::Keep),
        (
            "usr/lib/modules/6.12/modules.dep.bin",
            File,
            EXTRA,
            drop(R::ModuleIndex),
        ),
        (
            "usr/lib/modules/6.12/modules.dep.bin",
            File,
            OS,
            Decision::Keep,
        ),
        (
            "usr/lib/modules/6.12/modules.builtin",
            File,
            EXTRA,
            Decision::Keep,
        ),
        (
            "usr/lib/modules/6.12/updates/nvidia.ko",
            File,
            EXTRA,
            Decision::Keep,
        ),
        ("usr/sbin/init", Symlink, OS, Decision::Keep),
        ("usr/sbin/init", Symlink, ALLOWED, Decision::Keep),
        (
            "usr/lib/systemd/systemd-networkd",
            File,
            EXTRA,
            Decision::Keep,
        ),
        ("usr/lib/systemd", Directory, EXTRA, Decision::Keep),
        ("usr/lib/burin/burin", File, OS, drop(R::Reserved)),
        ("usr/lib/burin", Directory, EXTRA, Decision::Keep),
        ("boot", Directory, EXTRA, Decision::Keep),
        ("boot/grub/grub.cfg", File, EXTRA, Decision::Keep),
    ] {
        assert_eq!(classify(path, kind, origin), Ok(want), "{path}");
    }
}

#[test]
fn only_an_allowed_image_replaces_the_system() {
    for (path, what) in [
        ("sbin/init", Protected::Init),
        ("usr/lib/systemd/systemd", Protected::Init),
        ("boot/vmlinuz-6.12.48+deb13-amd64", Protected::Kernel),
        ("usr/lib/modules/6.12/vmlinuz", Protected::Kernel),
        ("usr/lib/burin/burin", Protected::Burin),
        ("usr/lib/systemd/system/burin.service", Protected::Burin),
    ] {
        let refused = Err(Refusal::Protected {
            path: path.to_owned(),
            what,
        });
        assert_eq!(classify(path, EntryKind::File, EXTRA), refused, "{path}");
        assert_eq!(
            classify(path, EntryKind::File, ALLOWED),
            Ok(Decision::Keep),
            "{path}"
        );
        let (parent, name) = path.rsplit_once('/').unwrap();
        let whiteout = format!("{parent}/.wh.{name}");
        assert_eq!(
            classify(&whiteout, EntryKind::File, EXTRA),
            refused,
            "{whiteout}"
        );
    }
}

#[test]
fn a_whiteout_of_a_folder_does_not_remove_what_is_protected_in_it() {
    for path in [
        ".wh.usr",
        "usr/.wh.lib",
        "usr/.wh..wh..opq",
        ".wh..wh..opq",
        "usr/lib/modules/.wh.6.12",
        ".wh.boot",
    ] {
        assert!(
            matches!(
                classify(path, EntryKind::File, EXTRA),
                Err(Refusal::Protected { .. })
            ),
            "{path}"
        );
        assert!(classify(path, EntryKind::File, OS).is_ok(), "{path}");
    }
}

#[test]
fn whiteouts_name_what_goes() {
    for (path, want) in [
        ("etc/.wh.motd", Decision::Remove("etc/motd".to_owned())),
        (".wh.opt", Decision::Remove("opt".to_owned())),
        ("opt/.wh..wh..opq", Decision::Empty("opt".to_owned())),
        (".wh..wh.plnk", Decision::Drop(DropReason::Special)),
    ] {
        assert_eq!(classify(path, EntryKind::File, EXTRA), Ok(want), "{path}");
    }
    for path in ["etc/.wh.", "etc/.wh..", "etc/.wh...", "a/.wh..."] {
        assert!(
            matches!(
                classify(path, EntryKind::File, OS),
                Err(Refusal::Whiteout(_))
            ),
            "{path}"
        );
    }
}

#[test]
fn attributes_that_steer_overlayfs_are_left_out() {
    for (name, want) in [
        ("security.capability", true),
        ("user.comment", true),
        ("user.overlay.redirect", false),
        ("trusted.overlay.redirect", false),
        ("trusted.anything", false),
    ] {
        assert_eq!(keeps_xattr(name), want, "{name}");
    }
}

#[test]
fn a_folder_and_a_link_never_replace_each_other_across_images() {
    use EntryKind::{Directory, File, Symlink};
    for (new, below, from, ok) in [
        (Directory, Symlink, Below::OtherImage, false),
        (Symlink, Directory, Below::OtherImage, false),
        (File, Directory, Below::OtherImage, false),
        (Directory, Symlink, Below::SameImage, true),
        (File, Symlink, Below::OtherImage, true),
        (Directory, Directory, Below::OtherImage, true),
    ] {
        assert_eq!(
            settle("bin", new, below, from).is_ok(),
            ok,
            "{new} over {below}"
        );
    }
}

fn entry(path: &str, kind: EntryKind) -> OutlineEntry {
    OutlineEntry {
        path: path.as_bytes().to_vec(),
        kind,
        size: 10,
        link: Vec::new(),
    }
}

fn os() -> Outline {
    let mut tree = Outline::default();
    tree.start_image();
    for (path, kind) in [
        ("./", EntryKind::Directory),
        ("bin", EntryKind::Symlink),
        ("usr/bin/sh", EntryKind::File),
        ("opt/a/one", EntryKind::File),
        ("opt/a/two", EntryKind::File),
    ] {
        tree.add(&entry(path, kind), OS).unwrap();
    }
    tree
}

#[test]
fn an_upstream_bin_over_a_merged_usr_is_refused() {
    let mut tree = os();
    tree.start_image();
    assert!(matches!(
        tree.add(&entry("bin", EntryKind::Directory), EXTRA),
        Err(Refusal::Conflict { .. })
    ));
    let mut tree = os();
    tree.start_image();
    assert!(matches!(
        tree.add(&entry("bin/k3s", EntryKind::File), EXTRA),
        Err(Refusal::Parent { .. })
    ));
}

#[test]
fn whiteouts_reach_layers_below_and_never_their_own() {
    let mut tree = os();
    tree.start_image();
    tree.add(&entry("opt/a/new", EntryKind::File), EXTRA)
        .unwrap();
    tree.add(&entry("opt/a/.wh..wh..opq", EntryKind::File), EXTRA)
        .unwrap();
    let left: Vec<&str> = tree
        .entries()
        .map(|(p, ..)| p)
        .filter(|p| p.starts_with("opt"))
        .collect();
    assert_eq!(left, ["opt", "opt/a", "opt/a/new"]);
    tree.start_layer();
    tree.add(&entry(".wh.opt", EntryKind::File), EXTRA).unwrap();
    assert_eq!(tree.kind("opt"), None);
    assert_eq!(tree.kind("opt/a/new"), None);
}

#[test]
fn hard_links_stay_inside_their_layer() {
    let mut tree = os();
    tree.start_image();
    tree.add(&entry("usr/bin/a", EntryKind::File), EXTRA)
        .unwrap();
    let link = |path: &str, target: &str| OutlineEntry {
        link: target.as_bytes().to_vec(),
        ..entry(path, EntryKind::HardLink)
    };
    assert_eq!(
        tree.add(&link("usr/bin/b", "./usr/bin/a"), EXTRA),
        Ok(Decision::Keep)
    );
    for (path, target) in [
        ("x", "usr/bin/sh"),
        ("x", "usr/bin/none"),
        ("x", "usr/bin"),
        ("x", "x"),
    ] {
        assert!(
            matches!(
                tree.clone().add(&link(path, target), EXTRA),
                Err(Refusal::HardLink { .. })
            ),
            "{target}"
        );
    }
    assert!(matches!(
        tree.add(&link("x", "../../etc/shadow"), EXTRA),
        Err(Refusal::Traversal(_))
    ));
}

#[test]
fn one_layer_has_a_file_once() {
    let mut tree = os();
    assert_eq!(
        tree.add(&entry("usr/bin/sh", EntryKind::File), OS),
        Err(Refusal::Duplicate("usr/bin/sh".to_owned()))
    );
    assert_eq!(
        tree.add(&entry("usr/bin", EntryKind::Directory), OS),
        Ok(Decision::Keep)
    );
    tree.start_layer();
    assert_eq!(
        tree.add(&entry("usr/bin/sh", EntryKind::File), OS),
        Ok(Decision::Keep)
    );
    assert_eq!(tree.content(), (30, 3));
}

#[test]
fn a_common_base_is_not_applied_twice() {
    let list = |text: &str| -> Vec<String> { text.chars().map(String::from).collect() };
    for (stack, image, want) in [
        ("abc", "abcd", "d"),
        ("abc", "xabc", "xabc"),
        ("abc", "ab", ""),
        ("", "ab", "ab"),
    ] {
        assert_eq!(
            new_layers(&list(stack), &list(image)),
            list(want),
            "{stack} {image}"
        );
    }
}

proptest! {
    #[test]
    fn no_path_leaves_the_image(path in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(path) = normalize(&path) {
            prop_assert!(!path.starts_with('/') && !path.ends_with('/'));
            prop_assert!(path.split('/').all(|p| p != ".." && p != "."));
            prop_assert_eq!(normalize(format!("/{path}").as_bytes()), Ok(path.clone()));
            let _ = classify(&path, EntryKind::File, EXTRA);
        }
    }

    #[test]
    fn no_extra_image_loses_the_init(paths in proptest::collection::vec("(usr|lib|systemd|\\.wh\\.usr|\\.wh\\.lib|\\.wh\\.\\.wh\\.\\.opq)(/(lib|systemd|\\.wh\\.systemd|\\.wh\\.\\.wh\\.\\.opq)){0,3}", 1..20)) {
        let mut tree = Outline::default();
        tree.start_image();
        tree.add(&entry("usr/lib/systemd/systemd", EntryKind::File), OS).unwrap();
        tree.start_image();
        for path in &paths {
            let _ = tree.add(&entry(path, EntryKind::Directory), EXTRA);
            let _ = tree.add(&entry(path, EntryKind::File), EXTRA);
        }
        prop_assert_eq!(tree.kind("usr/lib/systemd/systemd"), Some(EntryKind::File));
    }
}
