//! What is in the installer's memory before it has touched a disk: agent, modules, the tools
//! that make file systems, roots of trust, a font, the boot loader to be installed.
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::cpio::{Archive, Content};
use crate::drivers::{self, Indexes, Selection};
use crate::{elf, font};

/// Programs of the package tree that the installer runs.
const PROGRAMS: [&str; 2] = ["/usr/sbin/mke2fs", "/usr/sbin/e2fsck"];
/// A font with the block characters that a QR code needs, of the lines and of all Latin letters.
const FONT: &str = "usr/share/consolefonts/Vietnamese-Terminus16.psf.gz";
/// Loader files for the disk to be installed: source in the package tree, name in the ISO.
const LOADERS: [(&str, &str); 4] = [
    (
        "usr/lib/systemd/boot/efi/systemd-bootx64.efi",
        "systemd-bootx64.efi",
    ),
    (
        "usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed",
        "systemd-bootx64.efi.signed",
    ),
    ("usr/lib/shim/shimx64.efi.signed", "shimx64.efi"),
    ("usr/lib/shim/mmx64.efi.signed", "mmx64.efi"),
];
/// Folders that are mounted upon.
const MOUNT_POINTS: [&str; 7] = ["dev", "proc", "sys", "run", "tmp", "mnt", "var"];
/// Where the loaders lie in the initramfs.
const LOADER_FOLDER: &str = "usr/lib/burin/boot";
/// The zstd level; 19 is the last one whose window every kernel can unpack.
const LEVEL: i32 = 19;

/// The two parts of an initramfs, before they are packed.
#[derive(Debug)]
pub struct Parts {
    /// Kernel release whose modules these are.
    pub release: String,
    /// Modules, packed one by one already: stored as they are.
    pub modules: Archive,
    /// Everything else: compressed as a whole.
    pub rest: Archive,
}

/// What is said in `/etc/burin/build.json`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct BuildInfo<'a> {
    /// Version of burin.
    pub version: &'a str,
    /// Seconds since 1970 that the clock of the machine must not be behind.
    pub epoch: u64,
}

/// Collects the parts from a package tree and the agent's binary.
///
/// # Errors
/// A file is missing in the tree, the agent is not static, or the kernel cannot load packed
/// modules.
pub fn collect(tree: &Path, agent: &[u8], patterns: &str, info: &BuildInfo<'_>) -> Result<Parts> {
    let needs = elf::needs(agent).context("reading the agent's binary")?;
    ensure!(
        needs.interpreter.is_none(),
        "the agent's binary wants the loader {}: build it static",
        needs.interpreter.unwrap_or_default()
    );
    let release = crate::packages::kernel_release(tree)?;
    let (selection, modules) = modules(tree, &release, patterns)?;
    let mut rest = Archive::default();
    skeleton(&mut rest);
    rest.file("init", 0o755, agent);
    rest.file("etc/burin/role", 0o644, *b"installer\n");
    let mut build = serde_json::to_vec(info).context("writing build.json")?;
    build.push(b'\n');
    rest.file("etc/burin/build.json", 0o644, build);
    indexes(&mut rest, &release, &selection.indexes);
    programs(&mut rest, tree)?;
    rest.file(
        "etc/ssl/certs/ca-certificates.crt",
        0o644,
        certificates(tree)?,
    );
    rest.file("usr/share/burin/font.psf", 0o644, console_font(tree)?);
    for (source, name) in LOADERS {
        let bytes = read(&tree.join(source))?;
        rest.file(&format!("{LOADER_FOLDER}/{name}"), 0o644, bytes);
    }
    Ok(Parts {
        release,
        modules,
        rest,
    })
}

