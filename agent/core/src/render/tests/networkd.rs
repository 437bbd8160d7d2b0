//! What networkd reads.

use super::*;

#[test]
fn every_wired_link_asks_dhcp_when_none_is_named() {
    let out = rendered(&image(), "", &Ledger::default());
    assert_eq!(
        text(&out, "systemd/network/10-burin-wired.network"),
        "# Rendered by burin at each boot.\n[Match]\nType=ether\nKind=!*\n\n[Network]\nDHCP=yes\n\n\
         [DHCPv4]\nClientIdentifier=mac\nUseDNS=yes\nUseDomains=yes\nUseHostname=no\n\n\
         [IPv6AcceptRA]\nUseDNS=yes\n"
    );
    assert_eq!(
        text(&out, "resolv.conf"),
        "nameserver 10.0.2.3\nsearch site.example\n"
    );
    let enabled: Vec<&str> = out.links.iter().map(|link| link.path.as_str()).collect();
    assert_eq!(
        enabled,
        [
            "systemd/system/sysinit.target.wants/systemd-timesyncd.service",
            "systemd/system/multi-user.target.wants/systemd-networkd.service",
        ]
    );
}

const STACK: &str = "burin:
  network:
    dns: [192.0.2.53]
    bonds:
      bond0: { members: [enp1s0, a8:a1:59:00:00:02], mode: 802.3ad, type: none }
    vlans:
      bond0.20: { id: 20, link: bond0, address: 192.0.2.10/24, gateway: 192.0.2.1 }
      enp3s0.7: { id: 7, link: enp3s0 }
    bridges:
      br0: { members: [enp4s0], type: static, addresses: [192.0.2.130/25, 2001:db8::5/64], dns: [2001:db8::53] }
";

const GOLDEN: [(&str, &str); 14] = [
    (
        "10-burin-a8-a1-59-00-00-02.network",
        "[Match]\nPermanentMACAddress=a8:a1:59:00:00:02\nType=ether\nKind=!*\n\n[Network]\nBond=bond0\nLinkLocalAddressing=no\n",
    ),
    (
        "10-burin-bond0.20.netdev",
        "[NetDev]\nName=bond0.20\nKind=vlan\n\n[VLAN]\nId=20\n",
    ),
    (
        "10-burin-bond0.20.network",
        "[Match]\nName=bond0.20\n\n[Network]\nAddress=192.0.2.10/24\nGateway=192.0.2.1\nDNS=192.0.2.53\n",
    ),
    (
        "10-burin-bond0.link",
        "[Match]\nOriginalName=bond0\n\n[Link]\nMACAddressPolicy=none\n",
    ),
    (
        "10-burin-bond0.netdev",
        "[NetDev]\nName=bond0\nKind=bond\nMACAddress=none\n\n[Bond]\nMode=802.3ad\nMIIMonitorSec=100ms\n",
    ),
    (
        "10-burin-bond0.network",
        "[Match]\nName=bond0\n\n[Network]\nVLAN=bond0.20\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n",
    ),
    (
        "10-burin-br0.link",
        "[Match]\nOriginalName=br0\n\n[Link]\nMACAddressPolicy=none\n",
    ),
    (
        "10-burin-br0.netdev",
        "[NetDev]\nName=br0\nKind=bridge\nMACAddress=none\n\n[Bridge]\nSTP=no\n",
    ),
    (
        "10-burin-br0.network",
        "[Match]\nName=br0\n\n[Network]\nAddress=192.0.2.130/25\nAddress=2001:db8::5/64\nDNS=192.0.2.53\nDNS=2001:db8::53\n",
    ),
    (
        "10-burin-enp1s0.network",
        "[Match]\nName=enp1s0\n\n[Network]\nBond=bond0\nLinkLocalAddressing=no\n",
    ),
    (
        "10-burin-enp3s0.7.netdev",
        "[NetDev]\nName=enp3s0.7\nKind=vlan\n\n[VLAN]\nId=7\n",
    ),
    (
        "10-burin-enp3s0.7.network",
        "[Match]\nName=enp3s0.7\n\n[Network]\nDHCP=yes\nDNS=192.0.2.53\n\n[DHCPv4]\nClientIdentifier=mac\nUseDNS=no\nUseDomains=yes\nUseHostname=no\n\n[IPv6AcceptRA]\nUseDNS=no\n",
    ),
    (
        "10-burin-enp3s0.network",
        "[Match]\nName=enp3s0\n\n[Network]\nVLAN=enp3s0.7\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n",
    ),
    (
        "10-burin-enp4s0.network",
        "[Match]\nName=enp4s0\n\n[Network]\nBridge=br0\nLinkLocalAddressing=no\n",
    ),
];

#[test]
fn vlans_bonds_and_bridges_are_rendered() {
    let out = rendered(&image(), STACK, &Ledger::default());
    let folder = "systemd/network/";
    let files = out
        .files
        .iter()
        .filter(|file| file.path.starts_with(folder));
    let files: Vec<_> = files
        .map(|file| (&file.path[folder.len()..], file.text.as_str()))
        .collect();
    let head = "# Rendered by burin at each boot.\n";
    let want: Vec<_> = GOLDEN
        .iter()
        .map(|(path, text)| (*path, format!("{head}{text}")))
        .collect();
    for (got, want) in files.iter().zip(&want) {
        assert_eq!((got.0, got.1), (want.0, want.1.as_str()));
    }
    assert_eq!(files.len(), want.len());
}
