//! Which routes lead to another machine, from the kernel's own lists.

use std::collections::BTreeSet;

/// `RTF_REJECT`: what matches is refused (linux/route.h).
const REJECT: u32 = 0x0200;
/// `RTF_ANYCAST` and `RTF_LOCAL`: the host's own addresses (linux/ipv6_route.h).
const OWN: u32 = 0x8010_0000;

/// The routes to other machines, each as link and destination, from the texts of `/proc/net/route`
/// and `/proc/net/ipv6_route`. The loopback, the host's own addresses and what a link has without
/// anybody's help (link-local networks, multicast) lead nowhere.
#[must_use]
pub fn ways_out(route: &str, ipv6_route: &str) -> BTreeSet<String> {
    let four = route.lines().filter_map(four);
    four.chain(ipv6_route.lines().filter_map(six)).collect()
}

/// Link, destination (little-endian hex), gateway, flags, ..., mask.
fn four(line: &str) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [link, to, _gateway, flags, _, _, _, mask, ..] = fields[..] else {
        return None;
    };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    let address = u32::from_str_radix(to, 16).ok()?.swap_bytes();
    let local = address >> 16 == 0xa9fe;
    (link != "lo" && flags & REJECT == 0 && !local).then(|| format!("{link} {to}/{mask}"))
}

/// Destination, length of its prefix, source and its prefix, next hop, metric, two counters, flags,
/// link.
fn six(line: &str) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [to, prefix, _, _, _, _, _, _, flags, link] = fields[..] else {
        return None;
    };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    let first = u16::from_str_radix(to.get(..4)?, 16).ok()?;
    let local = first & 0xffc0 == 0xfe80 || first >> 8 == 0xff;
    (link != "lo" && flags & (REJECT | OWN) == 0 && !local).then(|| format!("{link} {to}/{prefix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

    #[test]
    fn only_what_leads_to_another_machine_is_a_way_out() {
        let cases = [
            (
                "eth0\t00000000\t0202000A\t0003\t0\t0\t1024\t00000000\t0\t0\t0",
                1,
            ),
            (
                "eth0\t0002000A\t00000000\t0001\t0\t0\t1024\t00FFFFFF\t0\t0\t0",
                1,
            ),
            (
                "eth0\t0000FEA9\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0",
                0,
            ),
            (
                "lo\t0000007F\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0",
                0,
            ),
            ("*\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0", 0),
            ("junk", 0),
        ];
        for (line, want) in cases {
            let found = ways_out(&format!("{HEAD}{line}\n"), "");
            assert_eq!(found.len(), want, "{line}");
        }
        let zero = "00000000000000000000000000000000";
        let line = |to: &str, prefix: &str, flags: &str, link: &str| {
            format!("{to:0<32} {prefix} {zero} 00 {zero} 00000400 00000001 00000000 {flags} {link}")
        };
        let cases = [
            (line("", "00", "00450003", "eth0"), 1),
            (line("20010db8", "40", "00000001", "eth0"), 1),
            (line("fe80", "40", "00000001", "eth0"), 0),
            (line("ff", "08", "00000001", "eth0"), 0),
            (line("20010db8", "80", "80200001", "eth0"), 0),
            (line("20010db8", "80", "00300001", "eth0"), 0),
            (line("", "00", "00200200", "lo"), 0),
            ("é".to_owned(), 0),
        ];
        for (line, want) in cases {
            assert_eq!(ways_out("", &line).len(), want, "{line}");
        }
    }
}
