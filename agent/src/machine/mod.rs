//! The only doors to the kernel and to programs. No decisions here, no knowledge of steps.

pub mod console;
pub mod file;
pub mod ioctl;
pub mod module;
pub mod mount;
pub mod power;
pub mod uevent;
