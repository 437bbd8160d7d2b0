//! How hosts get in: who inserts which matcher, what people decide, and what follows from it.
//! REST and pages call these functions; each is one transaction and one line of the audit log.

pub(crate) mod accept;
pub(crate) mod challenge;
pub(crate) mod claims;
mod clones;
pub(crate) mod decide;
pub(crate) mod landing;
pub(crate) mod preauth;
mod refused;
