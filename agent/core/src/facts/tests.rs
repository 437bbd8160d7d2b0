use burin_api::desired::LayerKind;

use super::*;

const OS: Origin = Origin {
    kind: LayerKind::Os,
    replaces_system: false,
};

fn entry(path: &str, kind: EntryKind, size: u64) -> OutlineEntry {
    OutlineEntry {
        path: path.as_bytes().to_vec(),
        kind,
        size,
        link: Vec::new(),
    }
}

fn add(facts: &mut FactsBuilder, path: &str, content: &str) {
    let wanted = facts
        .entry(&entry(path, EntryKind::File, content.len() as u64))
        .unwrap();
    if let Some(path) = wanted {
        facts.content(path, content.as_bytes().to_vec());
    }
}

/// Name, paths (`>` marks a link), release and path of the kernel.
type Row = (
    &'static str,
    &'static [&'static str],
    Option<(&'static str, &'static str)>,
);

/// Paths as the published images have them, reduced to what matters.
const PUBLISHED: [Row; 8] = [
    (
        "Debian 13",
        &[
            "boot/vmlinuz-6.12.48+deb13-amd64",
            "boot/System.map-6.12.48+deb13-amd64",
            "usr/lib/modules/6.12.48+deb13-amd64/modules.dep",
        ],
        Some(("6.12.48+deb13-amd64", "boot/vmlinuz-6.12.48+deb13-amd64")),
    ),
    (
        "Ubuntu 24.04, before the merged /usr of the tar",
        &[
            "boot/vmlinuz-6.8.0-31-generic",
            "lib/modules/6.8.0-31-generic/modules.dep",
        ],
        Some(("6.8.0-31-generic", "boot/vmlinuz-6.8.0-31-generic")),
    ),
    (
        "Fedora bootc",
        &[
            "usr/lib/modules/6.14.9-300.fc42.x86_64/vmlinuz",
            "usr/lib/modules/6.14.9-300.fc42.x86_64/config",
        ],
        Some((
            "6.14.9-300.fc42.x86_64",
            "usr/lib/modules/6.14.9-300.fc42.x86_64/vmlinuz",
        )),
    ),
    (
        "openSUSE: link in /boot, file beside the modules",
        &[
            "boot/vmlinuz-6.4.0-150600.21-default>",
            "usr/lib/modules/6.4.0-150600.21-default/vmlinuz",
        ],
        Some((
            "6.4.0-150600.21-default",
            "usr/lib/modules/6.4.0-150600.21-default/vmlinuz",
        )),
    ),
    (
        "Kairos on Ubuntu: a link beside the file",
        &[
            "boot/vmlinuz>",
            "boot/vmlinuz-6.8.0-60-generic",
            "usr/lib/modules/6.8.0-60-generic/modules.dep",
        ],
        Some(("6.8.0-60-generic", "boot/vmlinuz-6.8.0-60-generic")),
    ),
    (
        "two kernels: the newer by number",
        &[
            "boot/vmlinuz-6.9.1",
            "lib/modules/6.9.1/modules.dep",
            "boot/vmlinuz-6.12.1",
            "lib/modules/6.12.1/modules.dep",
        ],
        Some(("6.12.1", "boot/vmlinuz-6.12.1")),
    ),
    (
        "a kernel without its modules",
        &["boot/vmlinuz-6.12.1"],
        None,
    ),
    ("a container image without a kernel", &["usr/bin/sh"], None),
];

#[test]
fn the_kernel_is_found_where_the_distributions_put_it() {
    for (name, paths, want) in PUBLISHED {
        let paths = paths.iter().map(|path| match path.strip_suffix('>') {
            Some(path) => (path, EntryKind::Symlink),
            None => (*path, EntryKind::File),
        });
        let found = find_kernel(paths);
        let found = found
            .as_ref()
            .map(|k| (k.release.as_str(), k.image.as_str()));
        assert_eq!(found, want, "{name}");
    }
}

