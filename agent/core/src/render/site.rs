//! What the site and the host itself give: name, hosts, authorities, proxy, time, keys, sudo rules.

use std::net::IpAddr;

use super::{Access, File, Image, Input, Rendered};
use crate::network::Proxy;
use crate::userdata::{Secret, User};

/// Where the file of each authority-reading library ends up on the families of distributions.
pub const BUNDLES: [&str; 3] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/cert.pem",
];
/// OpenSSH's defaults (sshd_config(5)), then the folder that is rendered.
const KEY_FILES: &str = "AuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys2 \
                         /etc/ssh/authorized_keys.d/%u\n";
/// The kernel's `HOST_NAME_MAX`.
const HOST_NAME_MAX: usize = 64;

/// `hostname` and `hosts`.
pub(super) fn names(input: &Input<'_>, out: &mut Rendered) {
    let name = host_name(input.host_name);
    out.file("hostname", format!("{name}\n"), Access::Public);
    out.file(
        "hosts",
        hosts(&name, input.image.hosts.as_deref().unwrap_or_default()),
        Access::Public,
    );
}

/// A host ID may hold what a host name may not; a name that is too long keeps its first part.
pub(super) fn host_name(wanted: &str) -> String {
    let plain: String = wanted
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let mut name = plain.trim_matches(['-', '.']);
    if name.len() > HOST_NAME_MAX {
        name = name.split('.').next().unwrap_or(name);
        name = &name[..name.len().min(HOST_NAME_MAX - 1)];
    }
    match name.trim_matches(['-', '.']) {
        "" => "localhost".to_owned(),
        name => name.to_ascii_lowercase(),
    }
}

/// The image's own lines stay, save those of loopback and multicast addresses.
fn hosts(name: &str, image: &str) -> String {
    let mut text = String::from("127.0.0.1 localhost\n");
    match name.split_once('.') {
        _ if name == "localhost" => {}
        Some((short, _)) => text.push_str(&format!("127.0.1.1 {name} {short}\n")),
        None => text.push_str(&format!("127.0.1.1 {name}\n")),
    }
    text.push_str("::1 localhost ip6-localhost ip6-loopback\n");
    text.push_str("ff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n");
    for line in image.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        let address = first.parse::<IpAddr>();
        if address.is_ok_and(|ip| !ip.is_loopback() && !ip.is_multicast()) {
            text.push_str(line.trim());
            text.push('\n');
        }
    }
    text
}

/// Authorities of the site: in a file of their own and at the end of each bundle of the image.
pub(super) fn authorities(input: &Input<'_>, out: &mut Rendered) {
    let ca = &input.user_data.network.ca;
    if ca.is_empty() {
        return;
    }
    let mut own = String::new();
    for pem in ca {
        own.push_str(pem.trim());
        own.push('\n');
    }
    for (path, bundle) in &input.image.bundles {
        let path = path.strip_prefix("etc/").unwrap_or(path);
        let text = format!("{}\n{own}", bundle.trim_end());
        out.file(path, text, Access::Public);
    }
    if input.image.bundles.is_empty() {
        out.troubles.push(
            "the image has no bundle of authorities; only programs that read /etc/ssl/certs \
             as a folder trust those of user-data"
                .to_owned(),
        );
    }
    out.file("ssl/certs/burin-site.pem", own, Access::Public);
}

/// The proxy, for logins (`/etc/environment`) and for every unit. Units read a file and not
/// `DefaultEnvironment=`, because there newer versions of systemd take `%` for a specifier.
pub(super) fn proxy(input: &Input<'_>, out: &mut Rendered) {
    let lines = variables(&input.user_data.network.proxy, &mut out.troubles);
    if lines.is_empty() {
        return;
    }
    let image = input.image.environment.as_deref().unwrap_or_default();
    let mut logins = image.trim_end().to_owned();
    if !logins.is_empty() {
        logins.push('\n');
    }
    logins.push_str(&lines);
    out.file("environment", logins, Access::Public);
    out.file("burin/proxy.env", lines, Access::Private);
    out.file(
        "systemd/system/service.d/10-burin-proxy.conf",
        "[Service]\nEnvironmentFile=-/etc/burin/proxy.env\n".to_owned(),
        Access::Public,
    );
}

