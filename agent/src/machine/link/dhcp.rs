//! A DHCPv4 lease of one link: asked for, renewed, given up when the server takes it back.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use burin_core::network::Address;
use mozim::{DhcpV4Client, DhcpV4Config, DhcpV4Lease, DhcpV4State};

use super::netlink::Routers;
use super::{Keeper, LinkState};

/// Pause before asking anew after the client gave up: the cable may be out for days.
const PAUSE: Duration = Duration::from_secs(5);
/// The longest the client asks before it starts anew, seconds.
const ASKING: u32 = 60;

/// Keeps a lease for as long as the task lives.
///
/// # Errors
/// When the link does not come up.
pub(super) async fn keep(keeper: &Keeper, link: &str, dns: Vec<IpAddr>) -> Result<()> {
    let index = keeper
        .door
        .raise(&keeper.root, link, Routers::Heard)
        .await?;
    loop {
        if let Err(err) = lease(keeper, link, index, &dns).await {
            tracing::info!(link, error = format!("{err:#}"), "no address yet");
            let trouble = format!("{err:#}");
            keeper.update(link, |state| state.trouble = Some(trouble));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs one client until it fails.
async fn lease(keeper: &Keeper, link: &str, index: u32, dns: &[IpAddr]) -> Result<()> {
    let mut config = DhcpV4Config::new(link);
    config.set_iface_index(index);
    config.use_mac_as_client_id();
    config.set_timeout_sec(ASKING);
    let asking = || format!("asking for an address on {link}");
    let mut client = DhcpV4Client::init(config, None)
        .await
        .with_context(asking)?;
    let mut held: Option<Address> = None;
    loop {
        match client.run().await {
            Ok(DhcpV4State::Done(lease)) => {
                held = Some(apply(keeper, link, index, &lease, held, dns).await?);
            }
            Ok(_) => {}
            Err(err) => {
                if let Some(old) = held {
                    // The lease is over: using its address would disturb its next owner.
                    keeper.door.remove_address(index, old).await?;
                    keeper.update(link, |state| *state = LinkState::default());
                }
                return Err(err).with_context(asking);
            }
        }
    }
}

async fn apply(
    keeper: &Keeper,
    link: &str,
    index: u32,
    lease: &DhcpV4Lease,
    held: Option<Address>,
    dns: &[IpAddr],
) -> Result<Address> {
    let address = Address {
        ip: IpAddr::V4(lease.yiaddr),
        prefix: lease.prefix_length(),
    };
    if let Some(old) = held.filter(|old| *old != address) {
        keeper.door.remove_address(index, old).await?;
    }
    keeper.door.add_address(index, address).await?;
    if let Some(gateway) = lease.gateways.iter().flatten().next() {
        keeper.door.add_gateway(index, IpAddr::V4(*gateway)).await?;
    }
    let servers = if dns.is_empty() {
        lease
            .dns_srvs
            .iter()
            .flatten()
            .map(|ip| IpAddr::V4(*ip))
            .collect()
    } else {
        dns.to_vec()
    };
    let search = lease.domain_name.iter().cloned().collect();
    if held != Some(address) {
        tracing::info!(link, %address, "address");
    }
    keeper.update(link, |state| {
        *state = LinkState {
            addresses: vec![address],
            dns: servers,
            search,
            trouble: None,
        };
    });
    Ok(address)
}
