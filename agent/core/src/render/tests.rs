mod networkd;
mod stages;

use proptest::prelude::*;

use super::accounts::{Account, Entry, Group, GroupShadow, Shadow, read, write};
use super::*;
use crate::userdata;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nmail:x:8:8:mail:/var/mail:/usr/sbin/nologin\n\
                      svc:x:101:101::/var/lib/svc:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nmail:x:8:\nsudo:x:27:\nshadow:x:42:\nsvc:x:101:\n";
const SHADOW: &str = "root:*:19000:0:99999:7:::\nmail:*:19000:0:99999:7:::\n";

fn image() -> Image {
    let unit = |name| (name, format!("/usr/lib/systemd/system/{name}"));
    Image {
        passwd: Some(PASSWD.to_owned()),
        group: Some(GROUP.to_owned()),
        shadow: Some(SHADOW.to_owned()),
        gshadow: Some("root:*::\nsudo:*::\n".to_owned()),
        sshd_config: Some("Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n".to_owned()),
        present: BTreeSet::from(PROBED),
        units: BTreeMap::from([
            unit("systemd-networkd.service"),
            unit("systemd-timesyncd.service"),
        ]),
        ..Image::default()
    }
}

fn rendered(image: &Image, text: &str, ledger: &Ledger) -> Rendered {
    let user_data = userdata::parse(&format!("#cloud-config\n{text}")).unwrap();
    render(&Input {
        image,
        user_data: &user_data,
        host_name: "edge-1.example",
        ledger,
        saved_shadow: None,
        kept_resolver: Some("nameserver 10.0.2.3\nsearch site.example\n"),
    })
}

fn text<'a>(out: &'a Rendered, path: &str) -> &'a str {
    let found = out.files.iter().find(|file| file.path == path);
    &found
        .unwrap_or_else(|| panic!("{path} is not rendered"))
        .text
}

fn has(out: &Rendered, path: &str) -> bool {
    out.files.iter().any(|file| file.path == path)
}

const ADA: &str = "users:\n- name: ada\n  groups: [sudo, makers]\n  sudo: ALL=(ALL) NOPASSWD:ALL\n  \
    hashed_passwd: $6$salt$hash\n  ssh_authorized_keys:\n  - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI ada\n";

#[test]
fn users_are_rendered_as_the_manual_pages_have_it() {
    let out = rendered(&image(), ADA, &Ledger::default());
    assert_eq!(out.troubles, Vec::<String>::new());
    let passwd = format!("{PASSWD}ada:x:1000:1000::/home/ada:/bin/bash\n");
    assert_eq!(text(&out, "passwd"), passwd);
    assert_eq!(
        text(&out, "group"),
        "root:x:0:\nmail:x:8:\nsudo:x:27:ada\nshadow:x:42:\nsvc:x:101:\nada:x:1000:\nmakers:x:1001:ada\n"
    );
    assert_eq!(
        text(&out, "shadow"),
        format!("{SHADOW}ada:$6$salt$hash:::::::\n")
    );
    assert_eq!(
        text(&out, "gshadow"),
        "root:*::\nsudo:*::ada\nada:!::\nmakers:!::ada\n"
    );
    assert_eq!(
        text(&out, "sudoers.d/90-burin"),
        "ada ALL=(ALL) NOPASSWD:ALL\n"
    );
    assert_eq!(
        text(&out, "ssh/authorized_keys.d/ada"),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI ada\n"
    );
    assert!(
        text(&out, "ssh/sshd_config.d/00-burin.conf").contains("/etc/ssh/authorized_keys.d/%u")
    );
    let home = out
        .homes
        .first()
        .map(|home| (home.path.as_str(), home.uid, home.gid));
    assert_eq!(home, Some(("/home/ada", 1000, 1000)));
    // What is written is read back.
    let users: Vec<Account> = read(text(&out, "passwd")).unwrap();
    assert_eq!(write(&users), text(&out, "passwd"));
    assert_eq!(Ledger::parse(&out.ledger.to_json()).unwrap(), out.ledger);
}

