//! Lays loader, installer and recovery entry on the disk: from then on it boots by itself and
//! finishes the job, with or without the medium.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use burin_core::boot::{
    ENTRIES, Entry, LOADER_CONF, RECOVERY_ENTRY, RECOVERY_OPTION, initramfs_path, kernel_path,
    loader_conf,
};
use burin_core::efi::LoadOption;
use sha2::{Digest as _, Sha256};

use crate::context::{Context, Paths};
use crate::hub::identity::blank_token;
use crate::machine::block;
use crate::machine::efi::Variables;
use crate::machine::medium::{self, Medium};
use crate::machine::mount::mounted_at;
use crate::machine::{esp, file};
use crate::steps::{Failure, Outcome};

/// Kernel, initramfs and user-data area on the medium.
const FILES: [&str; 3] = ["burin/linux", "burin/initrd", "burin/user-data.cpio"];
/// Where the initramfs of the installer keeps the loaders.
const LOADERS: &str = "usr/lib/burin/boot";
/// The folder of the firmware's entry, beside the fallback folder that every firmware looks into.
const FOLDERS: [&str; 2] = ["EFI/BOOT", "EFI/burin"];
const FIRST: &str = "BOOTX64.EFI";
/// The longest loader, bytes.
const LOADER_LIMIT: usize = 8 << 20;

/// Writes the loader, the installer under the names of its digests, the recovery entry last, then
/// the firmware's boot variable. Everything is read back.
///
/// # Errors
/// When no medium is found, it is damaged, or the ESP does not keep what is written. Firmware that
/// refuses the variable is only a note: it finds the fallback path.
#[expect(clippy::unused_async, reason = "every step has the same shape")]
pub async fn perform(ctx: &Context) -> Result<Outcome> {
    let paths = &ctx.paths;
    let medium = find_medium(&paths.root)?;
    let mut files = medium.read(&FILES)?;
    let area = files.pop().context("the medium has a user-data area")?;
    let token = ctx
        .user_data
        .token
        .as_ref()
        .map(|token| token.expose().trim());
    let area = without_seed(area, token.unwrap_or_default());
    let initrd = files.pop().context("the medium has an initramfs")?;
    let kernel = files.pop().context("the medium has a kernel")?;
    for (name, bytes) in loaders(&paths.root)? {
        for folder in FOLDERS {
            esp::put(&paths.esp.join(folder).join(name), &bytes)?;
        }
    }
    esp::put(&paths.esp.join(LOADER_CONF), loader_conf().as_bytes())?;
    let name = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let (linux, initrds) = (name(&kernel), [name(&initrd), name(&area)]);
    esp::put(&on_esp(paths, &kernel_path(&linux)), &kernel)?;
    esp::put(&on_esp(paths, &initramfs_path(&initrds[0])), &initrd)?;
    esp::put(&on_esp(paths, &initramfs_path(&initrds[1])), &area)?;
    // The installer on the disk finds out by itself what is left to do.
    let options = format!("{RECOVERY_OPTION} quiet");
    let entry = Entry::recovery(&linux, &initrds, &options).render();
    esp::put(
        &paths.esp.join(ENTRIES).join(RECOVERY_ENTRY),
        entry.as_bytes(),
    )?;
    if let Err(err) = firmware_entry(paths) {
        ctx.events.note(format!(
            "the firmware keeps no boot entry ({err:#}); it starts the disk by the fallback path"
        ));
    }
    Ok(Outcome::Done)
}

/// Bytes of the files that the recovery entry needs, as the medium has them. None when the medium is
/// gone: it was read already, or the step says so.
#[must_use]
pub fn bytes(root: &Path) -> Option<u64> {
    let medium = medium::find(root).into_iter().next()?;
    medium.bytes(&FILES).ok()
}

/// The user-data area with the registration token blanked: only an accepted host gets this far, so the
/// token has done its work, and whoever takes the disk must not register with it.
fn without_seed(mut area: Vec<u8>, token: &str) -> Vec<u8> {
    let blank = blank_token();
    if token.len() != blank.len() {
        return area;
    }
    let mut at = 0;
    while let Some(window) = area.get_mut(at..at + token.len()) {
        if window == token.as_bytes() {
            window.copy_from_slice(blank.as_bytes());
        }
        at += 1;
    }
    area
}

fn find_medium(root: &Path) -> Result<Medium, Failure> {
    medium::find(root).into_iter().next().ok_or_else(|| {
        Failure::again("the medium that the installer was started from is gone").advise(
            "Plug the stick in again, or attach the ISO again: the installer must be copied to the \
             disk before the disk can start by itself.",
        )
    })
}

/// What the ESP gets in each loader folder: with Secure Boot's files the chain shim, signed loader
/// under the name that shim starts; else the loader itself.
fn loaders(root: &Path) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let folder = root.join(LOADERS);
    let read = |name: &str| file::read_if_there(&folder.join(name), LOADER_LIMIT);
    let shim = read("shimx64.efi")?;
    let signed = read("systemd-bootx64.efi.signed")?;
    if let (Some(shim), Some(signed)) = (shim, signed) {
        let mut files = vec![(FIRST, shim), ("grubx64.efi", signed)];
        files.extend(read("mmx64.efi")?.map(|manager| ("mmx64.efi", manager)));
        return Ok(files);
    }
    let loader = read("systemd-bootx64.efi")?
        .with_context(|| format!("the installer has no boot loader in {}", folder.display()))?;
    Ok(vec![(FIRST, loader)])
}

