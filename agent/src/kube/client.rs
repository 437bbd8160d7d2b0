//! Asks the local Kubernetes API, with the administrator's credentials that K3s writes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use burin_core::health;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use serde_json::Value;

use crate::machine::file;

/// A kubeconfig has three certificates and keys.
const LIMIT: usize = 1 << 20;
/// The API is on the same machine; slow only when it is not well.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// All pods of one node.
const ANSWER_LIMIT: usize = 32 << 20;

#[derive(Deserialize)]
struct KubeConfig {
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedCluster {
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority_data: String,
}

#[derive(Deserialize)]
struct NamedUser {
    user: User,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate_data: String,
    client_key_data: String,
}

/// A connection to the local API.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    server: String,
}

impl Client {
    /// Reads a kubeconfig.
    ///
    /// # Errors
    /// When it is not there yet, or makes no sense.
    pub fn open(path: &Path) -> Result<Self> {
        let text = file::read_text(path, LIMIT)?;
        Self::parse(&text).with_context(|| format!("reading {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        // The parser's own message could quote the key.
        let Ok(config) = serde_yaml::from_str::<KubeConfig>(text) else {
            bail!("it is not a kubeconfig with one cluster and one user");
        };
        let (Some(cluster), Some(user)) = (config.clusters.first(), config.users.first()) else {
            bail!("it names no cluster or no user");
        };
        let (cluster, user) = (&cluster.cluster, &user.user);
        let mut roots = rustls::RootCertStore::empty();
        for root in certificates(&cluster.certificate_authority_data)? {
            roots.add(root).context("taking the cluster's root")?;
        }
        let chain = certificates(&user.client_certificate_data)?;
        let key = decode(&user.client_key_data)?;
        let Ok(key) = PrivateKeyDer::from_pem_slice(&key) else {
            bail!("the client's key is no PEM");
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("choosing the TLS versions")?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .context("taking the client's certificate")?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_TIME)
            .build()
            .context("preparing the connection")?;
        Ok(Self {
            http,
            server: cluster.server.trim_end_matches('/').to_owned(),
        })
    }

    /// What Kubernetes says of itself and of one node. That it does not answer is an answer.
    pub async fn state(&self, node: &str) -> health::Kubernetes {
        let mut seen = health::Kubernetes::default();
        match self.get("/readyz").await {
            Ok(_) => seen.api = true,
            Err(err) => {
                seen.reason = format!("{err:#}");
                return seen;
            }
        }
        match self.json(&format!("/api/v1/nodes/{node}")).await {
            Ok(node) => (seen.node, seen.reason) = readiness(&node),
            Err(err) => seen.reason = format!("{err:#}"),
        }
        seen
    }

    /// Whether containers of this cluster still wait for their images.
    pub async fn pulling(&self) -> bool {
        // An API without pods pulls nothing; that it does not answer is told by its state.
        self.json("/api/v1/pods")
            .await
            .is_ok_and(|pods| waits_for_images(&pods))
    }

    async fn json(&self, path: &str) -> Result<Value> {
        let body = self.get(path).await?;
        serde_json::from_slice(&body).with_context(|| format!("reading the answer to {path}"))
    }

    async fn get(&self, path: &str) -> Result<Vec<u8>> {
        get(&self.http, &format!("{}{path}", self.server)).await
    }
}

/// GET with a bounded answer; any other status than 2xx is an error.
///
/// # Errors
/// When there is no answer, it is a refusal, or it is too long.
pub async fn get(http: &reqwest::Client, url: &str) -> Result<Vec<u8>> {
    let doing = || format!("GET {url}");
    let mut answer = http
        .get(url)
        .send()
        .await
        .map_err(reqwest::Error::without_url)
        .with_context(doing)?;
    if !answer.status().is_success() {
        bail!("{}: answered {}", doing(), answer.status().as_u16());
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.with_context(doing)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT {
            bail!(
                "{}: the answer is longer than {ANSWER_LIMIT} bytes",
                doing()
            );
        }
    }
    Ok(body)
}

fn decode(text: &str) -> Result<Vec<u8>> {
    let decoded = STANDARD.decode(text);
    decoded.map_err(|err| anyhow::anyhow!("decoding base64: {err}"))
}

fn certificates(data: &str) -> Result<Vec<CertificateDer<'static>>> {
    let pem = decode(data)?;
    let all = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    all.context("reading a certificate")
}

/// The condition Ready of a node object, with the reason when it is not true.
fn readiness(node: &Value) -> (bool, String) {
    let conditions = node["status"]["conditions"].as_array();
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == "Ready");
    let Some(ready) = ready else {
        return (false, "it has reported no state yet".to_owned());
    };
    if ready["status"] == "True" {
        return (true, String::new());
    }
    let message = ready["message"].as_str().or(ready["reason"].as_str());
    (false, message.unwrap_or("it says no reason").to_owned())
}

/// Container states that mean waiting for an image.
const WAITING: [&str; 2] = ["ContainerCreating", "PodInitializing"];

fn waits_for_images(pods: &Value) -> bool {
    let lists = ["containerStatuses", "initContainerStatuses"];
    let pods = pods["items"].as_array().into_iter().flatten();
    pods.flat_map(|pod| lists.map(|list| pod["status"][list].as_array()))
        .flatten()
        .flatten()
        .filter_map(|status| status["state"]["waiting"]["reason"].as_str())
        .any(|reason| WAITING.contains(&reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_is_ready_only_when_it_says_so() {
        let node = |status: &str| {
            json!({"status": {"conditions": [
                {"type": "MemoryPressure", "status": "True"},
                {"type": "Ready", "status": status, "message": "cni plugin not initialized"},
            ]}})
        };
        assert_eq!(readiness(&node("True")), (true, String::new()));
        assert_eq!(
            readiness(&node("False")),
            (false, "cni plugin not initialized".to_owned())
        );
        assert!(!readiness(&node("Unknown")).0);
        assert!(!readiness(&json!({})).0);
    }

    #[test]
    fn a_pull_is_seen_in_the_pods() {
        let pods = |reason: &str| {
            json!({"items": [{"status": {"initContainerStatuses": [
                {"state": {"waiting": {"reason": reason}}}]}}]})
        };
        assert!(waits_for_images(&pods("PodInitializing")));
        assert!(
            !waits_for_images(&pods("ImagePullBackOff")),
            "that one moves nothing"
        );
        assert!(!waits_for_images(&json!({})));
    }

    #[test]
    fn a_damaged_kubeconfig_is_refused_without_quoting_it() {
        for text in ["", "clusters: []\nusers: []\n", "users: secret-key\n"] {
            let err = format!("{:#}", Client::parse(text).unwrap_err());
            assert!(!err.contains("secret-key"), "{err}");
        }
    }
}
