//! What every request handler shares.

use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use crate::db::Db;
use crate::heartbeats::{Census, Heartbeats};
use crate::isos::Isos;
use crate::keys::HubKeys;
use crate::limit::Limits;
use crate::nonce::Nonces;
use crate::people::code::SeedKey;
use crate::people::oidc::Provider;
use crate::refusals::Refusals;
use crate::vault::Vault;

/// Settings of `serve` that requests need.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where hosts reach the hub, without a slash at the end.
    pub(crate) public_url: String,
    /// How long an old key must have been silent before a new one may take its place.
    pub(crate) replace_after: Duration,
    /// Fixed seconds between syncs; none for the formula of the protocol.
    pub(crate) interval: Option<u32>,
    /// How old an identity key becomes.
    pub(crate) rekey_after: Duration,
    /// Whether a claim made before the host's first call lets it in without a number.
    pub(crate) claims_without_number: bool,
    /// Whether an admin without one-time codes may do nothing but set them up.
    pub(crate) admins_need_codes: bool,
    /// Whether others than the first admin may log in with a password.
    pub(crate) local_accounts: bool,
}

/// A running hub.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) db: Db,
    pub(crate) keys: HubKeys,
    pub(crate) nonces: Nonces,
    pub(crate) heartbeats: Heartbeats,
    /// Writes down who was turned away.
    pub(crate) refusals: Refusals,
    pub(crate) census: Census,
    pub(crate) limits: Limits,
    pub(crate) settings: Settings,
    /// Over whom people may log in.
    pub(crate) oidc: Option<Provider>,
    pub(crate) ca_pem: String,
    /// When this process began to listen, milliseconds since 1970.
    pub(crate) started_at: i64,
    /// Counts changes of what hosts shall be; wakes those who wait in a long poll.
    pub(crate) changed: watch::Sender<u64>,
    /// What ISOs are made of.
    pub(crate) isos: Isos,
    /// Seals the seeds of one-time codes.
    pub(crate) seed_key: SeedKey,
    /// Opens credentials of registries and what hosts seal to this hub.
    pub(crate) vault: Vault,
    /// Counts what was announced or claimed; sends pending hosts back to the door.
    pub(crate) matchers: watch::Sender<u64>,
    /// Password hashing takes 19 MiB each time; more at once would be a way to exhaust the hub.
    pub(crate) hashing: Semaphore,
}

impl Hub {
    /// Wakes every long poll.
    pub(crate) fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Makes every pending host ask again: one of them may match now.
    pub(crate) fn matchers_changed(&self) {
        self.matchers.send_modify(|count| *count += 1);
    }
}
