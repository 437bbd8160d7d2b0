use burin_api::event::Severity;
mod foreign;
mod network;
mod stages;

use proptest::prelude::*;

use super::*;
use crate::layout::{Existing, Selector};
use crate::network::Interface;
use crate::userdata::install::Then;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0 ops@example";

fn good() -> String {
    let token = burin_api::token::Token::from_seed([7; 16]).reveal();
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----",
        "A".repeat(200)
    );
    let pem = pem.replace('\n', "\n        ");
    format!(
        "#cloud-config
burin:
  hub:
    url: https://hub.example:8443/
    root: sha256:{}
    ca:
      - |
        {pem}
  token: {token}
  host: {{ id: edge-42, name: box-1, labels: {{ site: oslo, rack: 7 }} }}
  checks: {{ storage.ssd: warn }}
  network:
    interfaces:
      enp1s0: {{ type: static, address: 192.0.2.10/24, gateway: 192.0.2.1, dns: 192.0.2.53 }}
      a8:A1:59:00:00:01: {{ type: dhcp }}
    dns: [192.0.2.53]
    ntp: [time.example]
    proxy: {{ https: 'http://user:pw@proxy.example:3128', no: ['.example', '10.0.0.0/8'] }}
  registries:
    - {{ host: registry.example, username: edge, password: s3cret, token_realm: https://auth.example/token }}
install:
  device: {{ serial: S-1, ssd: true }}
  wipe: true
  reboot: true
  system-size: 32GiB
  bind_mounts: [/srv/data]
  grub_options: {{ extra_cmdline: 'nomodeset quiet' }}
users:
  - default
  - name: ops
    groups: sudo, docker
    passwd: $6$salt$hash
    sudo: ALL=(ALL) NOPASSWD:ALL
    ssh_authorized_keys: ['{KEY}']
hostname: box-1.example
",
        "a".repeat(64)
    )
}

fn told(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(data) => data.warnings.iter().map(Problem::to_string).collect(),
        Err(problems) => problems.iter().map(Problem::to_string).collect(),
    }
}

#[test]
fn own_keys_are_read() {
    let data = parse(&good()).unwrap();
    let hub = data.hub.as_ref().unwrap();
    assert_eq!(
        (hub.url.as_str(), hub.ca.len()),
        ("https://hub.example:8443", 1)
    );
    assert!(data.token.as_ref().unwrap().expose().starts_with("BRN1-"));
    assert_eq!(data.host.id.as_deref(), Some("edge-42"));
    assert_eq!(data.host.labels["rack"], "7");
    assert_eq!(data.checks["storage.ssd"], Severity::Warn);
    assert!(
        matches!(&data.network.interfaces["enp1s0"], Interface::Static { addresses, gateway: Some(_), dns } if addresses.len() == 1 && dns.len() == 1)
    );
    assert!(data.network.interfaces.contains_key("a8:a1:59:00:00:01"));
    assert_eq!(data.network.proxy.no, [".example", "10.0.0.0/8"]);
    let registry = &data.registries[0];
    assert_eq!(
        registry.token_realm.as_deref(),
        Some("https://auth.example/token")
    );
    assert_eq!(registry.password.as_ref().unwrap().expose(), "s3cret");
    assert!(
        matches!(&data.install.device, Selector::Fields(f) if f.serial.as_deref() == Some("S-1"))
    );
    assert_eq!(
        (data.install.existing, data.install.then),
        (Existing::Wipe, Then::Reboot)
    );
    assert_eq!(data.install.system_size, 32 << 30);
    assert_eq!(data.install.cmdline, ["nomodeset", "quiet"]);
    assert_eq!(data.users.len(), 1);
    assert_eq!(data.users[0].groups, ["sudo", "docker"]);
    assert_eq!(data.users[0].ssh_authorized_keys, [KEY]);
    assert_eq!(data.hostname.as_deref(), Some("box-1.example"));
    assert_eq!(data.warnings, []);
}

