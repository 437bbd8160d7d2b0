//! A hub in the test's own process, an admin, and a host that speaks the protocol.

pub(crate) mod browser;
pub(crate) mod database;
pub(crate) mod debian_registry;
pub(crate) mod glewlwyd;
pub(crate) mod host;
pub(crate) mod iso;
pub(crate) mod postgres;
pub(crate) mod projects;
pub(crate) mod provider;
pub(crate) mod registry;
pub(crate) mod webdriver;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use burin_hub::cli::{PeopleOptions, ServeArgs, Span};
use burin_hub::listen::Patience;
use burin_hub::serve::{self, Running};
use serde_json::Value;
use tracing_subscriber::filter::LevelFilter;

/// A running hub with its folder.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) running: Running,
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    /// API key of the admin.
    pub(crate) key: String,
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ServeArgs)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::at(folder, change).await
    }

    pub(crate) async fn at(folder: tempfile::TempDir, change: impl FnOnce(&mut ServeArgs)) -> Self {
        // A test of the same process may have installed it already.
        drop(rustls::crypto::ring::default_provider().install_default());
        // What the hub logs stands beside the test that fails.
        let log = tracing_subscriber::fmt().with_max_level(LevelFilter::WARN);
        drop(log.with_test_writer().try_init());
        let mut args = arguments(folder.path()).await;
        change(&mut args);
        let running = serve::start(&args).await.unwrap();
        let http = client(&running.ready.ca, None);
        let admin = std::fs::read(folder.path().join("admin.json")).unwrap();
        let admin: Value = serde_json::from_slice(&admin).unwrap();
        Self {
            url: format!("https://{}", running.ready.listen),
            key: admin["api_key"].as_str().unwrap().to_owned(),
            folder,
            running,
            http,
        }
    }

    /// A client that calls from an address of the loopback network.
    pub(crate) fn client_from(&self, address: Ipv4Addr) -> reqwest::Client {
        client(&self.running.ready.ca, Some(address))
    }

    /// Stops the hub and gives its folder back.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.running.until(async {}).await.unwrap();
        self.folder
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(reqwest::Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(reqwest::Method::POST, path, Some(body)).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// What the first start printed.
    pub(crate) fn first_password(&self) -> String {
        let first = self.running.ready.admin_password.clone().unwrap();
        first.reveal().to_owned()
    }

    /// As admin: status and body.
    pub(crate) async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        self.ask_as(&self.key, method, path, body).await
    }

    /// With a bearer: status and body.
    pub(crate) async fn ask_as(
        &self,
        bearer: &str,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(bearer);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.unwrap();
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    /// A new token.
    pub(crate) async fn token(&self, request: Value) -> burin_api::token::Token {
        let created = self.post("/api/v1/tokens", request).await;
        burin_api::token::Token::parse(created["token"].as_str().unwrap()).unwrap()
    }
}

/// How the suite starts a hub.
pub(crate) async fn arguments(folder: &Path) -> ServeArgs {
    ServeArgs {
        database: database::of(folder).await,
        data: folder.to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        public_url: None,
        tls_cert: None,
        tls_key: None,
        replace_after: Span(Duration::from_secs(600)),
        rekey_after: Span(Duration::from_secs(365 * 24 * 3600)),
        interval: None,
        claims_without_number: false,
        webhook: None,
        iso: Vec::new(),
        people: PeopleOptions::default(),
        patience: Patience {
            idle: Duration::from_secs(100),
            of_one_address: 10_000,
        },
    }
}

pub(crate) fn client(ca: &Path, from: Option<Ipv4Addr>) -> reqwest::Client {
    let ca = std::fs::read(ca).unwrap();
    reqwest::Client::builder()
        .tls_certs_only(reqwest::Certificate::from_pem_bundle(&ca).unwrap())
        .redirect(reqwest::redirect::Policy::none())
        .local_address(from.map(Into::into))
        .no_proxy()
        .build()
        .unwrap()
}

/// The folder of a second hub with the keys and certificates of a first one.
pub(crate) fn copy_of(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        if name != "lock" && !name.starts_with("hub.db") {
            std::fs::copy(file.path(), copy.path().join(name)).unwrap();
        }
    }
    copy
}
