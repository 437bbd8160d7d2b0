//! The only doors to the kernel and to programs. No decisions here, no knowledge of steps.

pub mod block;
pub mod clock;
pub mod console;
pub mod efi;
pub mod esp;
pub mod exec;
pub mod fat;
pub mod file;
pub mod ioctl;
pub mod link;
pub mod medium;
pub mod module;
pub mod mount;
pub mod power;
pub mod probe;
pub mod route;
pub mod uevent;
