//! Rigs: what scenarios, demo and bench stand on.
pub mod images;
