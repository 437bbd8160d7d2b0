//! Verified reads from OCI registries.