#[test]
fn image_keys_are_public_keys_and_the_first_source_has_them() {
    let key = "-----BEGIN PUBLIC KEY-----\n      \
        MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n      \
        -----END PUBLIC KEY-----\n";
    let text = |name: &str, images: &str, key: &str| {
        format!(
            "#cloud-config\nburin:\n  image_keys:\n  - name: {name}\n    images: {images}\n    \
             key: |\n      {key}"
        )
    };
    let good = text("vendor", "[r.example/vendor/, 'r.example:5000']", key);
    let data = parse(&good).unwrap();
    assert_eq!(data.image_keys[0].name, "vendor");
    assert_eq!(
        data.image_keys[0].images,
        ["r.example/vendor", "r.example:5000"]
    );
    let stick = text("evil", "[]", key);
    let merged = merge(&[&good, &stick]).unwrap();
    assert_eq!(merged.image_keys, data.image_keys);
    assert!(merged.warnings[0].to_string().contains("image keys"));
    for (wrong, want) in [
        (text("Vendor", "[]", key), "not a valid one"),
        (
            text("vendor", "['r.example/a:1']", key),
            "not a place of images",
        ),
        (text("vendor", "[]", "AAAA\n"), "is no key"),
        (
            text("vendor", "[]", &key.replace("PUBLIC", "PRIVATE")),
            "private key",
        ),
    ] {
        let said = told(&wrong).join("\n");
        assert!(said.contains(want), "{said}");
        assert!(!said.contains("MCow"), "{said}");
    }
}

