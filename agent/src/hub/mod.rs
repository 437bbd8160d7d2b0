//! The host's side of the host API: identity, registration, session, sync.

pub mod identity;

pub use identity::Identity;
