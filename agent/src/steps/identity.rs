//! Writes identity key, registration, user-data and assignment: the first files of the system
//! partition.

use anyhow::{Context as _, Result};
use burin_api::desired::Desired;
use burin_api::event::EventKind;

use crate::context::{Context, Paths};
use crate::machine::efi::{BURIN, Variables};
use crate::machine::file;
use crate::steps::Outcome;

/// The firmware's variable that keeps the key (PKCS#8) until the disk does.
pub const SEED: &str = "BurinIdentity";
/// Longest assignment that is read, in bytes: far above what one answer of a hub can carry.
const LIMIT: usize = 4 * 1024 * 1024;

/// Writes assignment, user-data, registration and key, each synced; the key last, because it says
/// that the partition is ours.
///
/// # Errors
/// When the system partition cannot be written.
#[expect(clippy::unused_async, reason = "every step has the same shape")]
pub async fn perform(ctx: &Context) -> Result<Outcome> {
    keep_desired(ctx)?;
    ctx.identity.keep(&ctx.paths)?;
    if let Err(err) = forget_seed(&ctx.paths) {
        let err = err.context("removing the identity from the firmware");
        ctx.events.report(EventKind::Note, "identity", &err);
    }
    ctx.events.log_to(&ctx.paths.logs())?;
    Ok(Outcome::Done)
}

/// The key lies on the disk now; a copy that anybody with the machine in hand can read is only harm.
fn forget_seed(paths: &Paths) -> Result<()> {
    let Some(variables) = Variables::open(&paths.root) else {
        return Ok(());
    };
    match variables.read(SEED, BURIN)? {
        Some(_) => variables.remove(SEED, BURIN),
        None => Ok(()),
    }
}

/// Writes the assignment, so that a boot without a hub knows what the host shall be.
///
/// # Errors
/// When the system partition cannot be written.
pub fn keep_desired(ctx: &Context) -> Result<()> {
    let Some(desired) = ctx.desired.as_deref() else {
        return Ok(());
    };
    if kept_desired(&ctx.paths)?.as_ref() == Some(desired) {
        return Ok(());
    }
    let bytes = serde_json::to_vec(desired).context("writing the assignment as JSON")?;
    file::replace(&ctx.paths.desired(), &bytes, file::Mode::Private)
}

/// The assignment that was kept last.
///
/// # Errors
/// When it cannot be read or makes no sense.
pub fn kept_desired(paths: &Paths) -> Result<Option<Desired>> {
    let path = paths.desired();
    let Some(bytes) = file::read_if_there(&path, LIMIT)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .with_context(|| format!("reading {}", path.display()))
}