#[test]
fn nothing_at_all_is_fine() {
    for text in ["", "#cloud-config\n", "# only words\n"] {
        assert_eq!(parse(text), Ok(UserData::default()), "{text:?}");
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let shown = format!("{:?}", parse(&good()).unwrap());
    for secret in [
        "s3cret",
        "user:pw",
        "$6$salt",
        &burin_api::token::Token::from_seed([7; 16]).reveal(),
    ] {
        assert!(!shown.contains(secret), "{secret}");
    }
    assert!(shown.contains("<hidden>"));
    for (from, to) in [
        ("BRN1-", "BRN1-U"),
        ("http://user:pw@", "ftp://user:pw@"),
        ("$6$salt$hash", "hunter2"),
    ] {
        let told = told(&good().replacen(from, to, 1)).join("\n");
        assert!(!told.is_empty());
        assert!(
            !told.contains("user:pw") && !told.contains("hunter2") && !told.contains("BRN1-U"),
            "{told}"
        );
    }
}

const MISTAKES: [(&str, &str); 17] = [
    (
        "burin: { hub: { url: https://h.example } }",
        "1:1: warning: the first line is not `#cloud-config`: other tools would not read this file",
    ),
    (
        "#cloud-config\nbruin: {}",
        "2:1: error: unknown key `bruin`; expected `burin`, perhaps",
    ),
    (
        "#cloud-config\nburin:\n  hub: { ulr: https://h.example }",
        "3:10: error: unknown key `burin.hub.ulr`; expected `url`, perhaps",
    ),
    (
        "#cloud-config\nburin: { hub: { url: http://h.example } }",
        "2:22: error: `burin.hub.url` does not start with https://; expected https://host:port",
    ),
    (
        "#cloud-config\nburin: { hub: { url: https://h.example/x } }",
        "2:22: error: `burin.hub.url` has more than a host and a port; expected https://host:port",
    ),
    (
        "#cloud-config\nburin: { checks: { storage.sdd: warn } }",
        "2:20: error: no check is called `storage.sdd`; expected `storage.ssd`, perhaps",
    ),
    (
        "#cloud-config\nburin: { checks: { storage.ssd: block } }",
        "2:33: error: `burin.checks.storage.ssd` is not a severity; expected `warn` or `ok`",
    ),
    (
        "#cloud-config\ninstall: { device: sda }",
        "2:20: error: `install.device` is `sda`; expected `auto`, /dev/..., or a mapping of serial, wwn, model, bus, min-size, ssd, pick",
    ),
    (
        "#cloud-config\ninstall: { system-size: 1GiB }",
        "2:25: error: `install.system-size` is not a size; expected a size of at least 4GiB, like `24GiB`",
    ),
    (
        "#cloud-config\ninstall: { bind_mounts: [/usr/bin] }",
        "2:26: error: `/usr/bin` cannot persist; expected an absolute path outside of what is verified, like /srv/data",
    ),
    (
        "#cloud-config\ninstall: { reboot: true, poweroff: true }",
        "2:26: error: `install.reboot` and `install.poweroff` are both asked for; expected one of them",
    ),
    (
        "#cloud-config\ninstall: { grub_options: { extra_cmdline: init=/bin/sh } }",
        "2:43: error: `init=/bin/sh` is set by burin alone; expected another argument, or none",
    ),
    (
        "#cloud-config\nusers: [{ name: Root! }]",
        "2:17: error: `Root!` is not a user name; expected a small letter or `_`, then at most 31 small letters, digits, `_`, `-`",
    ),
    (
        "#cloud-config\nhostname: -x",
        "2:11: error: `-x` is not a host name; expected letters, digits and `-`, parts of at most 63 characters joined by `.`",
    ),
    (
        "#cloud-config\nburin: { registries: [{ host: r.example, username: a, password: b, plain_http: true }] }",
        "2:23: error: a password would go over the network for everybody to read; expected `plain_http: false`, or no password",
    ),
    (
        "#cloud-config\nburin: { network: { interfaces: { eth0: { type: static } } } }",
        "2:41: error: `burin.network.interfaces.eth0` is static and has no address; expected `address: 192.0.2.10/24`",
    ),
    (
        "#cloud-config\n- a",
        "2:1: error: `the document` is a list; expected a mapping (`key: value`)",
    ),
];

#[test]
fn mistakes_are_told_with_place_and_the_nearest_key() {
    for (text, want) in MISTAKES {
        let told = told(text);
        assert!(told.iter().any(|t| t == want), "{text}\n{told:#?}\n{want}");
    }
}

#[test]
fn palette_keys_map_onto_burins() {
    let data = parse(
        "#cloud-config
stylus:
  debug: true
  site:
    paletteEndpoint: hub.example
    edgeHostToken: not-ours
    name: edge-abc
    hostName: box-2
    projectUid: 12345677788
    tags: { zip-code: 95135 }
    ntpServers: [ntp.example]
    caCerts: [\"------BEGIN CERTIFICATE------\\n------END CERTIFICATE------\"]
    network:
      httpProxy: http://proxy.example:3128
      noProxy: a.example, 10.0.0.0/8
      nameserver: 192.0.2.53
      interfaces:
        eth0: { type: static, ipAddress: 192.0.2.20, mask: 255.255.255.0, gateway: 192.0.2.1 }
    users: [{ name: kairos, passwd: kairos, groups: [sudo] }]
strict: true
",
    );
    let data = data.unwrap();
    assert_eq!(data.hub.unwrap().url, "https://hub.example");
    assert_eq!(
        (data.host.id.as_deref(), data.hostname.as_deref()),
        (Some("edge-abc"), Some("box-2"))
    );
    assert_eq!(data.host.labels["zip-code"], "95135");
    assert_eq!(data.host.labels["project"], "12345677788");
    assert_eq!(data.network.proxy.no, ["a.example", "10.0.0.0/8"]);
    assert!(
        matches!(&data.network.interfaces["eth0"], Interface::Static { addresses, .. } if addresses[0].to_string() == "192.0.2.20/24")
    );
    assert_eq!(
        (data.users[0].name.as_str(), &data.users[0].password),
        ("kairos", &Some(Password::Plain(Secret::new("kairos"))))
    );
    let told: Vec<String> = data.warnings.iter().map(Problem::to_string).collect();
    for part in [
        "3:3: warning: `stylus.debug` has no effect: logs are complete, always",
        "is not a token of a burin hub",
        "only its frame",
        "is plain text",
        "`strict` has no effect: an error stops",
    ] {
        assert!(told.iter().any(|t| t.contains(part)), "{part}\n{told:#?}");
    }
    assert_eq!(data.token, None);
}

#[test]
fn what_cannot_be_honoured_safely_is_an_error() {
    for (line, want) in [
        (
            "paletteEndpoint: api.spectrocloud.com",
            "is the service of another product",
        ),
        ("insecureSkipVerify: true", "would let anybody be the hub"),
        ("paletteEndpiont: x", "`paletteEndpoint`, perhaps"),
    ] {
        let told = told(&format!("#cloud-config\nstylus:\n  site:\n    {line}\n"));
        assert!(
            told[0].contains(want) && told[0].starts_with("4:"),
            "{told:?}"
        );
    }
}

#[test]
fn burins_own_keys_win_over_palettes() {
    let data = parse("#cloud-config\nstylus: { site: { paletteEndpoint: a.example } }\nburin: { hub: { url: https://b.example } }\n").unwrap();
    assert_eq!(data.hub.unwrap().url, "https://b.example");
}

proptest! {
    #[test]
    fn no_change_makes_the_parser_panic(at in 0usize..2000, with in "[ -~\n]{0,6}") {
        let mut text = good();
        let at = at.min(text.len());
        text.insert_str(at, &with);
        if let Err(problems) = parse(&text) {
            prop_assert!(problems.iter().all(|p| p.line >= 1 && p.column >= 1));
        }
    }
}
