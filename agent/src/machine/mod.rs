//! The only doors to kernel and programs.

pub mod file;