impl Parts {
    /// The bytes that the boot loader hands to the kernel: first the modules as a plain archive
    /// (they are packed already, and a second pass would only cost time), then the rest packed.
    ///
    /// # Errors
    /// A file does not fit the archive format.
    pub fn pack(&self) -> Result<Vec<u8>> {
        let mut bytes = self.modules.pack().context("packing the modules")?;
        let rest = self.rest.pack().context("packing the initramfs")?;
        bytes.extend(zstd::bulk::compress(&rest, LEVEL).context("compressing the initramfs")?);
        // The kernel looks for the next archive at a multiple of four only.
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        Ok(bytes)
    }
}

fn skeleton(archive: &mut Archive) {
    for folder in MOUNT_POINTS {
        archive.directory(folder, if folder == "tmp" { 0o1777 } else { 0o755 });
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        archive.directory(&format!("usr/{name}"), 0o755);
        archive.symlink(name, &format!("usr/{name}"));
    }
    archive.directory("root", 0o700);
    // The kernel opens it for PID 1 before anything is mounted.
    archive.put("dev/console", 0o600, Content::CharDevice(5, 1));
    archive.symlink("usr/bin/burin", "/init");
}

fn modules(tree: &Path, release: &str, patterns: &str) -> Result<(Selection, Archive)> {
    let config = tree.join(format!("boot/config-{release}"));
    let config = String::from_utf8(read(&config)?).context("the kernel's configuration")?;
    for option in [
        "CONFIG_MODULE_DECOMPRESS=y",
        "CONFIG_RD_ZSTD=y",
        "CONFIG_EFI_STUB=y",
        "CONFIG_FS_VERITY=y",
    ] {
        ensure!(
            config.lines().any(|line| line == option),
            "kernel {release} lacks {option}"
        );
    }
    let folder = tree.join("usr/lib/modules").join(release);
    let text = |name: &str| -> Result<String> {
        String::from_utf8(read(&folder.join(name))?).with_context(|| format!("{name} is not text"))
    };
    let all = Indexes {
        dep: text("modules.dep")?,
        alias: text("modules.alias")?,
        softdep: text("modules.softdep")?,
        builtin: text("modules.builtin")?,
        builtin_modinfo: text("modules.builtin.modinfo")?,
        order: text("modules.order")?,
    };
    let selection = drivers::select(patterns, &all).context("choosing drivers")?;
    let mut archive = Archive::default();
    for path in &selection.modules {
        let bytes = read(&folder.join(path))?;
        archive.file(&format!("usr/lib/modules/{release}/{path}"), 0o644, bytes);
    }
    Ok((selection, archive))
}

fn indexes(archive: &mut Archive, release: &str, indexes: &Indexes) {
    for (name, text) in [
        ("dep", &indexes.dep),
        ("alias", &indexes.alias),
        ("softdep", &indexes.softdep),
        ("builtin", &indexes.builtin),
        ("builtin.modinfo", &indexes.builtin_modinfo),
        ("order", &indexes.order),
    ] {
        archive.file(
            &format!("usr/lib/modules/{release}/modules.{name}"),
            0o644,
            text.as_bytes(),
        );
    }
}

fn programs(archive: &mut Archive, tree: &Path) -> Result<()> {
    for program in PROGRAMS {
        archive.file(
            program,
            0o755,
            read(&tree.join(program.trim_start_matches('/')))?,
        );
    }
    for (path, source) in elf::closure(tree, &PROGRAMS)? {
        // "/lib64" is a link in the initramfs: what belongs there goes to where it points.
        let path = if path.starts_with("/lib") {
            format!("/usr{path}")
        } else {
            path
        };
        archive.file(&path, 0o755, read(&source)?);
    }
    archive.file(
        "etc/mke2fs.conf",
        0o644,
        read(&tree.join("etc/mke2fs.conf"))?,
    );
    Ok(())
}

fn certificates(tree: &Path) -> Result<Vec<u8>> {
    let folder = tree.join("usr/share/ca-certificates/mozilla");
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        files.push(entry?.path());
    }
    files.retain(|file| file.extension().is_some_and(|end| end == "crt"));
    files.sort();
    ensure!(!files.is_empty(), "no certificates in {}", folder.display());
    let mut all = Vec::new();
    for file in files {
        let pem = read(&file)?;
        ensure!(
            pem.starts_with(b"-----BEGIN CERTIFICATE-----"),
            "{} is no certificate",
            file.display()
        );
        all.extend(pem);
        if !all.ends_with(b"\n") {
            all.push(b'\n');
        }
    }
    Ok(all)
}

