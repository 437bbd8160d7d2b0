//! The initramfs of an installed generation: the archive's format, and which of the image's kernel
//! modules go into it.

mod archive;
mod modules;

pub use archive::{Archive, ArchiveError, Member};
pub use modules::{MissingModule, REQUIRED_MODULES, choose, packing_problem, reduce};

/// Where `burin` reads which of its lives it is in.
pub const ROLE_PATH: &str = "etc/burin/role";
/// The role of the installed initramfs.
pub const ROLE_SYSROOT: &str = "sysroot";
/// Empty folders on which the initramfs mounts.
pub const MOUNT_POINTS: [&str; 6] = ["dev", "proc", "run", "sys", "sysroot", "tmp"];
