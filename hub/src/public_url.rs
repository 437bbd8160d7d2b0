//! Where hosts and people reach the hub.

use std::net::{IpAddr, SocketAddr};

use burin_core::userdata::hub_url;
use nix::ifaddrs::getifaddrs;

use crate::db::{Db, settings};

/// The URL that was given, which is remembered, else that of an earlier start, else the listening
/// address. With it a warning when nobody outside this machine reaches that: it is in the log, and
/// is here for programs.
pub(crate) async fn decide(
    db: &Db,
    given: Option<&str>,
    listen: SocketAddr,
) -> anyhow::Result<(String, Option<String>)> {
    let mut tx = db.begin().await?;
    let known = settings::get(&mut tx, settings::PUBLIC_URL).await?;
    if let Some(url) = given {
        let url = checked(url)?;
        if known.as_deref() != Some(&url) {
            settings::put(&mut tx, settings::PUBLIC_URL, &url).await?;
            tx.commit().await?;
        }
        return Ok((url, None));
    }
    if let Some(url) = known {
        // An earlier version remembered what hosts do not read.
        let warning = hub_url(&url).err().map(|why| unread(&url, why));
        if let Some(text) = &warning {
            tracing::warn!("{text}");
        }
        return Ok((url, warning));
    }
    let warning = warning(listen, &own_addresses());
    if let Some(text) = &warning {
        tracing::warn!("{text}");
    }
    Ok((format!("https://{listen}"), warning))
}

/// The URL as hosts read it in user-data: nothing else may be remembered.
fn checked(url: &str) -> anyhow::Result<String> {
    hub_url(url).map_err(|why| anyhow::anyhow!(unread(url, why)))
}

fn unread(url: &str, why: &str) -> String {
    format!("the public URL `{url}` {why}: no host reads that; give --public-url https://HOST:PORT")
}

/// Addresses of this machine that others may reach, as far as the kernel tells them.
fn own_addresses() -> Vec<IpAddr> {
    let Ok(links) = getifaddrs() else {
        // Only the advice gets shorter.
        return Vec::new();
    };
    let ip = |address: nix::sys::socket::SockaddrStorage| {
        let four = address.as_sockaddr_in().map(|four| IpAddr::V4(four.ip()));
        four.or_else(|| address.as_sockaddr_in6().map(|six| IpAddr::V6(six.ip())))
    };
    let mut found: Vec<IpAddr> = links.filter_map(|link| ip(link.address?)).collect();
    found.retain(|ip| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    });
    found.sort();
    found.dedup();
    found
}

fn warning(listen: SocketAddr, own: &[IpAddr]) -> Option<String> {
    let ip = listen.ip();
    if !ip.is_unspecified() && !ip.is_loopback() {
        return None;
    }
    let urls: Vec<String> = own
        .iter()
        .map(|ip| {
            format!(
                "--public-url https://{}",
                SocketAddr::new(*ip, listen.port())
            )
        })
        .collect();
    let advice = match urls.is_empty() {
        true => "give --public-url https://NAME:PORT".to_owned(),
        false => format!("give {} or a name that leads there", urls.join(", ")),
    };
    Some(format!(
        "hosts are told to call https://{listen}, which only this machine reaches; {advice}. It is \
         remembered"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_no_host_reads_is_refused_with_the_reason() {
        for url in ["https://hub.example:8443", "https://hub.example/"] {
            assert_eq!(checked(url).unwrap(), url.trim_end_matches('/'));
        }
        for (url, why) in [
            ("https://hub.example/path", "more than a host and a port"),
            ("https://hub.example?x", "more than a host and a port"),
            ("http://hub.example", "does not start with https://"),
            ("https://", "names no host"),
        ] {
            let told = checked(url).unwrap_err().to_string();
            assert!(
                told.contains(why) && told.contains("--public-url"),
                "{told}"
            );
        }
    }

    #[test]
    fn an_address_that_nobody_else_reaches_is_warned_of() {
        let own = ["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        for (listen, want) in [
            ("0.0.0.0:8443", Some("--public-url https://192.0.2.7:8443")),
            ("[::]:8443", Some("https://[2001:db8::7]:8443")),
            ("127.0.0.1:9", Some("https://192.0.2.7:9")),
            ("192.0.2.7:8443", None),
        ] {
            let told = warning(listen.parse().unwrap(), &own);
            assert_eq!(told.is_some(), want.is_some(), "{listen}");
            assert!(
                want.is_none_or(|want| told.unwrap().contains(want)),
                "{listen}"
            );
        }
        let told = warning("0.0.0.0:1".parse().unwrap(), &[]).unwrap();
        assert!(told.contains("https://NAME:PORT"), "{told}");
    }
}