/// The console font of an ISO, unpacked, out of a package tree.
///
/// # Errors
/// It is missing, or lacks what a QR code is drawn with.
pub fn console_font(tree: &Path) -> Result<Vec<u8>> {
    let path = tree.join(FONT);
    let mut bytes = Vec::new();
    let packed = read(&path)?;
    let read = flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes);
    read.with_context(|| format!("unpacking {}", path.display()))?;
    let missing = font::missing(&bytes, &font::NEEDED)
        .with_context(|| format!("reading {}", path.display()))?;
    if !missing.is_empty() {
        bail!(
            "the font {} lacks {missing:?}, which a QR code is drawn with",
            path.display()
        );
    }
    Ok(bytes)
}

/// The archive that carries user-data, padded with zeros to `area` bytes, so that a finished ISO
/// can be given other user-data without moving a file.
///
/// # Errors
/// The user-data does not fit.
pub fn user_data(text: Option<&[u8]>, area: u64) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    if let Some(text) = text {
        archive.file("etc/burin/user-data", 0o600, text);
    }
    let mut bytes = archive.pack()?;
    let area = usize::try_from(area).context("the user-data area")?;
    if bytes.len() > area {
        let found = text.map_or(0, <[u8]>::len);
        return Err(crate::Refused(format!(
            "user-data of {found} bytes does not fit in the area of {area} bytes: enlarge user-data-area"
        ))
        .into());
    }
    bytes.resize(area, 0);
    Ok(bytes)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_fills_its_area_and_reads_back_private() {
        let bytes = user_data(Some(b"hub: {}\n"), 4096).unwrap();
        assert_eq!(bytes.len(), 4096);
        let archive = Archive::unpack(&bytes).unwrap();
        let entry = archive.get("/etc/burin/user-data").unwrap();
        assert_eq!(entry.permissions, 0o600);
        assert_eq!(entry.content, Content::File(b"hub: {}\n".to_vec()));
        assert!(
            Archive::unpack(&user_data(None, 4096).unwrap())
                .unwrap()
                .get("etc/burin/user-data")
                .is_none()
        );
        let error = user_data(Some(&[b'x'; 5000]), 4096).unwrap_err();
        assert!(error.downcast_ref::<crate::Refused>().is_some(), "{error}");
    }

    #[test]
    fn a_dynamic_agent_is_refused() {
        let agent = fs::read("/bin/ls").unwrap();
        let info = BuildInfo {
            version: "1",
            epoch: 0,
        };
        let error = collect(Path::new("/nowhere"), &agent, "", &info).unwrap_err();
        assert!(error.to_string().contains("build it static"), "{error}");
    }

    #[test]
    fn the_parts_are_a_plain_archive_and_a_packed_one_behind_it() {
        let mut parts = Parts {
            release: "1".into(),
            modules: Archive::default(),
            rest: Archive::default(),
        };
        parts
            .modules
            .file("usr/lib/modules/1/a.ko.xz", 0o644, *b"module");
        parts.rest.file("init", 0o755, *b"agent");
        let bytes = parts.pack().unwrap();
        let split = parts.modules.pack().unwrap().len();
        assert_eq!((split % 4, bytes.len() % 4), (0, 0));
        assert_eq!(Archive::unpack(&bytes[..split]).unwrap(), parts.modules);
        let mut rest = Vec::new();
        let decoder = zstd::stream::read::Decoder::with_buffer(&bytes[split..]).unwrap();
        decoder.single_frame().read_to_end(&mut rest).unwrap();
        assert_eq!(Archive::unpack(&rest).unwrap(), parts.rest);
    }
}