#[test]
fn a_user_without_a_password_can_still_use_a_key() {
    let out = rendered(&image(), "users: [{name: bob}]\n", &Ledger::default());
    assert!(text(&out, "shadow").ends_with("bob:*:::::::\n"));
}

#[test]
fn a_user_of_the_image_is_changed_and_not_doubled() {
    let out = rendered(
        &image(),
        "users: [{name: root, hashed_passwd: $6$a$b, shell: /bin/sh}]\n",
        &Ledger::default(),
    );
    assert!(text(&out, "passwd").starts_with("root:x:0:0:root:/root:/bin/sh\n"));
    assert!(text(&out, "shadow").starts_with("root:$6$a$b:19000:0:99999:7:::\n"));
    assert_eq!(text(&out, "passwd").matches("root:x:").count(), 1);
}

#[test]
fn names_keep_their_numbers_for_ever() {
    let first = rendered(&image(), ADA, &Ledger::default());
    // Gone from user-data, the number stays taken; back again, it is the old one.
    let second = rendered(&image(), "users: [{name: bob}]\n", &first.ledger);
    assert!(text(&second, "passwd").contains("bob:x:1002:1002:"));
    let third = rendered(&image(), ADA, &second.ledger);
    assert!(text(&third, "passwd").contains("ada:x:1000:1000:"));
    // A new image numbers its service anew.
    let mut other = image();
    other.passwd = Some(PASSWD.replace("svc:x:101:101", "svc:x:998:997"));
    other.group = Some(GROUP.replace("svc:x:101", "svc:x:997"));
    let fourth = rendered(&other, "", &third.ledger);
    assert_eq!(text(&fourth, "passwd"), PASSWD);
    assert_eq!(text(&fourth, "group"), GROUP);
    assert_eq!(fourth.conflicts, Vec::new());
    assert_eq!(fourth.troubles.len(), 2, "{:?}", fourth.troubles);
}

#[test]
fn a_number_that_is_another_names_is_a_conflict() {
    let first = rendered(&image(), "", &Ledger::default());
    let mut other = image();
    other.passwd = Some(PASSWD.replace("svc:x:101", "new:x:101"));
    let second = rendered(&other, "", &first.ledger);
    let conflict = second.conflicts.first().unwrap();
    assert_eq!((conflict.wanted, conflict.given), (101, 999));
    assert_eq!(conflict.holder, "svc");
    assert!(text(&second, "passwd").contains("\nnew:x:999:101:"));
    // Two names of one image that share a number do so on purpose.
    let mut shared = image();
    shared.passwd = Some(format!("{PASSWD}toor:x:0:0::/root:/bin/sh\n"));
    assert_eq!(rendered(&shared, "", &first.ledger).conflicts, Vec::new());
}

#[test]
fn hashes_that_were_changed_on_the_host_stay() {
    let user_data = userdata::parse(&format!("#cloud-config\n{ADA}")).unwrap();
    let image = image();
    let out = render(&Input {
        image: &image,
        user_data: &user_data,
        host_name: "x",
        ledger: &Ledger::default(),
        saved_shadow: Some("ada:$6$own$own:20000::::::\ngone:$6$x$y:::::::\n"),
        kept_resolver: None,
    });
    assert!(text(&out, "shadow").ends_with("ada:$6$own$own:20000::::::\n"));
    assert!(!text(&out, "shadow").contains("gone"));
}

#[test]
fn an_image_with_a_broken_file_of_accounts_keeps_it() {
    let mut image = image();
    image.passwd = Some("root:x:0:0:root:/root\n".to_owned());
    let out = rendered(&image, ADA, &Ledger::default());
    assert!(!has(&out, "passwd") && !has(&out, "shadow"));
    assert!(
        out.troubles[0].contains("line 1 has not seven fields"),
        "{:?}",
        out.troubles
    );
    assert_eq!(text(&out, "hostname"), "edge-1.example\n");
}