#[test]
fn facts_are_of_what_remains_after_all_layers() {
    let mut facts = FactsBuilder::new(OS);
    facts.start_layer();
    add(&mut facts, "usr/lib/systemd/systemd", "elf");
    add(&mut facts, "boot/vmlinuz-6.12.1", "kernel");
    add(
        &mut facts,
        "boot/config-6.12.1",
        "CONFIG_EROFS_FS=m\n# CONFIG_FS_VERITY is not set\nCONFIG_MODULE_DECOMPRESS=y\n",
    );
    let dep = "kernel/fs/ext4/ext4.ko.xz:\nkernel/fs/erofs/erofs.ko.xz:\n\
               kernel/fs/overlayfs/overlay.ko.xz:\nkernel/fs/fat/vfat.ko.xz:\n";
    add(&mut facts, "usr/lib/modules/6.12.1/modules.dep", dep);
    add(
        &mut facts,
        "usr/lib/modules/6.12.1/modules.alias",
        "alias virtio:d00000002v* virtio_blk\n",
    );
    add(
        &mut facts,
        "usr/lib/modules/6.12.1/kernel/fs/ext4/ext4.ko.xz",
        "1234567",
    );
    add(
        &mut facts,
        "usr/lib/os-release",
        "ID=debian\nVERSION_ID=\"13\"\n",
    );
    add(&mut facts, "etc/selinux/config", "SELINUX=enforcing\n");
    facts.start_layer();
    facts
        .entry(&entry("etc/selinux/.wh.config", EntryKind::File, 0))
        .unwrap();
    let facts = facts.finish();
    assert!(facts.has_systemd && !facts.selinux_enforcing);
    assert_eq!(facts.kernel.as_deref(), Some("6.12.1"));
    assert_eq!(facts.kernel_path.as_deref(), Some("/boot/vmlinuz-6.12.1"));
    assert_eq!(facts.kernel_bytes, 6);
    assert_eq!(facts.kernel_config["CONFIG_EROFS_FS"], "m");
    assert_eq!(facts.kernel_config["CONFIG_FS_VERITY"], "n");
    assert_eq!(facts.boot_module_bytes, 7);
    assert_eq!(facts.kernel_problem, None);
    assert_eq!(facts.module_aliases, ["virtio:d00000002v*"]);
    assert_eq!(facts.os, "debian 13");
    assert_eq!(facts.files, 7);
}

#[test]
fn a_kernel_without_indexes_is_a_problem_with_a_name() {
    let mut facts = FactsBuilder::new(OS);
    add(&mut facts, "boot/vmlinuz-6.12.1", "kernel");
    add(
        &mut facts,
        "usr/lib/modules/6.12.1/kernel/fs/ext4/ext4.ko",
        "x",
    );
    add(&mut facts, "usr/lib/modules/6.12.1/modules.order", "x");
    assert!(facts.finish().kernel_problem.unwrap().contains("ext4"));
}

#[test]
fn a_kernel_that_cannot_unpack_its_modules_is_a_problem_with_a_name() {
    for (option, refused) in [
        ("CONFIG_MODULE_DECOMPRESS=y", false),
        ("CONFIG_SMP=y", true),
    ] {
        let mut facts = FactsBuilder::new(OS);
        add(&mut facts, "boot/vmlinuz-6.12.1", "kernel");
        add(&mut facts, "boot/config-6.12.1", option);
        let dep = "kernel/fs/ext4/ext4.ko.xz:\nkernel/fs/erofs/erofs.ko.xz:\n\
                   kernel/fs/overlayfs/overlay.ko.xz:\nkernel/fs/fat/vfat.ko.xz:\n";
        add(&mut facts, "usr/lib/modules/6.12.1/modules.dep", dep);
        let problem = facts.finish().kernel_problem;
        assert_eq!(problem.is_some(), refused, "{problem:?}");
        assert!(problem.is_none_or(|text| text.contains(".ko.xz")));
    }
}

#[test]
fn a_driver_that_is_built_in_counts_though_its_index_has_no_pattern() {
    let mut facts = FactsBuilder::new(OS);
    let modules = "usr/lib/modules/6.12.48+deb13-amd64";
    add(&mut facts, "boot/vmlinuz-6.12.48+deb13-amd64", "kernel");
    add(&mut facts, &format!("{modules}/modules.dep"), "");
    add(
        &mut facts,
        &format!("{modules}/modules.builtin"),
        "kernel/drivers/virtio/virtio_pci.ko\n",
    );
    let found = facts.finish();
    assert_eq!(
        found.module_aliases,
        ["pci:v00001AF4d*sv*sd*bc*sc*i*".to_owned()]
    );
}
