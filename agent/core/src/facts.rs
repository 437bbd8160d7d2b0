//! What publishing learns from streaming an image once: where its kernel lies and what it can do.

use std::collections::BTreeMap;

use burin_api::desired::LayerFacts;

use crate::initramfs;
use crate::merge::{Decision, EntryKind, Origin, Outline, OutlineEntry, Refusal, normalize};
use crate::modules::{IndexFiles, ModuleIndex};

/// What drivers drive that kernels often have built in. Before Linux 6.16 the index of built-in
/// modules has no device patterns, so these are taken from the drivers' device tables.
const BUILT_IN: [(&str, &str); 6] = [
    ("ahci", "pci:v*d*sv*sd*bc01sc06i01*"),
    ("nvme", "pci:v*d*sv*sd*bc01sc08i02*"),
    ("virtio_blk", "virtio:d00000002v*"),
    ("virtio_net", "virtio:d00000001v*"),
    ("virtio_pci", "pci:v00001AF4d*sv*sd*bc*sc*i*"),
    ("virtio_scsi", "virtio:d00000008v*"),
];

/// The longest file that is read for its content, bytes: Debian's `modules.alias` has 1.5 MB.
pub const MAX_CONTENT: u64 = 16 << 20;

/// Kernel options of which the facts keep the value.
pub const OPTIONS: [&str; 6] = [
    "CONFIG_EROFS_FS",
    "CONFIG_EROFS_FS_BACKED_BY_FILE",
    "CONFIG_FS_VERITY",
    "CONFIG_MODULE_DECOMPRESS",
    "CONFIG_OVERLAY_FS",
    "CONFIG_RD_ZSTD",
];

/// Collects the facts of one image, fed with the entries of its layers in order.
#[derive(Debug)]
pub struct FactsBuilder {
    origin: Origin,
    outline: Outline,
    /// Path -> content of the files that are looked into.
    texts: BTreeMap<String, Vec<u8>>,
}

impl FactsBuilder {
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            outline: Outline::default(),
            texts: BTreeMap::new(),
        }
    }

    /// The next entry belongs to the next layer of the image.
    pub fn start_layer(&mut self) {
        self.outline.start_layer();
    }

    /// Takes an entry. Where it returns a path, the entry's content is to be given to
    /// [`Self::content`] with that path.
    ///
    /// # Errors
    /// Whatever the merge rules refuse in any image.
    pub fn entry(&mut self, entry: &OutlineEntry) -> Result<Option<String>, Refusal> {
        let decision = self.outline.add(entry, self.origin)?;
        if decision != Decision::Keep || entry.kind != EntryKind::File || entry.size > MAX_CONTENT {
            return Ok(None);
        }
        let path = normalize(&entry.path)?;
        Ok(is_read(&path).then_some(path))
    }

    /// Takes the content of a file that [`Self::entry`] asked for.
    pub fn content(&mut self, path: String, bytes: Vec<u8>) {
        self.texts.insert(path, bytes);
    }

    /// The facts. Files that a later layer removed do not count.
    #[must_use]
    pub fn finish(self) -> LayerFacts {
        let (content_bytes, files) = self.outline.content();
        let mut facts = LayerFacts {
            content_bytes,
            files,
            has_systemd: self.any(&["usr/lib/systemd/systemd", "lib/systemd/systemd"]),
            selinux_enforcing: self.selinux_enforcing(),
            os: self.os(),
            ..LayerFacts::default()
        };
        let paths = self.outline.entries().map(|(path, kind, _)| (path, kind));
        let Some(kernel) = find_kernel(paths) else {
            return facts;
        };
        facts.kernel_bytes = self.size(&kernel.image);
        facts.kernel_config = self.config(&kernel);
        self.modules(&kernel, &mut facts);
        facts.kernel_path = Some(format!("/{}", kernel.image));
        facts.kernel = Some(kernel.release);
        facts
    }

    fn modules(&self, kernel: &Kernel, facts: &mut LayerFacts) {
        let text = |name: &str| self.text(&format!("{}/{name}", kernel.modules));
        let (dep, softdep, builtin) = (
            text("modules.dep"),
            text("modules.softdep"),
            text("modules.builtin"),
        );
        let index = ModuleIndex::parse(&IndexFiles {
            dep: &dep,
            alias: &text("modules.alias"),
            softdep: &softdep,
            builtin: &builtin,
            builtin_modinfo: &text("modules.builtin.modinfo"),
        });
        facts.module_aliases = index.patterns().map(str::to_owned).collect();
        let builtin = BUILT_IN.iter().filter(|(name, _)| index.is_builtin(name));
        facts
            .module_aliases
            .extend(builtin.map(|(_, pattern)| (*pattern).to_owned()));
        facts.module_aliases.sort_unstable();
        facts.module_aliases.dedup();
        match initramfs::choose(&index) {
            Ok(chosen) => {
                facts.boot_module_bytes = chosen
                    .iter()
                    .map(|path| self.size(&format!("{}/{path}", kernel.modules)))
                    .sum();
                facts.kernel_problem = initramfs::packing_problem(&chosen, &facts.kernel_config);
            }
            Err(problem) => facts.kernel_problem = Some(problem.to_string()),
        }
    }

    fn any(&self, paths: &[&str]) -> bool {
        paths.iter().any(|path| self.outline.kind(path).is_some())
    }

    fn size(&self, path: &str) -> u64 {
        self.outline.size(path).unwrap_or(0)
    }

    fn text(&self, path: &str) -> String {
        if self.outline.kind(path) != Some(EntryKind::File) {
            return String::new();
        }
        self.texts
            .get(path)
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .unwrap_or_default()
    }

    fn config(&self, kernel: &Kernel) -> BTreeMap<String, String> {
        let places = [
            format!("{}/config", kernel.modules),
            format!("boot/config-{}", kernel.release),
        ];
        match places
            .iter()
            .map(|path| self.text(path))
            .find(|text| !text.is_empty())
        {
            Some(text) => kernel_options(&text),
            None => BTreeMap::new(),
        }
    }

    fn selinux_enforcing(&self) -> bool {
        self.text("etc/selinux/config")
            .lines()
            .any(|line| line.trim() == "SELINUX=enforcing")
    }

    fn os(&self) -> String {
        let text = ["usr/lib/os-release", "etc/os-release"]
            .map(|path| self.text(path))
            .concat();
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line.map(|v| v.trim().trim_matches('"').to_owned())
                .unwrap_or_default()
        };
        format!("{} {}", value("ID="), value("VERSION_ID="))
            .trim()
            .to_owned()
    }
}

