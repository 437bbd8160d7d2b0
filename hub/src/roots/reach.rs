//! What `root rotate` says of where the hub is and of how long it may speak with an older key.

use anyhow::ensure;
use burin_api::dsse::PublicKey;
use burin_api::message::Retiring;
use burin_api::root::MOST_ADDRESSES;
use burin_core::userdata::hub_url;
use clap::Args;

use crate::cli::Span;

/// How long a replaced online key is believed.
#[derive(Debug, Default, Args)]
pub(super) struct Overlap {
    /// How long hosts still believe the online key of now; 0 for one that was stolen.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "30d",
        requires = "new_online_key"
    )]
    overlap: Span,
}

impl Overlap {
    /// The keys of before that the next document lists at `now`, milliseconds since 1970.
    pub(super) fn apply(
        &self,
        held: &[Retiring],
        replaced: &[PublicKey],
        now: u64,
    ) -> Vec<Retiring> {
        let mut kept = held.to_vec();
        kept.retain(|it| it.until > now);
        if !self.overlap.0.is_zero() {
            let overlap = u64::try_from(self.overlap.0.as_millis()).unwrap_or(u64::MAX);
            let until = now.saturating_add(overlap);
            let replaced = replaced.iter().cloned();
            kept.extend(replaced.map(|key| Retiring { key, until }));
        }
        kept
    }

    #[cfg(test)]
    pub(super) fn of(overlap: Span) -> Self {
        Self { overlap }
    }
}

/// Where hosts find the hub.
#[derive(Debug, Default, Args)]
pub(super) struct Reach {
    /// Where hosts shall reach the hub from now on; repeat it for several, the best first.
    #[arg(long = "address", value_name = "https://HOST:PORT")]
    addresses: Vec<String>,
    /// Hosts shall go back to the address in their user-data.
    #[arg(long, conflicts_with = "addresses")]
    no_addresses: bool,
}

impl Reach {
    /// Whether it says anything.
    pub(super) fn is_some(&self) -> bool {
        self.no_addresses || !self.addresses.is_empty()
    }

    /// The addresses of the next document.
    ///
    /// # Errors
    /// Too many, or one that is no `https://HOST:PORT`.
    pub(super) fn apply(&self, held: &[String]) -> anyhow::Result<Vec<String>> {
        ensure!(
            self.addresses.len() <= MOST_ADDRESSES,
            "hosts try {MOST_ADDRESSES} addresses at most, not {}",
            self.addresses.len()
        );
        if !self.is_some() {
            return Ok(held.to_vec());
        }
        let read = |text: &String| {
            hub_url(text).map_err(|why| anyhow::anyhow!("--address {text:?} {why}"))
        };
        self.addresses.iter().map(read).collect()
    }

    #[cfg(test)]
    pub(super) fn at(addresses: &[&str]) -> Self {
        Self {
            addresses: addresses.iter().map(|it| (*it).to_owned()).collect(),
            no_addresses: false,
        }
    }

    #[cfg(test)]
    pub(super) fn nowhere() -> Self {
        Self {
            addresses: Vec::new(),
            no_addresses: true,
        }
    }
}
