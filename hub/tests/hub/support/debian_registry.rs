//! Debian's registry behind TLS and a password.

use std::path::Path;
use std::process::Stdio;

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

pub(crate) const USER: &str = "fleet";
/// Found nowhere else: tests look for it where it must not be.
pub(crate) const PASSWORD: &str = "registry-canary-7261";
/// bcrypt of [`PASSWORD`], the only form that the registry takes.
const HTPASSWD: &str = "fleet:$2b$05$abcdefghijklmnopqrstuuOY6j1mVnHykGPFUSnE18yKUWLDDk.d2\n";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(crate) struct DebianRegistry {
    /// `127.0.0.1:PORT`
    pub(crate) host: String,
    /// PEM of its certificate, which is its own root.
    pub(crate) ca: String,
    http: reqwest::Client,
    _folder: tempfile::TempDir,
    _child: Child,
}

impl DebianRegistry {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("tls.pem"), made.cert.pem()).unwrap();
        std::fs::write(file("tls.key"), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(file("htpasswd"), HTPASSWD).unwrap();
        let host = format!("127.0.0.1:{}", burin_ports::free().unwrap());
        std::fs::write(file("config.yml"), config(folder.path(), &host)).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(file("config.yml"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut says = BufReader::new(child.stderr.take().unwrap()).lines();
        while let Some(line) = says.next_line().await.unwrap() {
            if line.contains("listening on") {
                break;
            }
        }
        // Whoever logs into a closed pipe ends.
        tokio::spawn(async move { while let Ok(Some(_)) = says.next_line().await {} });
        let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
        Self {
            host,
            ca: made.cert.pem(),
            http: reqwest::Client::builder()
                .tls_certs_only([root])
                .no_proxy()
                .build()
                .unwrap(),
            _folder: folder,
            _child: child,
        }
    }

    /// Puts an image of one layer under `repository:tag`.
    pub(crate) async fn push(&self, repository: &str, tag: &str, layer: &[u8]) {
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": [digest(layer)] },
        });
        let config = serde_json::to_vec(&config).unwrap();
        for blob in [layer, &config] {
            self.push_blob(repository, blob).await;
        }
        let described = |bytes: &[u8], kind: &str| serde_json::json!({ "mediaType": kind, "digest": digest(bytes), "size": bytes.len() });
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": described(&config, "application/vnd.oci.image.config.v1+json"),
            "layers": [described(layer, "application/vnd.oci.image.layer.v1.tar")],
        });
        let url = format!("https://{}/v2/{repository}/manifests/{tag}", self.host);
        let put = self
            .http
            .put(url)
            .header("content-type", MANIFEST)
            .body(serde_json::to_vec(&manifest).unwrap());
        send(put).await;
    }

    async fn push_blob(&self, repository: &str, blob: &[u8]) {
        let url = format!("https://{}/v2/{repository}/blobs/uploads/", self.host);
        let begun = send(self.http.post(url)).await;
        let to = begun.headers()["location"].to_str().unwrap();
        let put = self
            .http
            .put(format!("{to}&digest={}", digest(blob)))
            .header("content-type", "application/octet-stream")
            .body(blob.to_vec());
        send(put).await;
    }
}

async fn send(request: reqwest::RequestBuilder) -> reqwest::Response {
    let answer = request.basic_auth(USER, Some(PASSWORD)).send().await;
    answer.unwrap().error_for_status().unwrap()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn config(folder: &Path, address: &str) -> String {
    let folder = folder.display();
    format!(
        "version: 0.1\n\
         log: {{ level: info }}\n\
         storage:\n  filesystem: {{ rootdirectory: {folder}/storage }}\n\
         auth:\n  htpasswd: {{ realm: fleet, path: {folder}/htpasswd }}\n\
         http:\n  addr: {address}\n  tls: {{ certificate: {folder}/tls.pem, key: {folder}/tls.key }}\n"
    )
}
