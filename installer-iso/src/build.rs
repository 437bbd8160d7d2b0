//! From a spec to an ISO.
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use burin_core::userdata;
use burin_core::yaml::Problem;
use serde::Serialize;

use crate::initramfs::{self, BuildInfo};
use crate::iso::Readers;
use crate::manifest::{self, Manifest, digest};
use crate::spec::{SecureBoot, Spec};
use crate::{Refused, esp, iso};

/// The driver list that comes with burin.
pub const DRIVERS: &str = include_str!("../data/drivers-amd64.list");
/// Boot entries: file name, title, mode; in the order of the menu.
const ENTRIES: [(&str, &str, &str); 3] = [
    ("install", "Install", "install"),
    ("console", "Console (installs nothing by itself)", "console"),
    ("rescue", "Rescue", "rescue"),
];

/// What a build says while it runs.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    /// What begins now.
    Step(&'a str),
    /// What will have no effect, or not the one that was meant.
    Warning(&'a str),
}

/// Whoever listens to a build.
pub type Tell<'a> = &'a dyn Fn(Told<'_>);

/// What was built, for people and for `--json`.
#[derive(Debug, Clone, Serialize)]
pub struct Built {
    /// Size of the ISO in bytes.
    pub bytes: u64,
    /// SHA-256 of the ISO.
    pub sha256: String,
    /// Kernel release.
    pub kernel: String,
    /// Kernel modules carried.
    pub drivers: usize,
    /// Digests of inputs and of the files of the boot partition.
    pub manifest: Manifest,
}

/// What the files that a spec names hold.
struct Inputs<'a> {
    tree: &'a Path,
    agent: Vec<u8>,
    user_data: Option<String>,
    patterns: String,
    release: String,
    kernel: Vec<u8>,
    /// The kernel's date: the one time that follows from the inputs.
    kernel_epoch: u64,
}

impl<'a> Inputs<'a> {
    fn read(spec: &'a Spec, tell: Tell<'_>) -> Result<Self> {
        spec.check()?;
        let tree = spec
            .packages
            .as_deref()
            .ok_or_else(|| missing("packages"))?;
        let agent = spec.agent.as_deref().ok_or_else(|| missing("agent"))?;
        let agent = fs::read(agent)
            .map_err(|error| Refused(format!("agent {}: {error}", agent.display())))?;
        let user_data = spec.user_data.as_deref();
        let user_data = user_data
            .map(|path| read_user_data(path, tell))
            .transpose()?;
        let patterns = match &spec.drivers {
            Some(path) => fs::read_to_string(path)
                .map_err(|error| Refused(format!("drivers {}: {error}", path.display())))?,
            None => DRIVERS.to_owned(),
        };
        let release = crate::packages::kernel_release(tree)?;
        let path = tree.join(format!("boot/vmlinuz-{release}"));
        let date = fs::metadata(&path)
            .context("reading the kernel's date")?
            .mtime();
        let kernel_epoch = u64::try_from(date).context("the kernel's date is before 1970")?;
        let kernel = read(&path)?;
        Ok(Self {
            tree,
            agent,
            user_data,
            patterns,
            release,
            kernel,
            kernel_epoch,
        })
    }

    fn digests(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("agent".to_owned(), digest(&self.agent)),
            ("drivers".to_owned(), digest(self.patterns.as_bytes())),
            (format!("vmlinuz-{}", self.release), digest(&self.kernel)),
        ])
    }
}

/// Builds the ISO `out`. Equal inputs give equal bytes, wherever, whenever and by whomever.
/// `epoch` is the time in the ISO, in seconds since 1970; without it the kernel's date.
///
/// # Errors
/// [`Refused`] for what a person must correct; else what failed while building.
pub fn build(spec: &Spec, out: &Path, epoch: Option<u64>, tell: Tell<'_>) -> Result<Built> {
    tell(Told::Step("reading kernel, agent and user-data"));
    let inputs = Inputs::read(spec, tell)?;
    let epoch = epoch.unwrap_or(inputs.kernel_epoch);
    let info = BuildInfo {
        version: env!("CARGO_PKG_VERSION"),
        epoch,
    };
    tell(Told::Step("collecting drivers and tools"));
    let parts = initramfs::collect(inputs.tree, &inputs.agent, &inputs.patterns, &info)?;
    let drivers = parts
        .modules
        .entries()
        .filter(|(path, _)| path.contains(".ko"))
        .count();
    let area = initramfs::user_data(
        inputs.user_data.as_deref().map(str::as_bytes),
        spec.user_data_area,
    )?;
    let mut digests = inputs.digests();
    tell(Told::Step("packing the initramfs"));
    let mut files = BTreeMap::from([
        ("burin/linux".to_owned(), inputs.kernel),
        ("burin/initrd".to_owned(), parts.pack()?),
        ("burin/user-data.cpio".to_owned(), area),
    ]);
    loader(&mut files, &mut digests, spec, inputs.tree)?;
    let manifest = Manifest {
        version: info.version.to_owned(),
        kernel: inputs.release.clone(),
        epoch,
        files: files
            .iter()
            .map(|(path, bytes)| (path.clone(), digest(bytes)))
            .collect(),
        inputs: digests,
    };
    files.insert(manifest::PATH.to_owned(), manifest.render()?);
    tell(Told::Step("writing the ISO"));
    let readers = match inputs.user_data {
        Some(_) => Readers::Owner,
        None => Readers::Everybody,
    };
    iso::write(out, &esp::make(&files)?, epoch, readers)?;
    let made = read(out)?;
    let (bytes, sha256) = (made.len() as u64, digest(&made));
    Ok(Built {
        bytes,
        sha256,
        kernel: inputs.release,
        drivers,
        manifest,
    })
}

