//! The kernel's side of links: up, addresses, routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::{Context, Result};
use burin_core::network::Address;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use rtnetlink::{
    AddressMessageBuilder, Handle, LinkUnspec, MulticastGroup, RouteMessageBuilder,
    new_multicast_connection,
};

/// Preference of a default route over a later link's: the first cards come first.
const METRIC: u32 = 100;

/// A netlink connection.
#[derive(Debug)]
pub(super) struct Door {
    handle: Handle,
}

impl Door {
    /// Opens it, together with the news that links changed.
    pub(super) fn open() -> Result<(Self, impl Stream<Item = ()> + Unpin + Send + 'static)> {
        let (connection, handle, news) = new_multicast_connection(&[MulticastGroup::Link])
            .context("connecting to the kernel's network configuration")?;
        tokio::spawn(connection);
        Ok((Self { handle }, news.map(|_| ())))
    }

    /// Brings a link up and lets the kernel take router advertisements on it. Returns its index.
    pub(super) async fn raise(&self, root: &Path, link: &str) -> Result<u32> {
        let doing = || format!("bringing {link} up");
        let mut found = self
            .handle
            .link()
            .get()
            .match_name(link.to_owned())
            .execute();
        let message = found.try_next().await.with_context(doing)?;
        let index = message
            .with_context(|| format!("{}: no such link", doing()))?
            .header
            .index;
        // 2: also where forwarding is on (kernel, ip-sysctl, accept_ra).
        let path = root.join(format!("proc/sys/net/ipv6/conf/{link}/accept_ra"));
        if let Err(err) = std::fs::write(&path, "2") {
            tracing::debug!(link, %err, "no IPv6 router advertisements");
        }
        self.handle
            .link()
            .set(LinkUnspec::new_with_index(index).up().build())
            .execute()
            .await
            .with_context(doing)?;
        Ok(index)
    }

    pub(super) async fn add_address(&self, index: u32, address: Address) -> Result<()> {
        self.handle
            .address()
            .add(index, address.ip, address.prefix)
            .replace()
            .execute()
            .await
            .with_context(|| format!("adding the address {address}"))
    }

    pub(super) async fn remove_address(&self, index: u32, address: Address) -> Result<()> {
        let message = match address.ip {
            IpAddr::V4(ip) => AddressMessageBuilder::<Ipv4Addr>::new()
                .index(index)
                .address(ip, address.prefix)
                .build(),
            IpAddr::V6(ip) => AddressMessageBuilder::<Ipv6Addr>::new()
                .index(index)
                .address(ip, address.prefix)
                .build(),
        };
        self.handle
            .address()
            .del(message)
            .execute()
            .await
            .with_context(|| format!("removing the address {address}"))
    }

    /// Adds a default route.
    pub(super) async fn add_gateway(&self, index: u32, gateway: IpAddr) -> Result<()> {
        let metric = METRIC.saturating_add(index);
        let message = match gateway {
            IpAddr::V4(ip) => RouteMessageBuilder::<Ipv4Addr>::new()
                .output_interface(index)
                .priority(metric)
                .gateway(ip)
                .build(),
            IpAddr::V6(ip) => RouteMessageBuilder::<Ipv6Addr>::new()
                .output_interface(index)
                .priority(metric)
                .gateway(ip)
                .build(),
        };
        self.handle
            .route()
            .add(message)
            .replace()
            .execute()
            .await
            .with_context(|| format!("adding the route over {gateway}"))
    }
}