fn variables(proxy: &Proxy, troubles: &mut Vec<String>) -> String {
    let mut lines = String::new();
    let mut add = |name: &str, value: &str| {
        // Both readers of these files have quoting rules of their own; nothing that needs them.
        let plain = value.bytes().all(|b| b.is_ascii_graphic())
            && !value.contains(['"', '\'', '\\', '$', '#', ';', '`']);
        if plain {
            let lower = name.to_ascii_lowercase();
            lines.push_str(&format!("{name}={value}\n{lower}={value}\n"));
        } else {
            troubles.push(format!(
                "{name} is not rendered: percent-encode the special characters of the proxy's URL"
            ));
        }
    };
    for (name, url) in [("HTTP_PROXY", &proxy.http), ("HTTPS_PROXY", &proxy.https)] {
        if let Some(url) = url.as_ref().map(Secret::expose) {
            add(name, url);
        }
    }
    if proxy.http.is_some() || proxy.https.is_some() {
        let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let all: Vec<&str> = own.iter().chain(&proxy.no).map(String::as_str).collect();
        add("NO_PROXY", &all.join(","));
    }
    lines
}

/// Time servers.
pub(super) fn time(input: &Input<'_>, out: &mut Rendered) {
    let image = input.image;
    let (servers, bad): (Vec<_>, Vec<_>) = input
        .user_data
        .network
        .ntp
        .iter()
        .partition(|server| is_server(server));
    for server in bad {
        out.troubles.push(format!(
            "`{server}` is neither the name nor the address of a time server"
        ));
    }
    let servers: Vec<&str> = servers.into_iter().map(String::as_str).collect();
    if image.has_unit("systemd-timesyncd.service") {
        // Another time service of the image is its author's choice.
        if !image.has_unit("chrony.service") && !image.has_unit("chronyd.service") {
            out.enable(image, "systemd-timesyncd.service", "sysinit.target");
        }
        if !servers.is_empty() {
            let text = format!("[Time]\nNTP={}\n", servers.join(" "));
            out.file(
                "systemd/timesyncd.conf.d/10-burin.conf",
                text,
                Access::Public,
            );
        }
    } else if !servers.is_empty() {
        out.troubles.push(
            "the time servers of user-data are not used: the image has no systemd-timesyncd"
                .to_owned(),
        );
    }
}

pub(super) fn is_server(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || crate::userdata::is_host_name(text)
}

/// Keys for logins: in `/etc`, so that they come and go with user-data, while
/// `~/.ssh/authorized_keys` stays the user's own.
pub(super) fn keys(users: &[User], image: &Image, out: &mut Rendered) {
    let with_keys = users.iter().filter(|u| !u.ssh_authorized_keys.is_empty());
    let mut any = false;
    for user in with_keys {
        any = true;
        let text = user.ssh_authorized_keys.join("\n") + "\n";
        out.file(
            format!("ssh/authorized_keys.d/{}", user.name),
            text,
            Access::Public,
        );
    }
    if !any {
        return;
    }
    match &image.sshd_config {
        None => out.troubles.push(
            "the SSH keys of user-data are not used: the image has no OpenSSH server".to_owned(),
        ),
        Some(text) if reads_drop_ins(text) => {
            // The first value counts (sshd_config(5)), files in the order of their names.
            out.file(
                "ssh/sshd_config.d/00-burin.conf",
                KEY_FILES.to_owned(),
                Access::Public,
            );
        }
        Some(text) => out.file(
            "ssh/sshd_config",
            format!("{KEY_FILES}{text}"),
            Access::Public,
        ),
    }
}

/// Whether the file includes the usual folder before any `Match` block hides it.
fn reads_drop_ins(config: &str) -> bool {
    config
        .lines()
        .map(str::trim)
        .take_while(|line| !line.to_ascii_lowercase().starts_with("match"))
        .any(|line| {
            let mut words = line.split_whitespace();
            words
                .next()
                .is_some_and(|w| w.eq_ignore_ascii_case("include"))
                && words
                    .any(|w| w == "/etc/ssh/sshd_config.d/*.conf" || w == "sshd_config.d/*.conf")
        })
}

/// Rules for sudo.
pub(super) fn sudo(users: &[User], image: &Image, out: &mut Rendered) {
    let rules: String = users
        .iter()
        .filter_map(|user| {
            user.sudo
                .as_ref()
                .map(|rule| format!("{} {rule}\n", user.name))
        })
        .collect();
    if rules.is_empty() {
        return;
    }
    if image.has("/etc/sudoers") || image.has("/usr/bin/sudo") {
        out.files
            .push(File::new("sudoers.d/90-burin", rules, Access::ReadOnly));
    } else {
        out.troubles
            .push("the sudo rules of user-data are not used: the image has no sudo".to_owned());
    }
}
