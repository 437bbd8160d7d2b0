//! The network of the ISO: wired links up, DHCPv4 and IPv6 router advertisements or the static
//! addresses of user-data, routes, and the resolver's file. Links that come later are taken too.

mod dhcp;
mod netlink;
mod resolv;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use burin_core::network::{self, Address, DeviceKind, Interface, LinkPlan, Network};
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::netlink::{Door, Routers};
use super::probe;

/// What one link has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkState {
    pub addresses: Vec<Address>,
    pub dns: Vec<IpAddr>,
    pub search: Vec<String>,
    /// Why it has no address, newest only.
    pub trouble: Option<String>,
}

/// All links that were configured. Leases are renewed while this lives.
#[derive(Debug)]
pub struct Links {
    states: watch::Receiver<BTreeMap<String, LinkState>>,
    // Dropped with the value, which ends the tasks.
    _tasks: JoinSet<()>,
}

impl Links {
    /// Takes the links in hand. Returns at once; [`Links::address`] tells when one has an address.
    ///
    /// # Errors
    /// When the kernel's netlink cannot be used at all.
    pub fn up(root: &Path, network: &Network) -> Result<Self> {
        let (sender, states) = watch::channel(BTreeMap::new());
        let (door, mut news) = Door::open()?;
        let keeper = Arc::new(Keeper {
            root: root.to_owned(),
            network: network.clone(),
            door,
            states: sender,
            taken: Mutex::new(BTreeSet::new()),
            done: Mutex::new(BTreeSet::new()),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut own = JoinSet::new();
            keeper.clone().take(&mut own).await;
            // Each message of the kernel may be a link that was not there before.
            while news.next().await.is_some() {
                keeper.clone().take(&mut own).await;
            }
        });
        Ok(Self {
            states,
            _tasks: tasks,
        })
    }

    /// The first address that a link has, to be shown and reported.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        let states = self.states.borrow();
        states
            .values()
            .find_map(|state| state.addresses.first().map(|address| address.ip))
    }

    /// What every link has, by name.
    #[must_use]
    pub fn states(&self) -> BTreeMap<String, LinkState> {
        self.states.borrow().clone()
    }

    /// Waits until any link has an address.
    pub async fn wait_for_address(&mut self) {
        let has = |states: &BTreeMap<String, LinkState>| {
            states.values().any(|state| !state.addresses.is_empty())
        };
        if self.states.wait_for(has).await.is_err() {
            // The tasks live as long as this value; without them there is nothing to wait for.
            std::future::pending::<()>().await;
        }
    }
}

impl Links {
    /// Waits until anything about the links is other than when it was last asked for.
    pub async fn changed(&mut self) {
        if self.states.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What the tasks share.
#[derive(Debug)]
struct Keeper {
    root: PathBuf,
    network: Network,
    door: Door,
    states: watch::Sender<BTreeMap<String, LinkState>>,
    /// Links that have a task already.
    taken: Mutex<BTreeSet<String>>,
    /// Devices that were made, and with each the members that were added.
    done: Mutex<BTreeSet<(String, String)>>,
}

impl Keeper {
    /// Makes the devices that can be made, and starts a task for each link that is new.
    async fn take(self: Arc<Self>, tasks: &mut JoinSet<()>) {
        let links = probe::links(&self.root);
        for (name, kind) in network::devices(&self.network, &links) {
            if let Err(err) = self.assemble(&name, &kind).await {
                tracing::warn!(link = name, error = format!("{err:#}"), "not made");
                self.update(&name, |state| state.trouble = Some(format!("{err:#}")));
            }
        }
        let links = probe::links(&self.root);
        let (plans, missing) = network::plan(&self.network, &links);
        self.tell_missing(missing);
        for plan in plans {
            let new = self
                .taken
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(plan.link.clone());
            if new {
                tasks.spawn(self.clone().keep(plan));
            }
        }
    }

    /// Makes a device once, and adds each member once it is there.
    async fn assemble(&self, name: &str, kind: &DeviceKind) -> Result<()> {
        // Remembered only when done: the next news of the kernel is another try.
        if !self.has_done((name, "")) {
            self.door.make(name, kind).await?;
            self.note_done((name, ""));
        }
        if matches!(kind, DeviceKind::Vlan { .. }) {
            return Ok(());
        }
        for member in kind.below() {
            if !self.has_done((name, member)) {
                self.door.join(member, name).await?;
                self.note_done((name, member));
            }
        }
        Ok(())
    }

    fn has_done(&self, (device, member): (&str, &str)) -> bool {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.contains(&(device.to_owned(), member.to_owned()))
    }

    fn note_done(&self, (device, member): (&str, &str)) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.insert((device.to_owned(), member.to_owned()));
    }

    /// Says which cards of user-data the machine does not have. They may come later.
    fn tell_missing(&self, missing: Vec<String>) {
        self.states.send_if_modified(|states| {
            let before = states.len();
            for card in missing {
                let trouble =
                    Some("user-data names it, and this machine has no such card".to_owned());
                states.entry(card).or_insert(LinkState {
                    trouble,
                    ..LinkState::default()
                });
            }
            states.len() != before
        });
    }

    async fn keep(self: Arc<Self>, plan: LinkPlan) {
        let link = plan.link.clone();
        let outcome = match plan.interface {
            Interface::Dhcp { dns } => dhcp::keep(&self, &link, dns).await,
            Interface::Static {
                addresses,
                gateway,
                dns,
            } => self.fix(&link, addresses, gateway, dns).await,
            Interface::Bare => {
                let raised = self.door.raise(&self.root, &link, Routers::Ignored).await;
                raised.map(|_| ())
            }
        };
        if let Err(err) = outcome {
            tracing::warn!(link, error = format!("{err:#}"), "a link is given up");
            self.update(&link, |state| state.trouble = Some(format!("{err:#}")));
            // Another try when the kernel next speaks of links.
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            taken.remove(&link);
        }
    }

    async fn fix(
        &self,
        link: &str,
        addresses: Vec<Address>,
        gateway: Option<IpAddr>,
        dns: Vec<IpAddr>,
    ) -> Result<()> {
        let index = self.door.raise(&self.root, link, Routers::Heard).await?;
        for address in &addresses {
            self.door.add_address(index, *address).await?;
        }
        if let Some(gateway) = gateway {
            self.door.add_gateway(index, gateway).await?;
        }
        self.update(link, |state| {
            *state = LinkState {
                addresses,
                dns,
                ..LinkState::default()
            };
        });
        Ok(())
    }

    /// Changes what is known of a link, and the resolver's file with it.
    fn update(&self, link: &str, change: impl FnOnce(&mut LinkState)) {
        self.states
            .send_modify(|states| change(states.entry(link.to_owned()).or_default()));
        let text = resolv::render(&self.network, &self.states.borrow());
        if let Err(err) = resolv::write(&self.root, &text) {
            tracing::warn!(error = format!("{err:#}"), "names may not resolve");
        }
    }
}
