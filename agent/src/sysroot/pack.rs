//! Makes the boot files of a generation out of its sealed root: the kernel as it lies there, and the
//! initramfs whose init is this program.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use burin_core::elf;
use burin_core::facts::{Kernel, find_kernel};
use burin_core::initramfs::{Archive, MOUNT_POINTS, ROLE_PATH, ROLE_SYSROOT, choose, reduce};
use burin_core::modules::{IndexFiles, ModuleIndex};
use sha2::{Digest as _, Sha256};

use crate::machine::file;
use crate::store::Root;

/// More than any binary of burin has.
const PROGRAM_LIMIT: usize = 256 << 20;
/// Fast, because the machine waits for it; most of the content is packed already.
const LEVEL: i32 = 3;

/// Repairs ext4.
const FSCK: &str = "usr/sbin/e2fsck";
/// Where images keep libraries; the dynamic loader of each looks where its own image has them.
const LIBRARIES: [&str; 4] = [
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
];

/// What the loader is to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFiles {
    /// As `uname -r` will print it.
    pub release: String,
    pub kernel: Vec<u8>,
    pub initramfs: Vec<u8>,
}

/// SHA-256, hex: the name of a boot file on the ESP.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Makes both files. The same root and program give the same bytes.
///
/// # Errors
/// The root has no kernel with modules, or one that cannot start a host, or is damaged.
pub fn boot_files(root: &Root<'_>, program: &Path) -> Result<BootFiles> {
    let entries = root.walk("")?;
    let found = entries
        .iter()
        .map(|entry| (entry.path.as_str(), entry.kind));
    let Some(kernel) = find_kernel(found) else {
        bail!(
            "the root has no kernel with its modules (/boot/vmlinuz-* or /usr/lib/modules/*/vmlinuz): add a kernel to the OS image"
        );
    };
    let program = file::read(program, PROGRAM_LIMIT)?;
    let initramfs = initramfs(root, &kernel, &program)
        .with_context(|| format!("making the initramfs for kernel {}", kernel.release))?;
    Ok(BootFiles {
        kernel: root.read_file(&kernel.image)?,
        release: kernel.release,
        initramfs,
    })
}

fn initramfs(root: &Root<'_>, kernel: &Kernel, program: &[u8]) -> Result<Vec<u8>> {
    let index = |name: &str| -> Result<String> {
        let path = format!("{}/modules.{name}", kernel.modules);
        let bytes = match root.find(&path) {
            Some(_) => root.read_file(&path)?,
            None => Vec::new(),
        };
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (dep, alias, softdep) = (index("dep")?, index("alias")?, index("softdep")?);
    let (builtin, modinfo) = (index("builtin")?, index("builtin.modinfo")?);
    let parsed = ModuleIndex::parse(&IndexFiles {
        dep: &dep,
        alias: &alias,
        softdep: &softdep,
        builtin: &builtin,
        builtin_modinfo: &modinfo,
    });
    let chosen = choose(&parsed)?;
    let packer = zstd::Encoder::new(Vec::new(), LEVEL).context("starting zstd")?;
    let mut archive = Archive::new(packer);
    archive.file("init", true, program)?;
    archive.file(ROLE_PATH, false, ROLE_SYSROOT.as_bytes())?;
    for folder in MOUNT_POINTS {
        archive.directory(folder)?;
    }
    let folder = format!("usr/lib/modules/{}", kernel.release);
    for (name, text) in [
        ("dep", reduce(&dep, &chosen)),
        ("alias", reduce(&alias, &chosen)),
        ("softdep", reduce(&softdep, &chosen)),
        ("builtin", builtin),
        ("builtin.modinfo", modinfo),
    ] {
        archive.file(&format!("{folder}/modules.{name}"), false, text.as_bytes())?;
    }
    pack_modules(root, kernel, &chosen, &mut archive)?;
    pack_repair(root, &mut archive)?;
    archive.finish()?.finish().context("ending zstd")
}

fn pack_modules<W: Write>(
    root: &Root<'_>,
    kernel: &Kernel,
    chosen: &BTreeSet<String>,
    archive: &mut Archive<W>,
) -> Result<()> {
    for path in chosen {
        let bytes = root.read_file(&format!("{}/{path}", kernel.modules))?;
        let target = format!("usr/lib/modules/{}/{path}", kernel.release);
        archive.file(&target, false, &bytes)?;
    }
    Ok(())
}

/// Packs e2fsck with its loader and libraries, if the root has it: a data partition that does not
/// mount is repaired before the host goes on without it.
fn pack_repair<W: Write>(root: &Root<'_>, archive: &mut Archive<W>) -> Result<()> {
    if root.find(FSCK).is_none() {
        return Ok(());
    }
    let mut packed = BTreeSet::new();
    let mut queue = vec![FSCK.to_owned()];
    while let Some(path) = queue.pop() {
        let place = path.trim_start_matches('/');
        if !packed.insert(place.to_owned()) {
            continue;
        }
        let bytes = root.read_file(place)?;
        let needs = elf::needs(&bytes).with_context(|| format!("reading /{place}"))?;
        archive.file(place, true, &bytes)?;
        for library in needs.libraries {
            queue
                .push(locate(root, &library).with_context(|| format!("/{place} needs {library}"))?);
        }
        queue.extend(needs.interpreter);
    }
    Ok(())
}

fn locate(root: &Root<'_>, library: &str) -> Result<String> {
    let places = LIBRARIES.iter().map(|folder| format!("{folder}/{library}"));
    let found = places.into_iter().find(|path| root.find(path).is_some());
    found.with_context(|| format!("the root has no library {library}"))
}