#[test]
fn names_of_the_host_are_rendered() {
    let mut image = image();
    image.hosts = Some("127.0.0.1 old\n::1 old\n10.0.0.5 store.example\n# text\n".to_owned());
    let out = rendered(&image, "", &Ledger::default());
    assert_eq!(text(&out, "hostname"), "edge-1.example\n");
    assert_eq!(
        text(&out, "hosts"),
        "127.0.0.1 localhost\n127.0.1.1 edge-1.example edge-1\n\
         ::1 localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n\
         10.0.0.5 store.example\n"
    );
}

#[test]
fn a_host_id_becomes_a_host_name() {
    for (wanted, name) in [
        ("Burin_77", "burin-77"),
        ("", "localhost"),
        ("--", "localhost"),
        (&"a".repeat(70), &"a".repeat(63)),
        (&format!("short.{}", "b".repeat(62)), "short"),
        ("gérät", "g-r-t"),
    ] {
        assert_eq!(site::host_name(wanted), name, "{wanted}");
    }
}

const STATIC: &str = "burin:\n  network:\n    dns: [9.9.9.9]\n    search: [example.org]\n    \
    ntp: [time.example, 10.0.0.9]\n    interfaces:\n      a8:a1:59:00:00:01:\n        \
    addresses: [10.0.0.7/24]\n        gateway: 10.0.0.1\n";

#[test]
fn static_addresses_time_and_names_are_rendered() {
    let out = rendered(&image(), STATIC, &Ledger::default());
    assert_eq!(
        text(&out, "systemd/network/10-burin-a8-a1-59-00-00-01.network"),
        "# Rendered by burin at each boot.\n[Match]\nMACAddress=a8:a1:59:00:00:01\nType=ether\nKind=!*\n\n\
         [Network]\nAddress=10.0.0.7/24\nGateway=10.0.0.1\nDNS=9.9.9.9\nDomains=example.org\n"
    );
    assert!(!has(&out, "systemd/network/10-burin-wired.network"));
    assert_eq!(
        text(&out, "resolv.conf"),
        "nameserver 9.9.9.9\nsearch example.org\n"
    );
    assert_eq!(
        text(&out, "systemd/timesyncd.conf.d/10-burin.conf"),
        "[Time]\nNTP=time.example 10.0.0.9\n"
    );
}

#[test]
fn an_image_with_networkmanager_is_left_to_it_and_that_is_said() {
    let mut image = image();
    image
        .units
        .insert("NetworkManager.service", "/x".to_owned());
    let out = rendered(&image, STATIC, &Ledger::default());
    assert!(
        !out.files
            .iter()
            .any(|file| file.path.starts_with("systemd/network"))
    );
    assert!(out.troubles.iter().any(|t| t.contains("NetworkManager")));
}

#[test]
fn resolved_gets_the_link_to_its_stub() {
    let mut image = image();
    let path = "/usr/lib/systemd/system/systemd-resolved.service".to_owned();
    image.units.insert("systemd-resolved.service", path);
    let out = rendered(&image, "", &Ledger::default());
    assert!(!has(&out, "resolv.conf"));
    let link = out
        .links
        .iter()
        .find(|link| link.path == "resolv.conf")
        .unwrap();
    assert_eq!(link.target, "../run/systemd/resolve/stub-resolv.conf");
}

#[test]
fn the_proxy_reaches_logins_and_units() {
    let proxy = "burin:\n  network:\n    proxy:\n      https: http://u:p%40@proxy:3128\n      no: [.example]\n";
    let mut image = image();
    image.environment = Some("PATH=/bin\n".to_owned());
    let out = rendered(&image, proxy, &Ledger::default());
    let lines = "HTTPS_PROXY=http://u:p%40@proxy:3128\nhttps_proxy=http://u:p%40@proxy:3128\n\
                 NO_PROXY=localhost,127.0.0.1,::1,.example\nno_proxy=localhost,127.0.0.1,::1,.example\n";
    assert_eq!(text(&out, "environment"), format!("PATH=/bin\n{lines}"));
    assert_eq!(text(&out, "burin/proxy.env"), lines);
    assert!(
        !format!("{out:?}").contains("p%40"),
        "secrets are not shown"
    );
    let odd = proxy.replace("p%40", "p$x");
    let out = rendered(&image, &odd, &Ledger::default());
    assert!(out.troubles.iter().any(|t| t.contains("percent-encode")));
    assert!(!text(&out, "environment").contains('$'));
}

