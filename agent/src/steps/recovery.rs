//! Lays loader, installer and recovery entry on the disk.

use anyhow::Result;

use crate::context::Context;
use crate::steps::{Failure, Outcome};

/// Lays loader, installer and recovery entry on the disk.
///
/// # Errors
/// Always, until it is written.
#[expect(clippy::unused_async, reason = "every step has the same shape")]
pub async fn perform(_ctx: &Context) -> Result<Outcome> {
    Err(Failure::never("the step is not written yet", "").into())
}
