//! Writes identity key, user-data and host facts: the first files of the system partition.

use anyhow::Result;

use crate::context::Context;
use crate::steps::Outcome;

/// Writes key, registration, user-data and host facts, each synced; the key last, because it says
/// that the partition is ours. From then on the seed in the firmware's variable is not needed.
///
/// # Errors
/// When the system partition cannot be written.
#[expect(clippy::unused_async, reason = "every step has the same shape")]
pub async fn perform(ctx: &Context) -> Result<Outcome> {
    ctx.identity.keep(&ctx.paths)?;
    ctx.events.log_to(&ctx.paths.logs())?;
    Ok(Outcome::Done)
}
