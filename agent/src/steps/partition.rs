//! Writes the partition table.

use anyhow::Result;

use burin_core::layout::Layout;

use crate::context::Context;
use crate::steps::{Failure, Outcome};

/// Writes the partition table.
///
/// # Errors
/// Always, until it is written.
#[expect(clippy::unused_async, reason = "every step has the same shape")]
pub async fn perform(_ctx: &Context, _layout: &Layout) -> Result<Outcome> {
    Err(Failure::never("the step is not written yet", "").into())
}
