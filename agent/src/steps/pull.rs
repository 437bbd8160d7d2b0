//! Streams one blob of an image into the store.

use anyhow::Result;

use burin_api::desired::Blob;

use crate::context::Context;
use crate::steps::{Failure, Outcome};

/// Streams one blob of an image into the store.
///
/// # Errors
/// Always, until it is written.
#[expect(clippy::unused_async, reason = "every step has the same shape")]
pub async fn perform(
    _ctx: &Context,
    _image: &str,
    _registry: &str,
    _repository: &str,
    _blob: &Blob,
) -> Result<Outcome> {
    Err(Failure::never("the step is not written yet", "").into())
}
