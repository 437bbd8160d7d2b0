//! The contract that `k3s-standin` keeps: what an agent may rely on must hold here as with K3s.
#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::Value;

const STANDIN: &str = env!("CARGO_BIN_EXE_k3s-standin");
const MANIFEST: &str = include_str!("../src/images/network.yaml");

struct Server {
    child: Child,
    /// Kept open: a server whose log is closed could not write it.
    _log: BufReader<ChildStdout>,
    root: tempfile::TempDir,
    port: u16,
}

impl Server {
    fn start(config: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let port = burin_ports::free().unwrap();
        let folder = root.path().join("etc/rancher/k3s");
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("config.yaml"),
            format!("{config}\nhttps-listen-port: {port}\n"),
        )
        .unwrap();
        let mut child = Command::new(STANDIN)
            .args(["server", "--config", "/etc/rancher/k3s/config.yaml"])
            .env("K3S_STANDIN_ROOT", root.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut log = BufReader::new(child.stdout.take().unwrap());
        log.read_line(&mut line).unwrap();
        assert!(line.contains("Starting k3s-standin"), "{line}");
        let server = Self {
            child,
            _log: log,
            root,
            port,
        };
        server.until("the kubeconfig", || {
            server.kubeconfig().contains("client-key-data")
        });
        server
    }

    fn kubeconfig(&self) -> String {
        fs::read_to_string(self.root.path().join("etc/rancher/k3s/k3s.yaml")).unwrap_or_default()
    }

    fn field(&self, name: &str) -> Vec<u8> {
        let text = self.kubeconfig();
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
        base64::engine::general_purpose::STANDARD
            .decode(line.unwrap())
            .unwrap()
    }

    fn get(&self, path: &str, with_certificate: bool) -> (u16, String) {
        let ca = reqwest::Certificate::from_pem(&self.field("certificate-authority-data")).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        // Another test of this process may have been first.
        provider.install_default().ok();
        let mut client = reqwest::Client::builder().tls_certs_only([ca]);
        if with_certificate {
            let both = [
                self.field("client-certificate-data"),
                self.field("client-key-data"),
            ]
            .concat();
            client = client.identity(reqwest::Identity::from_pem(&both).unwrap());
        }
        let url = format!("https://127.0.0.1:{}{path}", self.port);
        runtime().block_on(async {
            let reply = client.build().unwrap().get(url).send().await.unwrap();
            (reply.status().as_u16(), reply.text().await.unwrap())
        })
    }

    fn ready_condition(&self) -> Value {
        let (status, text) = self.get("/api/v1/nodes", true);
        assert_eq!(status, 200, "{text}");
        let list: Value = serde_json::from_str(&text).unwrap();
        let conditions = list["items"][0]["status"]["conditions"].as_array().unwrap();
        conditions
            .iter()
            .find(|one| one["type"] == "Ready")
            .unwrap()
            .clone()
    }

    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "waited for {what}"
            );
            runtime().block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_node_without_a_network_is_not_ready_until_a_network_layer_is_applied() {
    let server = Server::start(
        "token: secret-1\nnode-name: Edge-1\nflannel-backend: none\nnode-label: [tier=edge]",
    );
    assert_eq!(server.get("/readyz", true), (200, "ok".to_owned()));
    assert_eq!(server.get("/readyz", false).0, 401);
    assert!(server.get("/api/v1/pods", true).1.contains("\"items\":[]"));
    let condition = server.ready_condition();
    assert_eq!(condition["status"], "False");
    assert!(
        condition["message"]
            .as_str()
            .unwrap()
            .contains("cni plugin not initialized")
    );
    let manifests = server
        .root
        .path()
        .join("var/lib/rancher/k3s/server/manifests");
    fs::create_dir_all(&manifests).unwrap();
    fs::write(manifests.join("network.yaml"), MANIFEST).unwrap();
    server.until("the node to be ready", || {
        server.ready_condition()["status"] == "True"
    });
    let addons = server.get("/apis/k3s.cattle.io/v1/addons", true).1;
    assert!(addons.contains("\"name\":\"network\""), "{addons}");
    assert!(
        server
            .get("/api/v1/nodes/edge-1", true)
            .1
            .contains("\"tier\":\"edge\"")
    );
}

#[test]
fn its_files_lie_where_k3s_lays_them_and_are_private() {
    let server = Server::start("token: secret-1\nnode-name: edge");
    let root = server.root.path();
    for path in [
        "etc/rancher/k3s/k3s.yaml",
        "etc/rancher/node/password",
        "var/lib/rancher/k3s/server/token",
        "var/lib/rancher/k3s/server/db/state.db",
    ] {
        assert_eq!(mode(&root.join(path)), 0o600, "{path}");
    }
    let token = fs::read_to_string(root.join("var/lib/rancher/k3s/server/token")).unwrap();
    assert!(token.ends_with("::server:secret-1\n"));
    assert_eq!(
        server.ready_condition()["status"],
        "True",
        "the built-in network is on by default"
    );
}

#[test]
fn another_token_than_the_data_was_made_with_is_refused() {
    let server = Server::start("token: secret-1\nnode-name: edge");
    let again = Command::new(STANDIN)
        .args(["server", "--token", "secret-2"])
        .env("K3S_STANDIN_ROOT", server.root.path())
        .output()
        .unwrap();
    assert!(!again.status.success());
    let told = String::from_utf8(again.stderr).unwrap();
    assert!(
        told.contains("critical configuration value mismatch"),
        "{told}"
    );
    assert!(!told.contains("secret-"), "{told}");
}

#[test]
fn its_version_is_in_the_form_of_k3s() {
    let output = Command::new(STANDIN).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("k3s version v1."), "{text}");
    assert!(
        text.contains("(k3s-standin)"),
        "it must not pass for K3s: {text}"
    );
}