/// Whether the facts need the content of a file.
fn is_read(path: &str) -> bool {
    if matches!(
        path,
        "usr/lib/os-release" | "etc/os-release" | "etc/selinux/config"
    ) || path.starts_with("boot/config-")
    {
        return true;
    }
    let Some((folder, name)) = path.rsplit_once('/') else {
        return false;
    };
    module_release(folder).is_some()
        && matches!(
            name,
            "config"
                | "modules.alias"
                | "modules.builtin"
                | "modules.builtin.modinfo"
                | "modules.dep"
                | "modules.softdep"
        )
}

/// `usr/lib/modules/<release>` and its short form name a release.
fn module_release(folder: &str) -> Option<&str> {
    let below = folder.strip_prefix("usr/").unwrap_or(folder);
    let release = below.strip_prefix("lib/modules/")?;
    (!release.is_empty() && !release.contains('/')).then_some(release)
}

/// Values of [`OPTIONS`] in a kernel configuration; an option that is not set is `n`.
#[must_use]
pub fn kernel_options(config: &str) -> BTreeMap<String, String> {
    let mut values: BTreeMap<String, String> = OPTIONS
        .iter()
        .map(|o| ((*o).to_owned(), "n".to_owned()))
        .collect();
    for line in config.lines() {
        if let Some((name, value)) = line.split_once('=')
            && let Some(slot) = values.get_mut(name.trim())
        {
            value
                .trim()
                .chars()
                .take(16)
                .collect::<String>()
                .clone_into(slot);
        }
    }
    values
}

/// Where the kernel of an image lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// As `uname -r` will print it.
    pub release: String,
    /// Path of the kernel image, without a leading slash.
    pub image: String,
    /// Path of its module folder.
    pub modules: String,
}

/// Finds the newest kernel that has both an image and a module folder.
///
/// Debian and Ubuntu keep `/boot/vmlinuz-<release>`; Fedora, openSUSE and images made for bootc
/// keep `/usr/lib/modules/<release>/vmlinuz`; Kairos adds a link `/boot/vmlinuz`, which is passed
/// over; arm64 images are called `Image`.
#[must_use]
pub fn find_kernel<'a>(paths: impl Iterator<Item = (&'a str, EntryKind)>) -> Option<Kernel> {
    let mut images: BTreeMap<&str, &str> = BTreeMap::new();
    let mut folders: BTreeMap<&str, &str> = BTreeMap::new();
    for (path, kind) in paths {
        let Some((folder, name)) = path.rsplit_once('/') else {
            continue;
        };
        if kind == EntryKind::File && folder == "boot" {
            let release = name
                .strip_prefix("vmlinuz-")
                .or_else(|| name.strip_prefix("Image-"));
            if let Some(release) = release.filter(|release| !release.contains("rescue")) {
                images.entry(release).or_insert(path);
            }
        } else if let Some(release) = module_release(folder) {
            folders.insert(release, folder);
            if kind == EntryKind::File && matches!(name, "vmlinuz" | "Image") {
                // Beside its modules it cannot be of another build: it wins.
                images.insert(release, path);
            }
        }
    }
    let newest = images
        .iter()
        .filter(|(release, _)| folders.contains_key(*release))
        .max_by_key(|(release, _)| version_key(release))?;
    Some(Kernel {
        release: (*newest.0).to_owned(),
        image: (*newest.1).to_owned(),
        modules: (*folders.get(newest.0)?).to_owned(),
    })
}

/// Numbers of a release in order, so that 6.12 is newer than 6.9.
fn version_key(release: &str) -> Vec<u64> {
    release
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests;