fn on_esp(paths: &Paths, path: &str) -> PathBuf {
    paths.esp.join(path.trim_start_matches('/'))
}

/// Writes `Boot####` and puts it first.
fn firmware_entry(paths: &Paths) -> Result<()> {
    let variables = Variables::open(&paths.root).context("there are no firmware variables")?;
    let mounts = file::read_text(&paths.root.join("proc/self/mounts"), 1 << 20)?;
    let (device, _) = mounted_at(&mounts, &paths.esp.to_string_lossy())
        .context("the boot partition is not mounted")?;
    let name = Path::new(device)
        .file_name()
        .context("a device has a name")?;
    let option = load_option(&paths.root, &paths.root.join("sys/class/block").join(name))?;
    variables.boot_first(&option)?;
    Ok(())
}

/// The firmware's entry for a boot partition, from the partition's folder in sysfs.
///
/// # Errors
/// When the kernel does not tell its place or GUID.
pub fn load_option(root: &Path, partition: &Path) -> Result<LoadOption> {
    let text = |name: &str| file::read_text(&partition.join(name), 4096);
    let number = |name: &str| -> Result<u64> {
        text(name)?
            .trim()
            .parse()
            .with_context(|| format!("reading {}", partition.join(name).display()))
    };
    let real = partition
        .canonicalize()
        .context("following the partition's folder")?;
    let disk = real.parent().context("a partition lies in a disk")?;
    let sector: u64 = file::read_text(&disk.join("queue/logical_block_size"), 64)?
        .trim()
        .parse()
        .context("reading the disk's sector size")?;
    // sysfs counts in 512 bytes whatever the sector is; the firmware counts in sectors.
    let blocks = |value: u64| value * 512 / sector.max(512);
    Ok(LoadOption {
        description: "burin".to_owned(),
        partition: u32::try_from(number("partition")?).context("a partition has a small number")?,
        start: blocks(number("start")?),
        blocks: blocks(number("size")?),
        guid: block::guid_of(root, partition)?,
        path: format!("\\EFI\\burin\\{FIRST}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_never_reaches_the_boot_partition() {
        let token = burin_api::token::Token::from_seed([9; 16]).reveal();
        let area = format!("070701 burin: {{ token: {token} }}\n# {token}\0\0").into_bytes();
        let kept = without_seed(area.clone(), &token);
        assert_eq!(kept.len(), area.len(), "the archive's sizes still hold");
        let text = String::from_utf8(kept).unwrap();
        assert!(!text.contains(&token), "{text}");
        assert_eq!(text.matches(&blank_token()).count(), 2);
        assert_eq!(without_seed(area.clone(), ""), area);
    }

    #[test]
    fn the_boot_entry_counts_in_sectors_of_the_disk() {
        for (sector, start) in [("512\n", 2048), ("4096\n", 256)] {
            let root = tempfile::tempdir().unwrap();
            let disk = root.path().join("nvme0n1");
            let partition = disk.join("nvme0n1p1");
            std::fs::create_dir_all(disk.join("queue")).unwrap();
            std::fs::create_dir_all(&partition).unwrap();
            std::fs::write(disk.join("queue/logical_block_size"), sector).unwrap();
            for (name, text) in [
                (
                    "uevent",
                    "DEVNAME=nvme0n1p1\nPARTUUID=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\n",
                ),
                ("partition", "1\n"),
                ("start", "2048\n"),
                ("size", "2097152\n"),
            ] {
                std::fs::write(partition.join(name), text).unwrap();
            }
            let option = load_option(root.path(), &partition).unwrap();
            assert_eq!((option.start, option.partition), (start, 1));
            assert_eq!(option.guid, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
            assert!(option.encode().is_ok());
        }
    }

    #[test]
    fn shim_comes_first_where_its_chain_is_whole() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(LOADERS);
        std::fs::create_dir_all(&folder).unwrap();
        assert!(loaders(root.path()).is_err(), "no loader at all");
        let names = |root: &Path| -> Vec<_> {
            loaders(root)
                .unwrap()
                .into_iter()
                .map(|(name, _)| name)
                .collect()
        };
        std::fs::write(folder.join("systemd-bootx64.efi"), "plain").unwrap();
        std::fs::write(folder.join("shimx64.efi"), "shim").unwrap();
        assert_eq!(
            names(root.path()),
            [FIRST],
            "shim without a signed loader starts nothing"
        );
        std::fs::write(folder.join("systemd-bootx64.efi.signed"), "signed").unwrap();
        assert_eq!(names(root.path()), [FIRST, "grubx64.efi"]);
        assert_eq!(loaders(root.path()).unwrap()[0].1, b"shim");
    }
}