#[test]
fn authorities_are_added_to_the_images() {
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----",
        "QUJD".repeat(60)
    );
    let indented = pem.replace('\n', "\n      ");
    let data = format!("burin:\n  network:\n    ca:\n    - |\n      {indented}\n");
    let mut image = image();
    let path = BUNDLES[0];
    image.bundles.insert(path.to_owned(), "IMAGE".to_owned());
    let out = rendered(&image, &data, &Ledger::default());
    assert_eq!(
        text(&out, "ssl/certs/ca-certificates.crt"),
        format!("IMAGE\n{pem}\n")
    );
    assert_eq!(text(&out, "ssl/certs/burin-site.pem"), format!("{pem}\n"));
}

#[test]
fn an_sshd_without_drop_ins_is_told_in_its_own_file() {
    let mut image = image();
    let hidden = "Match User x\n  Include /etc/ssh/sshd_config.d/*.conf\n";
    image.sshd_config = Some(hidden.to_owned());
    let out = rendered(&image, ADA, &Ledger::default());
    let config = text(&out, "ssh/sshd_config");
    assert!(config.starts_with("AuthorizedKeysFile ") && config.ends_with(hidden));
    image.sshd_config = None;
    image.present.clear();
    let out = rendered(&image, ADA, &Ledger::default());
    assert_eq!(out.troubles.len(), 2, "{:?}", out.troubles);
}

#[test]
fn bad_lines_are_refused_and_never_shown() {
    for (line, why) in [
        ("a:secret:0:0:::", "none or too big"),
        ("a:x:1:01::/:/bin/sh", "not written plainly"),
        ("a:x:4294967295:0::/:/bin/sh", "not written plainly"),
        ("+a:x:1:1::/:/bin/sh", "no usable name"),
        (
            "a:x:1:1::/:/bin/sh\na:x:2:2::/:/bin/sh",
            "line 2 has a name that",
        ),
        ("a:x:1:1:\u{7}:/:/bin/sh", "control character"),
    ] {
        let fields = line.replace("a:secret:0:0:::", "a:secret:zero:0::/:/bin/sh");
        let err = read::<Account>(&fields).unwrap_err().to_string();
        assert!(
            err.contains(why) && !err.contains("secret"),
            "{line}: {err}"
        );
    }
    let long = "#".repeat((1 << 20) + 1);
    assert!(read::<Group>(&long).is_err());
    assert!(read::<Shadow>("a:b:::::::\n# c\n\n").is_ok());
    assert!(Ledger::parse("{\"users\":{},\"groups\":{},\"x\":1}").is_err());
}

/// Whatever is understood is written so that it is understood the same.
fn round<T: Entry + PartialEq + std::fmt::Debug>(text: &str) -> Result<(), TestCaseError> {
    if let Ok(entries) = read::<T>(text) {
        let again = read::<T>(&write(&entries));
        prop_assert_eq!(again.as_ref().ok(), Some(&entries));
    }
    Ok(())
}

proptest! {
    #[test]
    fn files_of_accounts_survive_reading_and_writing(
        text in "([a-z+#]{0,3}(:[a-z0-9,/!]{0,4}){2,9}\n){0,4}",
        any in "\\PC{0,60}",
    ) {
        for text in [&text, &any] {
            round::<Account>(text)?;
            round::<Group>(text)?;
            round::<Shadow>(text)?;
            round::<GroupShadow>(text)?;
        }
    }

    #[test]
    fn settled_numbers_never_move_again(
        images in prop::collection::vec(prop::collection::btree_map("[a-d]", 100u32..106, 0..4), 1..5),
    ) {
        let mut ledger = Ledger::default();
        for image in &images {
            let before = ledger.clone();
            let wanted: Vec<_> = image.iter().map(|(n, id)| (n.clone(), *id)).collect();
            ledger.settle(Kind::User, &wanted);
            for (name, number) in &before.users {
                prop_assert_eq!(ledger.users.get(name), Some(number));
            }
        }
    }
}
