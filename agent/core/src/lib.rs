//! The pure part of burin: values, parsers of outside bytes, decisions. Same input, same output.
//! No files, environment, clock or sockets: the `clippy.toml` beside this package forbids them.

pub mod backoff;
pub mod boot;
pub mod checks;
pub mod clock;
pub mod cosign;
pub mod cost;
pub mod display;
pub mod efi;
pub mod elf;
pub mod eltorito;
pub mod facts;
pub mod fat;
pub mod generations;
pub mod health;
pub mod host;
pub mod identity;
pub mod initramfs;
pub mod integrity;
pub mod kube;
pub mod layout;
pub mod merge;
pub mod modules;
pub mod network;
pub mod oci;
pub mod persistent;
pub mod plan;
pub mod preflight;
pub mod profile;
pub mod record;
pub mod release;
pub mod render;
pub mod ssh;
pub mod userdata;
pub mod view;
pub mod yaml;
