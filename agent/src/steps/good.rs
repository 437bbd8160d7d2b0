//! Marks the boot entry good.

use anyhow::Result;

use crate::context::Context;
use crate::steps::{Failure, Outcome};

/// Marks the boot entry good.
///
/// # Errors
/// Always, until it is written.
#[expect(clippy::unused_async, reason = "every step has the same shape")]
pub async fn perform(_ctx: &Context, _generation: u64) -> Result<Outcome> {
    Err(Failure::never("the step is not written yet", "").into())
}
