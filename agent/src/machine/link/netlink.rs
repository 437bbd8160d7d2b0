//! The kernel's side of links: up, addresses, routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::{Context, Result};
use burin_core::network::{Address, BondMode, DeviceKind};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use rtnetlink::packet_route::link::{BondMode as KernelMode, BridgeStpState, LinkMessage};
use rtnetlink::{
    AddressMessageBuilder, Handle, LinkBond, LinkBridge, LinkUnspec, LinkVlan, MulticastGroup,
    RouteMessageBuilder, new_multicast_connection,
};

/// Preference of a default route over a later link's: the first cards come first.
const METRIC: u32 = 100;

/// Whether a link takes addresses and routes from IPv6 router advertisements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Routers {
    Heard,
    Ignored,
}

fn kernel_mode(mode: BondMode) -> KernelMode {
    match mode {
        BondMode::BalanceRr => KernelMode::BalanceRr,
        BondMode::ActiveBackup => KernelMode::ActiveBackup,
        BondMode::BalanceXor => KernelMode::BalanceXor,
        BondMode::Broadcast => KernelMode::Broadcast,
        BondMode::Ieee8023Ad => KernelMode::Ieee8023Ad,
        BondMode::BalanceTlb => KernelMode::BalanceTlb,
        BondMode::BalanceAlb => KernelMode::BalanceAlb,
    }
}

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

    /// Brings a link up. Returns its index.
    pub(super) async fn raise(&self, root: &Path, link: &str, routers: Routers) -> Result<u32> {
        let doing = || format!("bringing {link} up");
        let index = self.index(link).await.with_context(doing)?;
        // 2: also where forwarding is on (kernel, ip-sysctl, accept_ra).
        let accept = match routers {
            Routers::Heard => "2",
            Routers::Ignored => "0",
        };
        let path = root.join(format!("proc/sys/net/ipv6/conf/{link}/accept_ra"));
        if let Err(err) = std::fs::write(&path, accept) {
            tracing::debug!(link, %err, "no setting for IPv6 router advertisements");
        }
        self.set(LinkUnspec::new_with_index(index).up().build())
            .await
            .with_context(doing)?;
        Ok(index)
    }

    async fn set(&self, message: LinkMessage) -> Result<()> {
        Ok(self.handle.link().set(message).execute().await?)
    }

    async fn index(&self, link: &str) -> Result<u32> {
        let found = self.handle.link().get().match_name(link.to_owned());
        let message = found.execute().try_next().await?;
        Ok(message.context("no such link")?.header.index)
    }

    /// Makes a VLAN, bond or bridge. One of that name that is there already was made by an agent
    /// before this one, or by the bonding driver when it was loaded: it is made anew.
    pub(super) async fn make(&self, name: &str, kind: &DeviceKind) -> Result<()> {
        let doing = || format!("making {name}");
        let message = match kind {
            DeviceKind::Vlan { id, link } => {
                let below = self.index(link).await.with_context(doing)?;
                LinkVlan::new(name, below, *id).build()
            }
            // 100 ms: without it a bond never notices that a cable is out.
            DeviceKind::Bond { mode, .. } => LinkBond::new(name)
                .mode(kernel_mode(*mode))
                .miimon(100)
                .build(),
            DeviceKind::Bridge { stp, .. } => {
                let state = if *stp {
                    BridgeStpState::KernelStp
                } else {
                    BridgeStpState::Disabled
                };
                LinkBridge::new(name).stp_state(state).build()
            }
        };
        let add = || self.handle.link().add(message.clone()).execute();
        match add().await {
            Err(rtnetlink::Error::NetlinkError(err))
                if err.raw_code() == -(nix::errno::Errno::EEXIST as i32) =>
            {
                let old = self.index(name).await.with_context(doing)?;
                let removed = self.handle.link().del(old).execute().await;
                removed.with_context(|| format!("{}: removing the old one", doing()))?;
                add().await.with_context(doing)
            }
            made => made.with_context(doing),
        }
    }

    /// Makes a link a member of a bond or a bridge, and brings it up.
    pub(super) async fn join(&self, member: &str, master: &str) -> Result<()> {
        let doing = || format!("adding {member} to {master}");
        let master = self.index(master).await.with_context(doing)?;
        let index = self.index(member).await.with_context(doing)?;
        // A bond takes only what is down (kernel, networking/bonding).
        self.set(LinkUnspec::new_with_index(index).down().build())
            .await
            .with_context(doing)?;
        let message = LinkUnspec::new_with_index(index).controller(master).up();
        self.set(message.build()).await.with_context(doing)
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
