//! Which kernel modules an initramfs needs: chosen by where they lie in the kernel's tree, closed
//! over what they need.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::modules::{ModuleIndex, module_name};

/// Folders of the kernel's tree whose modules drive what a disk may hang on.
const FOLDERS: [&str; 17] = [
    "kernel/drivers/ata/",
    "kernel/drivers/nvme/host/",
    "kernel/drivers/nvme/common/",
    "kernel/drivers/scsi/",
    "kernel/drivers/message/fusion/",
    "kernel/drivers/virtio/",
    "kernel/drivers/mmc/",
    "kernel/drivers/ufs/",
    "kernel/drivers/usb/storage/",
    "kernel/drivers/usb/host/",
    "kernel/drivers/hv/",
    "kernel/drivers/pci/controller/",
    "kernel/drivers/nvdimm/",
    "kernel/drivers/phy/",
    "kernel/fs/nls/",
    "kernel/fs/fat/",
    "kernel/fs/erofs/",
];

/// Single modules outside of these folders.
const SINGLE: [&str; 15] = [
    "virtio_blk",
    "xen_blkfront",
    "loop",
    "ext4",
    "overlay",
    "efivarfs",
    "hid_hyperv",
    "crc32c_generic",
    "crc32c_intel",
    "crc32c",
    "libcrc32c",
    "sha512_generic",
    "sha512_ssse3",
    "sha256_ssse3",
    "dm_mod",
];

/// Modules of the folders above that no disk needs: protocols over a network whose addresses an
/// initramfs does not know, and test drivers.
const NOT_NEEDED: [&str; 6] = [
    "scsi_debug",
    "iscsi_tcp",
    "libiscsi_tcp",
    "pcmcia",
    "nvme_tcp",
    "nvme_rdma",
];

/// What an initramfs must be able to do; either a module or built into the kernel.
pub const REQUIRED_MODULES: [&str; 4] = ["ext4", "erofs", "overlay", "vfat"];

