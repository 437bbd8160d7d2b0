//! Writes record, user-data, registration and identity key: the first files of the system partition.

use anyhow::Result;
use burin_api::event::EventKind;

use crate::context::{Context, Paths};
use crate::machine::efi::{BURIN, Variables};
use crate::record::Keeper;
use crate::steps::Outcome;

/// The firmware's variable that keeps the key (PKCS#8) until the disk does.
pub const SEED: &str = "BurinIdentity";

/// Writes record, user-data, registration and key, each synced; the key last, because it
/// says that the partition is ours and that the installation can be gone on with.
///
/// # Errors
/// When the system partition cannot be written.
#[expect(clippy::unused_async, reason = "every step has the same shape")]
pub async fn perform(ctx: &Context) -> Result<Outcome> {
    if Keeper::find(&ctx.paths)?.is_none() {
        Keeper::begin(&ctx.paths, &ctx.operation)?;
    }
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
