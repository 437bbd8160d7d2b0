//! How a running hub is told to end.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal as listen};

/// Ends with the first SIGTERM or SIGINT after this call.
///
/// # Errors
/// When the signals cannot be listened for.
pub(super) fn signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = listen(SignalKind::terminate()).context("waiting for SIGTERM")?;
    let mut interrupt = listen(SignalKind::interrupt()).context("waiting for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
