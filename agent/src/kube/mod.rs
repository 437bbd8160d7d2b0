//! Kubernetes on the installed host: what is laid down for it, and what it says of itself.

pub mod client;
pub mod lay;
