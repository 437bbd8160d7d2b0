//! Which kernel modules an initramfs needs: chosen by where they lie in the kernel's tree, closed
//! over `modules.dep` and `modules.softdep`. Module names: `-` and `_` are the same letter.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

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
const SINGLE: [&str; 14] = [
    "virtio_blk",
    "xen_blkfront",
    "loop",
    "ext4",
    "overlay",
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

/// Why the indexes of a kernel could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IndexError {
    #[error("modules.dep, line {line}: {problem}")]
    Dependencies { line: usize, problem: &'static str },
    #[error(
        "the image's kernel has no `{0}`, neither as a module nor built in: no host can start from it; take another kernel"
    )]
    Missing(&'static str),
}

/// The indexes of one kernel, as `depmod` writes them.
#[derive(Debug, Clone, Default)]
pub struct ModuleIndex {
    /// Path below `/usr/lib/modules/<release>/` -> paths that must be loaded before it.
    dependencies: BTreeMap<String, Vec<String>>,
    /// Module name -> path.
    paths: BTreeMap<String, String>,
    /// Module name -> names that `modules.softdep` wants before or after it.
    soft: BTreeMap<String, Vec<String>>,
    /// Names of what is built in.
    builtin: BTreeSet<String>,
}

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Paths below `/usr/lib/modules/<release>/`, sorted.
    pub paths: Vec<String>,
    /// `modules.dep` reduced to these.
    pub dep: String,
}

impl ModuleIndex {
    /// Reads the three indexes. Lines of `modules.softdep` that are of no known form are skipped:
    /// they only add.
    ///
    /// # Errors
    /// `modules.dep` is not what depmod writes.
    pub fn parse(dep: &str, softdep: &str, builtin: &str) -> Result<Self, IndexError> {
        let mut index = Self::default();
        for (number, line) in dep.lines().enumerate() {
            let refuse = |problem| IndexError::Dependencies {
                line: number + 1,
                problem,
            };
            if line.trim().is_empty() {
                continue;
            }
            let (path, needs) = line.split_once(':').ok_or_else(|| refuse("no colon"))?;
            let needs: Vec<String> = needs.split_whitespace().map(str::to_owned).collect();
            if !(plain(path) && needs.iter().all(|need| plain(need))) {
                return Err(refuse("a path that leads out of the modules' folder"));
            }
            index.paths.insert(name_of(path), path.to_owned());
            index.dependencies.insert(path.to_owned(), needs);
        }
        for line in softdep.lines() {
            let mut words = line.split_whitespace();
            if words.next() != Some("softdep") {
                continue;
            }
            let Some(name) = words.next() else { continue };
            index.soft.entry(normal(name)).or_default().extend(
                words
                    .filter(|word| !matches!(*word, "pre:" | "post:"))
                    .map(normal),
            );
        }
        index.builtin = builtin.lines().map(name_of).collect();
        Ok(index)
    }

    /// Whether the kernel has it, as a module or built in.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.paths.contains_key(&normal(name)) || self.builtin.contains(&normal(name))
    }

    /// Everything that `names` need, each before what needs it: the order for loading them.
    #[must_use]
    pub fn load_order(&self, names: &[&str]) -> Vec<String> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for name in names {
            self.visit(&normal(name), &mut seen, &mut order);
        }
        order
    }

    /// Follows hard and soft dependencies. `seen` also ends the circles that soft ones may make.
    fn visit(&self, name: &str, seen: &mut BTreeSet<String>, order: &mut Vec<String>) {
        if !seen.insert(name.to_owned()) {
            return;
        }
        for soft in self.soft.get(name).into_iter().flatten() {
            self.visit(soft, seen, order);
        }
        let Some(path) = self.paths.get(name) else {
            return;
        };
        // modules.dep lists the nearest need first; the farthest must be loaded first.
        for need in self.dependencies.get(path).into_iter().flatten().rev() {
            self.visit(&name_of(need), seen, order);
        }
        order.push(path.clone());
    }
}

