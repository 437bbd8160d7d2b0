//! Networks as people write them: `192.0.2.0/24`, `2001:db8::/32`, or a single address.

use std::net::IpAddr;
use std::str::FromStr;

/// A network of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    /// The network's bits, right-aligned zeros; IPv4 in the mapped form.
    bits: u128,
    mask: u128,
}

fn mapped(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

impl Network {
    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        mapped(ip) & self.mask == self.bits
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not a network like 192.0.2.0/24 or 2001:db8::/32");
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let ip: IpAddr = address.parse().map_err(|_| wrong())?;
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let length: u32 = match length {
            Some(length) => length.parse().map_err(|_| wrong())?,
            None => width,
        };
        if length > width {
            return Err(wrong());
        }
        let mask = u128::MAX.checked_shl(width - length).unwrap_or(0);
        let bits = mapped(ip);
        if bits & mask != bits {
            return Err(format!("`{text}` has bits set behind the network's length"));
        }
        Ok(Self { bits, mask })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_inside_or_not() {
        for (network, ip, want) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.0/24", "::ffff:192.0.2.1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(
                network.contains(ip.parse().unwrap()),
                want,
                "{network:?} {ip}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in [
            "",
            "x",
            "192.0.2.0/33",
            "192.0.2.0/",
            "192.0.2.1/24",
            "::/129",
            "192.0.2.0/-1",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
