//! The host's ways out, as the kernel gets them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use burin_core::network::ways_out;
use futures_util::StreamExt as _;
use rtnetlink::{MulticastGroup, new_multicast_connection};
use tokio::sync::watch;

use super::file;

/// The routes to other machines, each as link and destination. The receiver is woken whenever one is
/// gained; one that is lost is only taken out.
pub type Ways = watch::Receiver<BTreeSet<String>>;

/// Follows the routes for as long as somebody holds the receiver.
///
/// # Errors
/// When the kernel's netlink cannot be used.
pub fn follow(root: &Path) -> Result<Ways> {
    let groups = [MulticastGroup::Ipv4Route, MulticastGroup::Ipv6Route];
    let (connection, handle, mut news) =
        new_multicast_connection(&groups).context("following the routes")?;
    tokio::spawn(connection);
    // Looked at after the news are ordered, so that none falls between.
    let (sender, ways) = watch::channel(look(root));
    let root: PathBuf = root.to_owned();
    tokio::spawn(async move {
        // The connection ends with its last handle.
        let _open = handle;
        loop {
            tokio::select! {
                () = sender.closed() => return,
                one = news.next() => if one.is_none() { return },
            }
            let now = look(&root);
            sender.send_if_modified(|ways| {
                let gained = !now.is_subset(ways);
                *ways = now;
                gained
            });
        }
    });
    Ok(ways)
}

/// A kernel without IPv6 has no list of its routes.
fn look(root: &Path) -> BTreeSet<String> {
    let read = |name: &str| {
        // The thread's own: a process may have threads in several network namespaces.
        let path = root.join("proc/thread-self/net").join(name);
        file::read_text(&path, 16 << 20).unwrap_or_default()
    };
    ways_out(&read("route"), &read("ipv6_route"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sched::{CloneFlags, unshare};
    use rtnetlink::{LinkUnspec, LinkVeth};
    use std::time::Duration;

    /// In a network of its own, which only root may make.
    async fn gain_a_route() {
        let mut ways = follow(Path::new("/")).unwrap();
        assert_eq!(*ways.borrow_and_update(), BTreeSet::new());
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        tokio::spawn(connection);
        let pair = LinkVeth::new("one", "two").build();
        handle.link().add(pair).execute().await.unwrap();
        for name in ["one", "two"] {
            let name = std::ffi::CString::new(name).unwrap();
            let index = nix::net::if_::if_nametoindex(name.as_c_str()).unwrap();
            let up = LinkUnspec::new_with_index(index).up().build();
            handle.link().set(up).execute().await.unwrap();
        }
        let index = nix::net::if_::if_nametoindex("one").unwrap();
        let address = "192.0.2.1".parse().unwrap();
        let add = handle.address().add(index, address, 24);
        add.execute().await.unwrap();
        let limit = Duration::from_secs(30);
        tokio::time::timeout(limit, ways.changed())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            *ways.borrow(),
            BTreeSet::from(["one 000200C0/00FFFFFF".to_owned()])
        );
    }

    #[test]
    fn a_route_that_comes_wakes_whoever_waits_for_one() {
        let thread = std::thread::spawn(|| {
            if let Err(err) = unshare(CloneFlags::CLONE_NEWNET) {
                let root = nix::unistd::geteuid().is_root();
                assert!(!root, "no network namespace for root: {err}");
                return;
            }
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(gain_a_route());
        });
        thread.join().unwrap();
    }
}