/// Puts the boot loader, its settings and its entries among `files`.
fn loader(
    files: &mut BTreeMap<String, Vec<u8>>,
    inputs: &mut BTreeMap<String, String>,
    spec: &Spec,
    tree: &Path,
) -> Result<()> {
    const PLAIN: &str = "usr/lib/systemd/boot/efi/systemd-bootx64.efi";
    const SIGNED: &str = "usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed";
    // shim starts grubx64.efi beside it, whatever that is, and the key manager on demand.
    let programs: &[(&str, &str)] = match spec.secure_boot {
        SecureBoot::Shim => &[
            ("usr/lib/shim/shimx64.efi.signed", "EFI/BOOT/BOOTX64.EFI"),
            (SIGNED, "EFI/BOOT/grubx64.efi"),
            ("usr/lib/shim/mmx64.efi.signed", "EFI/BOOT/mmx64.efi"),
        ],
        SecureBoot::None => &[(PLAIN, "EFI/BOOT/BOOTX64.EFI")],
    };
    for (source, path) in programs {
        let bytes = read(&tree.join(source))?;
        inputs.insert((*source).to_owned(), digest(&bytes));
        files.insert((*path).to_owned(), bytes);
    }
    let settings = format!(
        "timeout {}\ndefault install.conf\neditor no\nauto-entries no\nauto-firmware yes\nconsole-mode keep\n",
        spec.menu_timeout
    );
    files.insert("loader/loader.conf".to_owned(), settings.into_bytes());
    for (order, (name, title, mode)) in (1..).zip(ENTRIES) {
        let text = entry(order, title, mode, &spec.extra_cmdline);
        files.insert(format!("loader/entries/{name}.conf"), text.into_bytes());
    }
    Ok(())
}

/// One entry of the Boot Loader Specification, type 1.
fn entry(order: u32, title: &str, mode: &str, extra: &[String]) -> String {
    let mut options = format!("burin.mode={mode} quiet");
    for word in extra {
        options.push(' ');
        options.push_str(word);
    }
    format!(
        "title burin: {title}\nsort-key burin-{order}\nlinux /burin/linux\ninitrd /burin/initrd\n\
         initrd /burin/user-data.cpio\noptions {options}\n"
    )
}

/// Reads user-data that shall get onto a medium. A host that meets a mistake on site can only wait for
/// a person, so every mistake is refused here.
///
/// # Errors
/// [`Refused`] with every mistake and its place.
pub fn read_user_data(path: &Path, tell: Tell<'_>) -> Result<String> {
    let bytes = fs::read(path)
        .map_err(|error| Refused(format!("user-data {}: {error}", path.display())))?;
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(Refused(format!("user-data {}: not UTF-8 text", path.display())).into());
    };
    let read = match userdata::empty(&text) {
        Some(problem) => Err(vec![problem]),
        None => userdata::parse(&text),
    };
    let line = |problem: &Problem| format!("{}:{problem}", path.display());
    match read {
        Ok(data) => {
            for warning in data.warnings.iter().chain(&userdata::no_hub(&data)) {
                tell(Told::Warning(&line(warning)));
            }
            Ok(text)
        }
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(line).collect();
            Err(Refused(lines.join("\n")).into())
        }
    }
}

fn missing(field: &str) -> Refused {
    Refused(format!(
        "{field}: nothing given; name it in the spec or with --{field}"
    ))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_what_the_boot_loader_specification_says() {
        assert_eq!(
            entry(1, "Install", "install", &["console=ttyS0".to_owned()]),
            "title burin: Install\nsort-key burin-1\nlinux /burin/linux\ninitrd /burin/initrd\n\
             initrd /burin/user-data.cpio\noptions burin.mode=install quiet console=ttyS0\n"
        );
    }
}