/// Chooses every storage and file-system module of the kernel, not only those of this machine: the
/// disk shall start on another board too.
///
/// # Errors
/// The kernel lacks a file system that every host needs.
pub fn choose(index: &ModuleIndex) -> Result<Chosen, IndexError> {
    if let Some(missing) = REQUIRED_MODULES.iter().find(|name| !index.has(name)) {
        return Err(IndexError::Missing(missing));
    }
    let mut names: Vec<&str> = index
        .paths
        .iter()
        .filter(|(name, path)| {
            FOLDERS.iter().any(|folder| path.starts_with(folder))
                && !NOT_NEEDED.contains(&name.as_str())
        })
        .map(|(name, _)| name.as_str())
        .collect();
    names.extend(SINGLE);
    let mut paths = index.load_order(&names);
    paths.sort();
    let mut dep = String::new();
    for path in &paths {
        let needs = index.dependencies.get(path).cloned().unwrap_or_default();
        dep.push_str(path);
        dep.push(':');
        for need in needs {
            dep.push(' ');
            dep.push_str(&need);
        }
        dep.push('\n');
    }
    Ok(Chosen { paths, dep })
}

fn plain(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// Name of the module at a path: without folders and without `.ko`, `.ko.xz`, `.ko.zst`, `.ko.gz`.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normal(file.split(".ko").next().unwrap_or(file))
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn index() -> ModuleIndex {
        ModuleIndex::parse(DEP, SOFT, "kernel/fs/configfs/configfs.ko\n").unwrap()
    }

    #[test]
    fn needs_come_before_what_needs_them_also_soft_ones() {
        assert_eq!(
            index().load_order(&["ext4", "nvme"]),
            [
                "kernel/crypto/crc32c_generic.ko.xz",
                "kernel/fs/mbcache.ko.xz",
                "kernel/fs/jbd2/jbd2.ko.xz",
                "kernel/fs/ext4/ext4.ko.xz",
                "kernel/drivers/nvme/common/nvme-auth.ko.xz",
                "kernel/drivers/nvme/host/nvme-core.ko.xz",
                "kernel/drivers/nvme/host/nvme.ko.xz",
            ]
        );
    }

    #[test]
    fn storage_and_file_systems_are_taken_the_rest_is_not() {
        let chosen = choose(&index()).unwrap();
        let has = |part: &str| chosen.paths.iter().any(|path| path.contains(part));
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
        let again = ModuleIndex::parse(&chosen.dep, SOFT, "").unwrap();
        assert_eq!(
            choose(&again).unwrap(),
            chosen,
            "the reduced index is complete"
        );
    }

    #[test]
    fn a_kernel_without_erofs_is_refused_by_name() {
        let dep = DEP.replace("kernel/fs/erofs/erofs.ko.xz:\n", "");
        let index = ModuleIndex::parse(&dep, SOFT, "").unwrap();
        assert_eq!(choose(&index), Err(IndexError::Missing("erofs")));
        let built_in = ModuleIndex::parse(&dep, SOFT, "kernel/fs/erofs/erofs.ko\n").unwrap();
        assert!(choose(&built_in).is_ok());
    }

    #[test]
    fn a_circle_of_soft_dependencies_ends() {
        let index =
            ModuleIndex::parse("a.ko:\nb.ko:\n", "softdep a pre: b\nsoftdep b pre: a\n", "")
                .unwrap();
        assert_eq!(index.load_order(&["a"]), ["b.ko", "a.ko"]);
    }

    #[test]
    fn an_index_that_leads_outside_is_refused() {
        for dep in [
            "../../etc/shadow:\n",
            "/abs.ko:\n",
            "a.ko: ../b.ko\n",
            "no colon\n",
        ] {
            assert!(ModuleIndex::parse(dep, "", "").is_err(), "{dep}");
        }
    }

    proptest! {
        #[test]
        fn any_index_is_read_without_panic(dep in "(?s)[a-z./: \n-]{0,200}", soft in "(?s)[a-z: \n]{0,100}") {
            if let Ok(index) = ModuleIndex::parse(&dep, &soft, "") {
                for path in index.load_order(&["a", "b"]) {
                    prop_assert!(plain(&path));
                }
            }
        }
    }
}