/// The kernel cannot start a host.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the image's kernel has no `{0}`, neither as a module nor built in: no host can start from it; take another kernel"
)]
pub struct MissingModule(pub &'static str);

/// Chooses every storage and file-system module of the kernel, not only those of this machine: the
/// disk shall start on another board too. `paths` are the kernel's modules below its folder.
///
/// # Errors
/// The kernel lacks a file system that every host needs.
pub fn choose(index: &ModuleIndex) -> Result<BTreeSet<String>, MissingModule> {
    if let Some(missing) = REQUIRED_MODULES.iter().find(|name| !index.is_known(name)) {
        return Err(MissingModule(missing));
    }
    let mut names: BTreeSet<String> = index
        .paths()
        .filter(|path| FOLDERS.iter().any(|folder| path.starts_with(folder)))
        .map(module_name)
        .filter(|name| !NOT_NEEDED.contains(&name.as_str()))
        .collect();
    names.extend(SINGLE.map(str::to_owned));
    let order = index.load_order_of(names.iter().map(String::as_str));
    Ok(order.into_iter().filter(|path| plain(path)).collect())
}

/// Why the chosen modules cannot be loaded from an initramfs, if they cannot: gzip and zstd are
/// unpacked there when the kernel does not do it, everything else only the kernel unpacks.
/// `options` as [`crate::facts::kernel_options`] reads them; empty when the image does not tell.
#[must_use]
pub fn packing_problem(
    chosen: &BTreeSet<String>,
    options: &BTreeMap<String, String>,
) -> Option<String> {
    let unpacks = options
        .get("CONFIG_MODULE_DECOMPRESS")
        .is_none_or(|value| value == "y");
    let bad = chosen.iter().find(|path| {
        let packing = path.rsplit_once(".ko").map_or("", |(_, packing)| packing);
        match packing {
            "" | ".gz" | ".zst" => false,
            ".xz" => !unpacks,
            _ => true,
        }
    })?;
    Some(format!(
        "the module {bad} is packed in a way that its kernel cannot unpack by itself          (CONFIG_MODULE_DECOMPRESS is not set, or the packing is not known): no host could load it;          take a kernel that can, or modules packed with zstd or gzip or not at all"
    ))
}

/// An index file reduced to the chosen modules: lines of `modules.dep`, `modules.alias` and
/// `modules.softdep` that are about one of them.
#[must_use]
pub fn reduce(text: &str, chosen: &BTreeSet<String>) -> String {
    let names: BTreeSet<String> = chosen.iter().map(|path| module_name(path)).collect();
    let about = |line: &str| {
        let mut words = line.split_whitespace();
        let subject = match words.next()? {
            "alias" => words.nth(1)?,
            "softdep" => words.next()?,
            path => path.strip_suffix(':')?,
        };
        Some(names.contains(&module_name(subject)))
    };
    let mut reduced = String::new();
    for line in text.lines().filter(|line| about(line) == Some(true)) {
        reduced.push_str(line);
        reduced.push('\n');
    }
    reduced
}

/// The names come out of an image: none may lead out of the kernel's folder.
fn plain(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::IndexFiles;
    use proptest::prelude::*;

    const DEP: &str = "\
kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/fs/mbcache.ko.xz
kernel/fs/jbd2/jbd2.ko.xz:
kernel/fs/mbcache.ko.xz:
kernel/fs/erofs/erofs.ko.xz:
kernel/fs/overlayfs/overlay.ko.xz:
kernel/fs/fat/fat.ko.xz:
kernel/fs/fat/vfat.ko.xz: kernel/fs/fat/fat.ko.xz
kernel/fs/nls/nls_ascii.ko.xz:
kernel/fs/xfs/xfs.ko.xz:
kernel/crypto/crc32c_generic.ko.xz:
kernel/drivers/nvme/host/nvme.ko.xz: kernel/drivers/nvme/host/nvme-core.ko.xz kernel/drivers/nvme/common/nvme-auth.ko.xz
kernel/drivers/nvme/host/nvme-core.ko.xz: kernel/drivers/nvme/common/nvme-auth.ko.xz
kernel/drivers/nvme/common/nvme-auth.ko.xz:
kernel/drivers/nvme/host/nvme-tcp.ko.xz: kernel/drivers/nvme/host/nvme-core.ko.xz
kernel/drivers/net/ethernet/intel/e1000/e1000.ko.xz:
";
    const SOFT: &str = "# comment\nsoftdep ext4 pre: crc32c-generic\nsoftdep fat post: vfat\n";

    fn index(dep: &str, builtin: &str) -> ModuleIndex {
        ModuleIndex::parse(&IndexFiles {
            dep,
            softdep: SOFT,
            builtin,
            ..IndexFiles::default()
        })
    }

    #[test]
    fn modules_that_nobody_can_unpack_are_a_problem_that_names_one() {
        let options = |value: &str| {
            BTreeMap::from([("CONFIG_MODULE_DECOMPRESS".to_owned(), value.to_owned())])
        };
        for (name, options, refused) in [
            ("a/ext4.ko", options("n"), false),
            ("a/ext4.ko.zst", options("n"), false),
            ("a/ext4.ko.gz", options("n"), false),
            ("a/ext4.ko.xz", options("y"), false),
            ("a/ext4.ko.xz", BTreeMap::new(), false),
            ("a/ext4.ko.xz", options("n"), true),
            ("a/ext4.ko.lz4", options("y"), true),
        ] {
            let problem = packing_problem(&BTreeSet::from([name.to_owned()]), &options);
            assert_eq!(problem.is_some(), refused, "{name} {options:?}");
            assert!(problem.is_none_or(|text| text.contains(name)));
        }
    }

    #[test]
    fn storage_and_file_systems_are_taken_the_rest_is_not() {
        let chosen = choose(&index(DEP, "")).unwrap();
        let has = |part: &str| chosen.iter().any(|path| path.contains(part));
        for part in [
            "ext4",
            "jbd2",
            "mbcache",
            "crc32c_generic",
            "overlay",
            "vfat",
            "nls_ascii",
            "nvme.ko",
        ] {
            assert!(has(part), "{part} is missing");
        }
        for part in ["e1000", "xfs", "nvme-tcp"] {
            assert!(!has(part), "{part} is there");
        }
        let reduced = reduce(DEP, &chosen);
        assert_eq!(
            choose(&index(&reduced, "")).unwrap(),
            chosen,
            "the reduced index is complete"
        );
    }

    #[test]
    fn an_index_keeps_only_lines_of_chosen_modules() {
        let chosen = BTreeSet::from(["kernel/drivers/nvme/host/nvme-core.ko.xz".to_owned()]);
        assert_eq!(
            reduce(
                "alias pci:v1* nvme_core\nalias pci:v2* e1000\nsoftdep nvme-core pre: x\n# x\n",
                &chosen
            ),
            "alias pci:v1* nvme_core\nsoftdep nvme-core pre: x\n"
        );
    }

    #[test]
    fn a_kernel_without_erofs_is_refused_by_name() {
        let dep = DEP.replace("kernel/fs/erofs/erofs.ko.xz:\n", "");
        assert_eq!(choose(&index(&dep, "")), Err(MissingModule("erofs")));
        assert!(choose(&index(&dep, "kernel/fs/erofs/erofs.ko\n")).is_ok());
    }

    proptest! {
        #[test]
        fn no_index_leads_outside(dep in "(?s)[a-z./: \n-]{0,200}") {
            let all = format!("{DEP}{dep}");
            for path in choose(&index(&all, "")).unwrap_or_default() {
                prop_assert!(plain(&path));
            }
        }
    }
}
