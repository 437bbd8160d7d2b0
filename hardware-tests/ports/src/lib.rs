//! Ports of loopback for servers of tests that have to be told their port, or that come back on it.
//!
//! A port that the kernel gave out for port 0 and that was closed again may belong to any outgoing connection
//! a moment later. The ports here are none of those that the kernel gives out by itself.

use std::{
    collections::hash_map::RandomState,
    fs,
    hash::{BuildHasher as _, Hasher as _},
    io::ErrorKind,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    os::{linux::net::SocketAddrExt as _, unix::net as unix},
};

use anyhow::{Context, Result, bail};

/// The first and the last port that the kernel gives out by itself (kernel documentation,
/// networking/ip-sysctl).
const GIVEN_OUT: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// Below it are the ports of well-known services.
const LOWEST: u32 = 10_000;
/// Fewer would soon be used up.
const ENOUGH: u32 = 1_000;

/// A port that nobody listens on now and that no other caller of this function, in this process or another,
/// is given before this process ends.
///
/// # Errors
/// When all are taken, or the kernel does not say which it gives out.
pub fn free() -> Result<u16> {
    let text = fs::read_to_string(GIVEN_OUT).with_context(|| format!("reading {GIVEN_OUT}"))?;
    let ours = outside(&text).with_context(|| format!("understanding {GIVEN_OUT}: {text:?}"))?;
    // Random, so that those who begin together do not meet.
    let start = RandomState::new().build_hasher().finish();
    take(&ours, start, "burin-port")
}

/// The ports that the kernel does not give out by itself; none for a text that names no range. Where it keeps
/// too few for others some of its own are returned: then a collision is rare, not impossible.
fn outside(given_out: &str) -> Option<Range<u32>> {
    let mut words = given_out.split_whitespace();
    let mut next = || words.next()?.parse::<u16>().ok().map(u32::from);
    let (first, last) = (next()?, next()?);
    let sides = [LOWEST..first, LOWEST.max(last + 1)..1 << 16];
    let large = sides
        .into_iter()
        .find(|it| it.end.saturating_sub(it.start) >= ENOUGH);
    Some(large.unwrap_or(LOWEST..1 << 15))
}

/// The first free one of `ours` after the place that `start` stands for, marked by a socket with this `name`.
fn take(ours: &Range<u32>, start: u64, name: &str) -> Result<u16> {
    let count = u64::from(ours.end - ours.start);
    for step in 0..count {
        let offset = u32::try_from(start.wrapping_add(step) % count)?;
        let port = u16::try_from(ours.start + offset)?;
        if mark(&format!("{name}-{port}"))? && nobody_listens(port)? {
            return Ok(port);
        }
    }
    bail!(
        "every port from {} to {} is taken",
        ours.start,
        ours.end - 1
    )
}

/// Takes the abstract address `name`, which the kernel gives back when this process ends; false when
/// somebody has it.
fn mark(name: &str) -> Result<bool> {
    let address = unix::SocketAddr::from_abstract_name(name).context("naming a socket")?;
    match unix::UnixDatagram::bind_addr(&address) {
        Ok(socket) => {
            // Kept until this process ends.
            std::mem::forget(socket);
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(false),
        Err(error) => Err(error).with_context(|| format!("marking a port by {name}")),
    }
}

fn nobody_listens(port: u16) -> Result<bool> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(false),
        Err(error) => Err(error).with_context(|| format!("trying port {port}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_ports_are_left_to_it() {
        for (text, wanted) in [
            ("32768\t60999\n", 10_000..32_768),
            ("1024 50000", 50_001..65_536),
            ("10500 60999", 61_000..65_536),
            ("1024 65535", 10_000..32_768),
            ("1024 5000", 10_000..65_536),
        ] {
            assert_eq!(outside(text), Some(wanted), "{text:?}");
        }
        for text in ["", "32768", "32768 many", "70000 80000"] {
            assert_eq!(outside(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_port_is_given_once_and_not_while_somebody_listens() {
        let port = free().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let used = u32::from(port);
        let name = format!("burin-port-test-{}", std::process::id());
        let ours = used..used + 1;
        assert!(take(&ours, 7, &name).is_err());
        drop(listener);
        let error = take(&ours, 7, &name).unwrap_err().to_string();
        assert!(error.contains("is taken"), "{error}");
        let other = format!("{name}-of-another");
        assert_eq!(take(&ours, 7, &other).unwrap(), port);
    }

    #[test]
    fn ports_of_one_process_differ_and_can_be_listened_on() {
        let ports: Vec<u16> = (0..50).map(|_| free().unwrap()).collect();
        let mut once = ports.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), ports.len());
        let ours = outside(&fs::read_to_string(GIVEN_OUT).unwrap()).unwrap();
        for port in ports {
            assert!(ours.contains(&u32::from(port)), "{port} of {ours:?}");
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }
}
