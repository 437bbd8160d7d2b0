//! Signed releases: keys, statements and signatures off the hub, envelopes in it.

pub(crate) mod command;
mod compare;
pub(crate) mod key;
mod offline;
pub(crate) mod store;
mod summary;
