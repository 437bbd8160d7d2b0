//! Which registries may be read, and how.

use std::collections::BTreeMap;
use std::net::IpAddr;

use burin_api::desired;
use burin_registry::{Access, Credentials, Registry};
use reqwest::Url;

use crate::admin::registries;
use crate::admin::types::RegistryEntry;
use crate::state::Hub;

/// The listed registries.
#[derive(Debug)]
pub(super) struct Sources {
    entries: Vec<RegistryEntry>,
    credentials: BTreeMap<String, Result<Credentials, String>>,
}

impl Sources {
    pub(super) async fn load(hub: &Hub) -> sqlx::Result<Self> {
        let entries = registries::entries(hub).await?;
        let mut conn = hub.db.reader().acquire().await?;
        let credentials = crate::registries::all(hub, &mut conn).await?;
        Ok(Self {
            entries,
            credentials,
        })
    }

    /// The entry of a registry, or why there is none.
    pub(super) fn listed(&self, host: &str) -> Result<&RegistryEntry, String> {
        self.entries
            .iter()
            .find(|entry| entry.host == host)
            .ok_or_else(|| {
                format!(
                    "registry {host} is not listed; an admin can list it with \
                     `burin-hub registry add {host}`"
                )
            })
    }

    /// A client of a listed registry, with the hub's credentials for it.
    pub(super) async fn open(&self, host: &str) -> Result<Registry, String> {
        let entry = self.listed(host)?;
        if entry.endpoint.is_none() {
            refuse_inner_addresses(host, entry.plain_http).await?;
        }
        Registry::new(Access {
            host: entry.host.clone(),
            endpoint: entry.endpoint.clone(),
            plain_http: entry.plain_http,
            ca: entry.ca.clone(),
            token_realm: entry.token_realm.clone(),
            credentials: self.credentials.get(host).cloned().transpose()?,
            proxy: None,
        })
        .map_err(|err| err.to_string())
    }

    /// What hosts are told: without the hub's own endpoint.
    pub(super) fn for_hosts(&self, used: impl Fn(&str) -> bool) -> Vec<desired::Registry> {
        self.entries
            .iter()
            .filter(|entry| used(&entry.host))
            .map(|entry| desired::Registry {
                host: entry.host.clone(),
                plain_http: entry.plain_http,
                ca: entry.ca.clone(),
                token_realm: entry.token_realm.clone(),
            })
            .collect()
    }
}

/// A name that leads to the hub's own machine or to a cloud's metadata service is refused: only an
/// admin who writes that address, or an endpoint, means it.
async fn refuse_inner_addresses(host: &str, plain_http: bool) -> Result<(), String> {
    let scheme = if plain_http { "http" } else { "https" };
    let url = Url::parse(&format!("{scheme}://{host}/")).map_err(|err| format!("{host}: {err}"))?;
    let name = url.host_str().unwrap_or_default();
    if name == "localhost" || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let port = url.port_or_known_default().unwrap_or(443);
    let found = tokio::net::lookup_host((name, port))
        .await
        .map_err(|err| format!("looking up registry {host}: {err}"))?;
    for address in found {
        if is_inner(address.ip()) {
            return Err(format!(
                "registry {host} has the address {}, which is loopback or link-local; list that \
                 address itself, or give the registry an endpoint, if it is meant",
                address.ip()
            ));
        }
    }
    Ok(())
}

fn is_inner(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_link_local_addresses_are_inner() {
        for (ip, want) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("169.254.169.254", true),
            ("0.0.0.0", true),
            ("::1", true),
            ("fe80::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.2.2", false),
            ("192.0.2.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_inner(ip.parse().unwrap()), want, "{ip}");
        }
    }

    #[tokio::test]
    async fn a_name_is_followed_an_address_is_taken_at_its_word() {
        assert!(refuse_inner_addresses("localhost:5000", true).await.is_ok());
        assert!(refuse_inner_addresses("127.0.0.1:5000", true).await.is_ok());
        assert!(refuse_inner_addresses("[::1]:5000", true).await.is_ok());
    }
}
