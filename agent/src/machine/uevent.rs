//! The kernel's device events (netlink `KOBJECT_UEVENT`): what udev would listen to.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
    socket, sockopt,
};

/// The longest message the kernel sends: `UEVENT_BUFFER_SIZE` is 2048, plus the header.
const LONGEST: usize = 8192;

/// What happened to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `add`, `remove`, `change`, `bind` ...
    pub action: String,
    /// Path under `/sys`, with a leading slash.
    pub devpath: String,
    /// `MODALIAS`, `SUBSYSTEM`, `DEVNAME`, `PARTUUID` (Linux 6.9 and later) and the like.
    pub values: BTreeMap<String, String>,
}

impl Event {
    /// One value, empty when the kernel did not send it.
    pub fn value(&self, key: &str) -> &str {
        self.values.get(key).map_or("", String::as_str)
    }
}

/// Reads a message `add@/devices/...\0KEY=value\0...`. Nothing when it is not one of the kernel's
/// (udev's own messages start with `libudev`).
pub fn parse(message: &[u8]) -> Option<Event> {
    let mut parts = message.split(|byte| *byte == 0);
    let head = std::str::from_utf8(parts.next()?).ok()?;
    let (action, devpath) = head.split_once('@')?;
    if !devpath.starts_with('/') || action.is_empty() {
        return None;
    }
    let values = parts
        .filter_map(|part| std::str::from_utf8(part).ok()?.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    Some(Event {
        action: action.to_owned(),
        devpath: devpath.to_owned(),
        values,
    })
}

/// A subscription to the kernel's device events. Open it *before* looking at `/sys`, so that no
/// device falls between the look and the listening.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
}

/// What a wait brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Event(Event),
    /// The kernel dropped events because nobody read: look at `/sys` again.
    Lost,
    /// The deadline passed.
    Nothing,
}

impl Listener {
    /// Subscribes.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn open() -> Result<Self> {
        let doing = "subscribing to the kernel's device events";
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkKObjectUEvent,
        )
        .context(doing)?;
        // A server announces thousands of devices at once. Only root may go over the system's limit;
        // without it events may be lost, which is noticed (ENOBUFS) and answered by another look.
        if let Err(err) = setsockopt(&socket, sockopt::RcvBufForce, &(4 << 20)) {
            tracing::debug!(%err, "the buffer for device events stays small");
        }
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 1)).context(doing)?;
        Ok(Self { socket })
    }

    /// Waits for the next event until `deadline`.
    ///
    /// # Errors
    /// When the socket breaks.
    pub fn next(&self, deadline: Instant) -> Result<Heard> {
        loop {
            let mut buffer = [0u8; LONGEST];
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => {
                    if let Some(event) = parse(buffer.get(..length).unwrap_or_default()) {
                        return Ok(Heard::Event(event));
                    }
                    continue;
                }
                Err(Errno::ENOBUFS) => return Ok(Heard::Lost),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(err) => return Err(err).context("reading the kernel's device events"),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Heard::Nothing);
            }
            let mut wanted = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            match poll(&mut wanted, timeout(left)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(err) => return Err(err).context("waiting for device events"),
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A poll timeout that is never shorter than asked: rounding down would spin through the last
/// millisecond.
pub fn timeout(left: Duration) -> PollTimeout {
    let millis = left.as_millis().saturating_add(1);
    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_kernel_message_is_read_with_its_values() {
        let event = parse(
            b"add@/devices/pci0/0000:00:03.0\0ACTION=add\0MODALIAS=pci:v00001AF4\0SEQNUM=7\0",
        )
        .unwrap();
        assert_eq!(event.action, "add");
        assert_eq!(event.devpath, "/devices/pci0/0000:00:03.0");
        assert_eq!(event.value("MODALIAS"), "pci:v00001AF4");
        assert_eq!(event.value("DEVNAME"), "");
    }

    #[test]
    fn messages_of_others_are_not_events() {
        for bytes in [
            &b"libudev\0\xfe\xed\xca\xfe"[..],
            b"",
            b"@/x",
            b"add@x",
            b"add",
        ] {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_wait_ends_at_its_deadline() {
        let listener = Listener::open().unwrap();
        let started = Instant::now();
        loop {
            let deadline = started + Duration::from_millis(50);
            // Other devices of the machine may speak meanwhile.
            if listener.next(deadline).unwrap() == Heard::Nothing {
                break;
            }
        }
        assert!(started.elapsed() >= Duration::from_millis(50));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(event) = parse(&bytes) {
                prop_assert!(event.devpath.starts_with('/'));
            }
        }
    }
}
