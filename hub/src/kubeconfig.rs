//! The administrator's kubeconfig of a host's cluster: opened when somebody asks for it, written
//! down in the audit log each time.

use std::net::IpAddr;

use burin_api::sealed::Sealed;
use burin_seal::{Context, Purpose};
use reqwest::Url;
use serde_yaml::Value;

use crate::admin::problem::Problem;
use crate::clock;
use crate::db::hosts::HostRow;
use crate::db::{audit, from_json, kubeconfigs, live};
use crate::people::Actor;
use crate::secret::Secret;
use crate::state::Hub;
use crate::vault;

/// A kubeconfig that can be used from outside of its host.
#[derive(Debug)]
pub(crate) struct Opened {
    /// YAML.
    pub(crate) text: Secret,
    /// Where it says that the cluster is.
    pub(crate) server: String,
    /// When the host sent it, milliseconds since 1970.
    pub(crate) received_at: i64,
}

/// Opens the kubeconfig of a host for somebody, with another address in it: `address`, or the one
/// that the host calls from.
pub(crate) async fn open(
    hub: &Hub,
    actor: &Actor,
    host: &HostRow,
    address: Option<&str>,
) -> Result<Opened, Problem> {
    let mut conn = hub.db.reader().acquire().await?;
    let row = kubeconfigs::get(&mut conn, &host.uid).await?;
    let live = live::get(&mut conn, &host.uid).await?;
    drop(conn);
    let row = row.ok_or_else(|| {
        Problem::not_found(format!(
            "host {} has sent no kubeconfig; it does once Kubernetes runs on it",
            host.uid
        ))
    })?;
    let context = Context {
        purpose: Purpose::Kubeconfig,
        hub_id: &hub.keys.root.hub_id,
        host_uid: &host.uid,
        session: "",
    };
    let sealed: Sealed = from_json(&row.sealed)?;
    let text = hub.vault.sealing.open(&context, &sealed).map_err(|err| {
        Problem::refused(format!(
            "the kubeconfig of host {} cannot be opened ({err}); if {} was replaced, the host sends \
             it again with its next session, within a day or when its agent starts again",
            host.uid,
            vault::FILE
        ))
    })?;
    let called_from = live.map_or_else(|| host.address.clone(), |live| live.address);
    let address = address.unwrap_or(&called_from);
    let (text, server) = rewritten(&text, address)?;
    let mut tx = hub.db.begin().await?;
    let object = format!("{} {server}", host.uid);
    audit::record(
        &mut tx,
        &actor.name,
        "host.kubeconfig",
        &object,
        clock::now_ms(),
    )
    .await?;
    tx.commit().await?;
    Ok(Opened {
        text: Secret::new(text),
        server,
        received_at: row.received_at,
    })
}

/// The kubeconfig with every cluster at `address` (a name or IP address, with a port where it is not
/// the one in the file), and the URL of the first one.
fn rewritten(text: &[u8], address: &str) -> Result<(String, String), Problem> {
    // The parser's own message could quote a key.
    let odd = || Problem::refused("what the host sent is no kubeconfig with a cluster in it");
    let mut config: Value = serde_yaml::from_slice(text).map_err(|_| odd())?;
    let clusters = config.get_mut("clusters").and_then(Value::as_sequence_mut);
    let mut first = None;
    for cluster in clusters.ok_or_else(odd)? {
        let server = cluster
            .get_mut("cluster")
            .and_then(|it| it.get_mut("server"));
        let server = server.ok_or_else(odd)?;
        let old = server.as_str().and_then(|text| Url::parse(text).ok());
        let url = moved(&old.ok_or_else(odd)?, address)?;
        *server = Value::String(url.clone());
        first.get_or_insert(url);
    }
    let text = serde_yaml::to_string(&config).map_err(|_| odd())?;
    Ok((text, first.ok_or_else(odd)?))
}

fn moved(server: &Url, address: &str) -> Result<String, Problem> {
    let wrong = || {
        Problem::bad_input(format!(
            "`{address}` is not HOST, HOST:PORT or an IP address; a cluster cannot be there"
        ))
    };
    let authority = match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
        Ok(_) | Err(_) => address.to_owned(),
    };
    let given = Url::parse(&format!("https://{authority}/")).map_err(|_| wrong())?;
    let mut url = server.clone();
    // A user or a path would end up in the file as well.
    if given.path() != "/" || given.query().is_some() || given.fragment().is_some() {
        return Err(wrong());
    }
    if !given.username().is_empty() || given.password().is_some() {
        return Err(wrong());
    }
    url.set_host(given.host_str()).map_err(|_| wrong())?;
    if given.port().is_some() {
        url.set_port(given.port()).map_err(|()| wrong())?;
    }
    Ok(url.to_string().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const K3S: &str = "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: QQ==\n    \
        server: https://127.0.0.1:6443\n  name: default\nkind: Config\nusers:\n- name: default\n  \
        user:\n    client-key-data: U0VDUkVU\n";

    #[test]
    fn the_cluster_is_where_the_host_is_and_the_rest_stays() {
        for (address, want) in [
            ("192.0.2.7", "https://192.0.2.7:6443"),
            ("2001:db8::7", "https://[2001:db8::7]:6443"),
            ("edge.example", "https://edge.example:6443"),
            ("edge.example:16443", "https://edge.example:16443"),
            ("[2001:db8::7]:16443", "https://[2001:db8::7]:16443"),
        ] {
            let (text, server) = rewritten(K3S.as_bytes(), address).unwrap();
            assert_eq!(server, want);
            let read: Value = serde_yaml::from_str(&text).unwrap();
            let mut expected: Value = serde_yaml::from_str(K3S).unwrap();
            expected["clusters"][0]["cluster"]["server"] = Value::String(want.to_owned());
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn an_address_is_nothing_but_an_address() {
        for bad in [
            "",
            "a b",
            "u@h",
            "h/p",
            "h?q",
            "h#f",
            "https://h",
            "h:99999",
            "h\nx: y",
        ] {
            let problem = rewritten(K3S.as_bytes(), bad).unwrap_err();
            assert_eq!(problem.status, 422, "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_kubeconfig_is_refused_without_quoting_it() {
        for bad in [
            "",
            "SECRET",
            "clusters: []",
            "clusters: SECRET",
            "clusters: [{cluster: {server: SECRET}}]",
            "clusters: [{cluster: {}}]",
            "- &a [*a",
            "\u{0}",
        ] {
            let problem = rewritten(bad.as_bytes(), "h").unwrap_err();
            assert_eq!(problem.status, 409, "{bad:?}");
            assert!(!problem.detail.contains("SECRET"), "{problem:?}");
        }
        assert!(rewritten(&[0xff, 0xfe], "h").is_err());
    }
}
