//! Telling systemd that the server is ready (sd_notify(3)), as K3s does with `Type=notify`.
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use anyhow::{Context, Result};

/// Sends `READY=1` to the socket that `NOTIFY_SOCKET` names, if there is one.
pub(crate) fn ready() -> Result<()> {
    let Ok(name) = std::env::var("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&name),
    };
    let address = address.with_context(|| format!("the address {name:?} in NOTIFY_SOCKET"))?;
    let socket = UnixDatagram::unbound().context("opening a socket")?;
    socket
        .send_to_addr(b"READY=1\n", &address)
        .context("telling systemd that the server is ready")?;
    Ok(())
}
