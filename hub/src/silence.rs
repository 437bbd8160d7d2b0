//! Silent hosts: accepted, heard once, and now three intervals late.

use crate::host_api::interval;
use crate::state::Hub;

/// Missed intervals before a host is called silent.
const MISSED: i64 = 3;

/// Accepted hosts that were last heard before this time are silent, milliseconds since 1970.
/// A hub that just began to listen calls nobody silent: it was itself not there to hear.
pub(crate) async fn heard_since(hub: &Hub, now: i64) -> anyhow::Result<i64> {
    let grace = MISSED * i64::from(interval(hub, now).await?) * 1000;
    Ok(if now - hub.started_at < grace {
        0
    } else {
        now - grace
    })
}
