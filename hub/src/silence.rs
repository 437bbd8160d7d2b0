//! Silent hosts: accepted, heard once, and now three intervals late.

use crate::host_api::interval;
use crate::state::Hub;

/// Missed intervals before a host is called silent.
const MISSED: i64 = 3;

/// Accepted hosts that were last heard before this time are silent, milliseconds since 1970.
pub(crate) async fn heard_since(hub: &Hub, now: i64) -> anyhow::Result<i64> {
    let seconds = i64::from(interval(hub, now).await?);
    Ok(now - MISSED * seconds * 1000)
}
