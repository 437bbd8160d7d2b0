//! What the service does on an installed host beyond the agent's common loop.

pub mod generations;
