//! The agent of burin: PID 1 of the ISO, root setup of the initramfs, service of the installed host.

pub mod agent;
pub mod check;
pub mod console;
pub mod context;
pub mod events;
pub mod host;
pub mod hub;
pub mod init;
pub mod installed;
pub mod kube;
pub mod machine;
pub mod perform;
pub mod record;
pub mod steps;
pub mod store;
pub mod sysroot;
