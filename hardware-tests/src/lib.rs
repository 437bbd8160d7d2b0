//! Rigs: what scenarios, demo and bench stand on.
//!
//! A rig is a real neighbour (machine, registry, hub) that ends when its value is dropped.
pub mod artifacts;
pub mod bench;
pub mod board;
pub mod browser;
pub mod canary;
pub mod golden;
pub mod hub;
pub mod images;
pub mod person;
pub mod pki;
pub mod process;
pub mod progress;
pub mod proxy;
pub mod qemu;
pub mod register;
pub mod registry;
pub mod scenario;
pub mod screen;
pub mod site;
pub mod sparse;
pub mod story;
pub mod transcript;
pub mod workspace;
