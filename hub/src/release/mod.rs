//! Signed releases: keys, statements and signatures offline, envelopes in the hub.

pub(crate) mod command;
pub(crate) mod key;
