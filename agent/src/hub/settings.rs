//! How the hub is reached and what the host shows of itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use burin_api::host::Evidence;
use burin_api::message::Mode;
use burin_api::token::Token;
use burin_registry::Proxy;
use sha2::{Digest as _, Sha256};

use crate::context::Hidden;

/// The hub's address and what it must prove. From user-data.
#[derive(Debug, Clone, Default)]
pub struct HubSettings {
    /// `https://` and host, with a port where it is not 443.
    pub url: String,
    /// Thumbprint of a root key, `sha256:<hex>`; without it the first contact trusts TLS alone.
    pub root: Option<String>,
    /// Lowest version of the hub's root document that the first contact takes.
    pub root_version: u32,
    /// PEM of roots for the hub's certificate, besides those of the system.
    pub ca: Vec<String>,
    /// The registration token, until the host is accepted.
    pub token: Option<Hidden<Arc<Token>>>,
    /// The way out of a closed network.
    pub proxy: Option<Proxy>,
}

/// What the host says about itself when it registers.
#[derive(Debug, Clone)]
pub struct Introduction {
    pub host_id: String,
    pub host_id_source: String,
    pub evidence: Evidence,
    pub labels: BTreeMap<String, String>,
    pub boot_id: String,
    pub mode: Mode,
    /// `x86_64` or `aarch64`.
    pub arch: String,
}

impl Introduction {
    /// What people know the machine by: what stands on its label.
    #[must_use]
    pub fn machine(&self) -> String {
        let it = &self.evidence;
        let named = |what: &str, value: &str| match value.trim() {
            "" => String::new(),
            value => format!("{what}{value}"),
        };
        let parts = [
            format!("{} {}", it.vendor, it.product).trim().to_owned(),
            named("serial ", &it.serial),
            named("", &it.macs.join(" ")),
        ];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(", ")
    }

    /// Names the hardware by what of it does not change between two boots: a host whose key shows
    /// up with other hardware in turns has been copied.
    #[must_use]
    pub fn hardware_digest(&self) -> String {
        let it = &self.evidence;
        let mut parts = vec![
            it.uuid.as_str(),
            it.serial.as_str(),
            it.board_serial.as_str(),
            it.cpu.as_str(),
        ];
        let mut macs: Vec<_> = it.macs.iter().map(String::as_str).collect();
        macs.sort_unstable();
        parts.extend(macs);
        hex::encode(Sha256::digest(parts.join("\0")))
    }
}
