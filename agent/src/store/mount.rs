//! Mounting a sealed image: EROFS over its file, or over a loop device where the kernel needs one,
//! and overlayfs that checks every object.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result};
use composefs::fsverity::FsVerityHashValue;
use composefs::mount::{MountOptions, VerityRequirement, composefs_fsmount, mount_at};
use rustix::io::Errno;

use super::{Store, Verity, image_id};

impl Store {
    /// Mounts a sealed image, read-only. A digest that does not match the image's content, and
    /// with [`Verity::Required`] any object that does not match the image, is an I/O error.
    ///
    /// # Errors
    /// When there is no such image, it is damaged, or the kernel cannot mount it.
    pub fn mount(&self, digest: &str, at: &Path) -> Result<()> {
        let name = image_id(digest)?.to_hex();
        let doing = || format!("mounting the sealed image {digest} at {}", at.display());
        // Before 6.15 the crate mounts EROFS on a temporary directory first.
        fs::create_dir_all(std::env::temp_dir()).with_context(doing)?;
        let (image, _) = self.objects.open_image(&name).with_context(doing)?;
        let mounted = match self.compose(image, &name) {
            // Kernels before 6.12, or without CONFIG_EROFS_FS_BACKED_BY_FILE, say that a file is
            // no block device.
            Err(error) if is_no_block_device(&error) => {
                tracing::debug!("no file-backed EROFS in this kernel, using a loop device");
                let (image, _) = self.objects.open_image(&name).with_context(doing)?;
                let device = composefs_ioctls::loop_device::loopify(image).with_context(doing)?;
                self.compose(device, &name).with_context(doing)?
            }
            other => other.with_context(doing)?,
        };
        mount_at(mounted, rustix::fs::CWD, at).with_context(doing)
    }

    fn compose(&self, image: OwnedFd, name: &str) -> std::io::Result<OwnedFd> {
        let objects = self.objects.objects_dir()?;
        let verity = match self.verity {
            Verity::Required => VerityRequirement::Required,
            Verity::Off => VerityRequirement::Disabled,
        };
        composefs_fsmount(
            image,
            name,
            &[objects.as_fd()],
            verity,
            &MountOptions::default(),
        )
    }
}

fn is_no_block_device(error: &std::io::Error) -> bool {
    [Errno::NOTBLK, Errno::INVAL, Errno::OPNOTSUPP]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
