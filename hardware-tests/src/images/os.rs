//! The OS image: a small bootable Debian made by mmdebstrap, as a stranger would make one.
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use burin_iso::mirror::{self, Mirror, SUITE};
use burin_iso::packages;

use super::layout::{Layer, Layout, Packing, sha256};
use super::split::split;

const PACKAGES: &str = "ca-certificates,dbus,e2fsprogs,iproute2,kmod,libpam-systemd,linux-image-amd64,nftables,\
    openssh-server,systemd,systemd-sysv,udev";
/// What an appliance does not need. Without the hook no initramfs is made in the image: burin
/// makes its own.
const LEFT_OUT: [&str; 7] = [
    "/usr/share/man/*",
    "/usr/share/doc/*",
    "/usr/share/locale/*",
    "/usr/share/info/*",
    "/usr/share/bash-completion/*",
    "/usr/share/zsh/*",
    "/etc/kernel/postinst.d/initramfs-tools",
];
/// What differs between two runs or belongs to one machine, and the network service that a
/// server image is expected to start.
const TIDY: &str = "rm -rf \"$1\"/etc/ssh/ssh_host_* \"$1\"/etc/hostname \"$1\"/etc/resolv.conf \
    \"$1\"/var/cache/debconf/*-old \"$1\"/var/cache/ldconfig/* \"$1\"/var/log/apt \"$1\"/initrd.img* \
    \"$1\"/vmlinuz*; chroot \"$1\" systemctl enable systemd-networkd.service; \
    echo uninitialized > \"$1\"/etc/machine-id";
/// The kernel is a layer of its own, so that a pull has more than one blob.
const KERNEL_PARTS: [&str; 2] = ["./boot", "./usr/lib/modules"];
/// Times in the image, seconds since 1970; any fixed number does.
const EPOCH: &str = "1767225600";

/// Makes the image, or takes it from the cache: its name there is the digest of this recipe
/// and of the mirror's signed list of packages.
///
/// # Errors
/// No mirror is known, or mmdebstrap is missing or fails.
pub fn make(cache: &Path) -> Result<Layout> {
    let mirror = mirror::of_this_machine()?;
    let suite = packages::suite_digest(&mirror, cache)?;
    let recipe =
        format!("2\n{suite}\n{PACKAGES}\n{LEFT_OUT:?}\n{TIDY}\n{KERNEL_PARTS:?}\n{EPOCH}\n");
    let folder = cache
        .join("images/os")
        .join(&sha256(recipe.as_bytes())["sha256:".len()..]);
    if let Some(layout) = existing(&folder)? {
        return Ok(layout);
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let work = tempfile::Builder::new()
        .prefix(".making-")
        .tempdir_in(&folder)?;
    let archive = work.path().join("os.tar");
    packages::run(&mut mmdebstrap(&mirror, &archive)).context("making the OS image")?;
    let tar = fs::read(&archive).context("reading what mmdebstrap made")?;
    let (base, kernel) = split(&tar, &KERNEL_PARTS).context("cutting the OS image into layers")?;
    ensure!(
        kernel.len() > 1 << 20,
        "the OS image has no kernel in {KERNEL_PARTS:?}"
    );
    // What was left out is put back empty: a sealed root must have the folder to mount upon.
    let mut with_dev = folder_header("./dev/")?;
    with_dev.extend(base);
    let layers = [with_dev, kernel].map(|tar| Layer {
        tar,
        packing: Packing::Gzip,
    });
    Layout::make(&folder, &layers)
}

fn folder_header(path: &str) -> Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header
        .set_path(path)
        .with_context(|| format!("naming {path}"))?;
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header.set_cksum();
    Ok(header.as_bytes().to_vec())
}

fn existing(folder: &Path) -> Result<Option<Layout>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(None);
    };
    for entry in entries {
        let path = entry.context("reading the cache of images")?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if let Some(digest) = name.strip_prefix("sha256-") {
            return Layout::open(&path, &format!("sha256:{digest}")).map(Some);
        }
    }
    Ok(None)
}

fn mmdebstrap(mirror: &Mirror, out: &Path) -> Command {
    let mut command = Command::new("mmdebstrap");
    command.env("SOURCE_DATE_EPOCH", EPOCH);
    command.args([
        "--quiet",
        "--variant=essential",
        "--architectures=amd64",
        "--format=tar",
    ]);
    // Device nodes have no place in a layer; the kernel makes them.
    command.args([
        "--skip=output/dev",
        "--aptopt=APT::Install-Recommends \"false\"",
    ]);
    command.arg(format!("--include={PACKAGES}"));
    command.args(LEFT_OUT.map(|path| format!("--dpkgopt=path-exclude={path}")));
    command.arg(format!("--customize-hook={TIDY}"));
    command.arg(format!("--keyring={}", mirror.keyring.display()));
    command
        .arg(SUITE)
        .arg(out)
        .arg(format!("deb {} {SUITE} main", mirror.url));
    command
}
