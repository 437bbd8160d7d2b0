mod tree;

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

const CLASSIFIED: [(&str, EntryKind, Origin, Decision); 29] = [
    ("usr/bin/k3s", EntryKind::File, EXTRA, Decision::Keep),
    ("etc/passwd", EntryKind::File, OS, Decision::Keep),
    (
        "etc/passwd",
        EntryKind::File,
        EXTRA,
        Decision::Drop(DropReason::ForOsOnly),
    ),
    ("etc/passwd.d", EntryKind::File, EXTRA, Decision::Keep),
    (
        "var/lib/dpkg/status",
        EntryKind::File,
        EXTRA,
        Decision::Drop(DropReason::ForOsOnly),
    ),
    ("var/lib/dpkg", EntryKind::Directory, OS, Decision::Keep),
    (
        "usr/lib/os-release",
        EntryKind::File,
        EXTRA,
        Decision::Drop(DropReason::ForOsOnly),
    ),
    (
        "etc/ld.so.cache",
        EntryKind::File,
        EXTRA,
        Decision::Drop(DropReason::ForOsOnly),
    ),
    (
        "etc/machine-id",
        EntryKind::File,
        OS,
        Decision::Drop(DropReason::HostSecret),
    ),
    (
        "etc/ssh/ssh_host_ed25519_key",
        EntryKind::File,
        OS,
        Decision::Drop(DropReason::HostSecret),
    ),
    (
        "etc/ssh/ssh_host_ed25519_key.pub",
        EntryKind::File,
        OS,
        Decision::Drop(DropReason::HostSecret),
    ),
    ("etc/ssh/sshd_config", EntryKind::File, OS, Decision::Keep),
    (
        "dev/console",
        EntryKind::CharDevice,
        OS,
        Decision::Drop(DropReason::Special),
    ),
    (
        "usr/dev",
        EntryKind::CharDevice,
        OS,
        Decision::Drop(DropReason::Special),
    ),
    (
        "run/x",
        EntryKind::Socket,
        OS,
        Decision::Drop(DropReason::Special),
    ),
    (
        "run/lock/x",
        EntryKind::File,
        OS,
        Decision::Drop(DropReason::Volatile),
    ),
    ("run", EntryKind::Directory, OS, Decision::Keep),
    (
        "usr/lib/modules/6.12/modules.dep.bin",
        EntryKind::File,
        EXTRA,
        Decision::Drop(DropReason::ModuleIndex),
    ),
    (
        "usr/lib/modules/6.12/modules.dep.bin",
        EntryKind::File,
        OS,
        Decision::Keep,
    ),
    (
        "usr/lib/modules/6.12/modules.builtin",
        EntryKind::File,
        EXTRA,
        Decision::Keep,
    ),
    (
        "usr/lib/modules/6.12/updates/nvidia.ko",
        EntryKind::File,
        EXTRA,
        Decision::Keep,
    ),
    ("usr/sbin/init", EntryKind::Symlink, OS, Decision::Keep),
    ("usr/sbin/init", EntryKind::Symlink, ALLOWED, Decision::Keep),
    (
        "usr/lib/systemd/systemd-networkd",
        EntryKind::File,
        EXTRA,
        Decision::Keep,
    ),
    (
        "usr/lib/systemd",
        EntryKind::Directory,
        EXTRA,
        Decision::Keep,
    ),
    (
        "usr/lib/burin/burin",
        EntryKind::File,
        OS,
        Decision::Drop(DropReason::Reserved),
    ),
    ("usr/lib/burin", EntryKind::Directory, EXTRA, Decision::Keep),
    ("boot", EntryKind::Directory, EXTRA, Decision::Keep),
    ("boot/grub/grub.cfg", EntryKind::File, EXTRA, Decision::Keep),
];

#[test]
fn entries_are_classified_by_path_kind_and_origin() {
    for (path, kind, origin, want) in CLASSIFIED {
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
