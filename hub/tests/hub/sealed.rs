//! Secrets on their way to a host and from it, and at rest.

use burin_api::message::{Phase, SyncAnswer};
use burin_api::sealed::{HostSecrets, RegistryLogin, Sealed};
use burin_registry::{Access, Credentials, Registry};
use burin_seal::{Context, PrivateKey, Purpose};
use reqwest::Method;
use serde_json::{Value, json};

use crate::publishing::{GOOD, os};
use crate::support::Site;
use crate::support::browser::Browser;
use crate::support::debian_registry::{DebianRegistry, PASSWORD, USER};
use crate::support::host::{Host, code};

const K3S: &str = "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: QQ==\n    \
    server: https://127.0.0.1:6443\n  name: default\nkind: Config\nusers:\n- name: default\n  \
    user:\n    client-key-data: a3ViZWNvbmZpZy1jYW5hcnk=\n";

fn context<'a>(site: &'a Site, host: &'a Host, uid: &'a str, purpose: Purpose) -> Context<'a> {
    Context {
        purpose,
        hub_id: site.running.ready.root.trim_start_matches("sha256:"),
        host_uid: uid,
        session: match purpose {
            Purpose::HostSecrets => &host.session,
            Purpose::Kubeconfig => "",
        },
    }
}

/// A host that takes sealed secrets, with an open session; its uid, and the hub's own sealing key.
async fn sealing(site: &Site, token: Value) -> (Host, String, String) {
    let token = site.token(token).await;
    let mut host = Host::boot(site, "S1", "b1").await;
    host.sealing = Some(PrivateKey::generate());
    let uid = host.join(site, &token).await;
    let answer = host.open(site, &uid).await.unwrap();
    (host, uid, answer.sealing_key.unwrap())
}

/// What a host finds in an answer; none when it holds the newest.
fn secrets(site: &Site, host: &Host, uid: &str, answer: &SyncAnswer) -> Option<HostSecrets> {
    let sealed = &answer.secrets.as_ref()?.sealed;
    let key = host.sealing.as_ref().unwrap();
    let context = context(site, host, uid, Purpose::HostSecrets);
    Some(serde_json::from_slice(&key.open(&context, sealed).unwrap()).unwrap())
}

/// A sync that holds the secrets of the answer before.
async fn again(site: &Site, host: &mut Host, before: &SyncAnswer) -> SyncAnswer {
    let mut body = host.sync_body(Phase::Waiting);
    body.etag.clone_from(&before.etag);
    body.secrets = before.secrets.as_ref().map(|it| it.etag.clone());
    host.sync(site, &body).await.unwrap()
}

pub(crate) async fn give(site: &Site, registry: &str, password: &str) -> (u16, Value) {
    let path = format!("/api/v1/registries/{registry}/credentials");
    let body = json!({ "username": USER, "password": password });
    site.ask(Method::PUT, &path, Some(body)).await
}

fn profile(registry: &str) -> Value {
    json!({ "document": format!(
        "apiVersion: burin/v1\nkind: Profile\nmetadata: {{ name: edge, version: 1.0.0 }}\n\
         layers:\n  - os: {{ image: {registry}/os/debian:13 }}\n"
    ) })
}

/// What a host does with what it was told.
async fn read_as_host(ca: &str, login: &RegistryLogin) -> Result<String, String> {
    let access = Access {
        host: login.host.clone(),
        ca: vec![ca.to_owned()],
        credentials: Some(Credentials {
            username: login.username.clone(),
            password: login.password.clone(),
        }),
        ..Access::default()
    };
    let registry = Registry::new(access).unwrap();
    let found = registry.resolve("os/debian", "13").await;
    found.map_err(|err| err.to_string())
}

#[tokio::test]
async fn a_registry_with_a_password_serves_the_hub_and_the_hosts_of_its_release() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let registry = DebianRegistry::start().await;
    registry.push("os/debian", "13", &os(GOOD)).await;
    let entry = json!({ "host": registry.host, "ca": [registry.ca] });
    site.post("/api/v1/registries", entry.clone()).await;

    let publish = async || {
        let body = Some(profile(&registry.host));
        site.ask(Method::POST, "/api/v1/profiles", body).await
    };
    let (status, problem) = publish().await;
    assert_eq!(status, 502, "{problem}");
    assert!(problem.to_string().contains(&registry.host), "{problem}");
    assert_eq!(give(&site, &registry.host, "wrong-canary-1").await.0, 204);
    let (status, problem) = publish().await;
    assert_eq!(status, 502, "{problem}");
    let said = problem.to_string();
    assert!(said.contains(&registry.host), "{said}");
    assert!(!said.contains("wrong-canary-1"), "{said}");
    assert_eq!(give(&site, &registry.host, PASSWORD).await.0, 204);
    let (status, answer) = publish().await;
    assert_eq!(status, 201, "{answer}");

    // Of a registry that the release does not name the host learns nothing.
    site.post("/api/v1/registries", json!({ "host": "other.example" }))
        .await;
    assert_eq!(give(&site, "other.example", "other-canary").await.0, 204);
    let (mut host, uid, _) = sealing(&site, json!({ "profile": "edge" })).await;
    let body = host.sync_body(Phase::Waiting);
    let answer = host.sync(&site, &body).await.unwrap();
    let found = secrets(&site, &host, &uid, &answer).unwrap();
    let [login] = found.registries.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(
        (login.username.as_str(), login.password.as_str()),
        (USER, PASSWORD)
    );
    read_as_host(&registry.ca, login).await.unwrap();
    let mut wrong = login.clone();
    wrong.password = "wrong-canary-2".to_owned();
    let said = read_as_host(&registry.ca, &wrong).await.unwrap_err();
    assert!(
        said.contains(&registry.host) && !said.contains("wrong-canary-2"),
        "{said}"
    );

    // Listing it anew keeps the credentials and shows whose they are.
    site.post("/api/v1/registries", entry).await;
    let listed = site.get("/api/v1/registries").await;
    assert_eq!(listed[0]["username"], USER, "{listed}");
    assert!(!listed.to_string().contains("canary"), "{listed}");
}

#[tokio::test]
async fn a_host_hears_of_changed_credentials_once() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let registry = DebianRegistry::start().await;
    registry.push("os/debian", "13", &os(GOOD)).await;
    let entry = json!({ "host": registry.host, "ca": [registry.ca] });
    site.post("/api/v1/registries", entry).await;
    assert_eq!(give(&site, &registry.host, PASSWORD).await.0, 204);
    site.post("/api/v1/profiles", profile(&registry.host)).await;

    let (mut host, uid, _) = sealing(&site, json!({ "profile": "edge" })).await;
    let body = host.sync_body(Phase::Waiting);
    let first = host.sync(&site, &body).await.unwrap();
    assert!(again(&site, &mut host, &first).await.secrets.is_none());
    assert_eq!(give(&site, &registry.host, "another-one").await.0, 204);
    let second = again(&site, &mut host, &first).await;
    let found = secrets(&site, &host, &uid, &second).unwrap();
    assert_eq!(found.registries[0].password, "another-one");
    let path = format!("/api/v1/registries/{}/credentials", registry.host);
    assert_eq!(site.ask(Method::DELETE, &path, None).await.0, 204);
    assert_eq!(site.ask(Method::DELETE, &path, None).await.0, 404);
    let third = again(&site, &mut host, &second).await;
    let found = secrets(&site, &host, &uid, &third).unwrap();
    assert!(found.registries.is_empty(), "{found:?}");

    // Another session holds nothing yet, and what was sealed to this one does not open there.
    let sealed = second.secrets.unwrap().sealed;
    host.open(&site, &uid).await.unwrap();
    let context = context(&site, &host, &uid, Purpose::HostSecrets);
    let key = host.sealing.as_ref().unwrap();
    assert!(key.open(&context, &sealed).is_err());

    // A host that takes no secrets gets none.
    host.sealing = None;
    host.open(&site, &uid).await.unwrap();
    let body = host.sync_body(Phase::Waiting);
    let answer = host.sync(&site, &body).await.unwrap();
    assert!(answer.desired.is_some() && answer.secrets.is_none());
}

#[tokio::test]
async fn credentials_that_could_be_read_on_the_way_are_refused() {
    let site = Site::start().await;
    let plain = json!({ "host": "plain.example", "plain_http": true });
    site.post("/api/v1/registries", plain).await;
    site.post("/api/v1/registries", json!({ "host": "tls.example" }))
        .await;
    assert_eq!(give(&site, "plain.example", PASSWORD).await.0, 409);
    assert_eq!(give(&site, "absent.example", PASSWORD).await.0, 404);
    for bad in ["", "two\nlines", &"x".repeat(1025)] {
        let (status, problem) = give(&site, "tls.example", bad).await;
        assert_eq!(status, 422, "{problem}");
        assert!(bad.is_empty() || !problem.to_string().contains(bad));
    }
    assert_eq!(give(&site, "tls.example", PASSWORD).await.0, 204);
    let plain = json!({ "host": "tls.example", "plain_http": true });
    let (status, problem) = site
        .ask(Method::POST, "/api/v1/registries", Some(plain))
        .await;
    assert_eq!(status, 409, "{problem}");
    // A registry that is listed again begins without the credentials of before.
    let path = "/api/v1/registries/tls.example";
    assert_eq!(site.ask(Method::DELETE, path, None).await.0, 204);
    site.post("/api/v1/registries", json!({ "host": "tls.example" }))
        .await;
    let listed = site.get("/api/v1/registries").await;
    assert!(!listed.to_string().contains(USER), "{listed}");
}

#[tokio::test]
async fn a_sealing_key_that_seals_nothing_opens_no_session() {
    let site = Site::start().await;
    let (host, uid, _) = sealing(&site, json!({})).await;
    for bad in ["", "zz", &"00".repeat(32), &"ab".repeat(33)] {
        let nonce = host.nonce(&site).await;
        let envelope = host.seal_session_with(nonce, &uid, Some(bad)).unwrap();
        let refused = host
            .send::<burin_api::message::SessionAnswer>(&site, "session", &envelope)
            .await;
        assert_eq!(code(refused), "bad_request", "{bad:?}");
    }
}

/// A host that has sent its kubeconfig.
pub(crate) async fn with_kubeconfig(site: &Site) -> (Host, String) {
    let (mut host, uid, key) = sealing(site, json!({})).await;
    let context = context(site, &host, &uid, Purpose::Kubeconfig);
    let key: burin_seal::PublicKey = key.parse().unwrap();
    let sealed = key.seal(&context, K3S.as_bytes()).unwrap();
    let mut body = host.sync_body(Phase::Running);
    body.kubeconfig = Some(sealed);
    host.sync(site, &body).await.unwrap();
    (host, uid)
}

#[tokio::test]
async fn a_kubeconfig_comes_out_with_the_hosts_address_and_an_audit_row() {
    let site = Site::start().await;
    let token = site.token(json!({})).await;
    let mut none = Host::boot(&site, "S0", "b0").await;
    let without = none.join(&site, &token).await;
    none.open(&site, &without).await.unwrap();
    let (_, uid) = with_kubeconfig(&site).await;
    let path = |uid: &str| format!("/api/v1/hosts/{uid}/kubeconfig");

    let (status, _) = site
        .ask(Method::POST, &path(&without), Some(json!({})))
        .await;
    assert_eq!(status, 404);
    let answer = site.post(&path(&uid), json!({})).await;
    assert_eq!(answer["server"], "https://127.0.0.1:6443");
    let text = answer["kubeconfig"].as_str().unwrap();
    assert!(text.contains("a3ViZWNvbmZpZy1jYW5hcnk="), "{text}");
    let elsewhere = json!({ "address": "edge.example:16443" });
    let answer = site.post(&path(&uid), elsewhere).await;
    assert_eq!(answer["server"], "https://edge.example:16443");
    let bad = json!({ "address": "https://edge.example/" });
    assert_eq!(site.ask(Method::POST, &path(&uid), Some(bad)).await.0, 422);

    for (role, want) in [("operator", 200), ("technician", 403), ("viewer", 403)] {
        let made = json!({ "name": role, "role": role });
        let key = site.post("/api/v1/api-keys", made).await;
        let key = key["key"].as_str().unwrap();
        let path = path(&uid);
        let asked = site.ask_as(key, Method::POST, &path, Some(json!({})));
        assert_eq!(asked.await.0, want, "{role}");
    }
    let mut browser = Browser::admin(&site).await;
    let page = browser.get(&format!("/hosts/{uid}")).await;
    assert!(page.text.contains("Download the kubeconfig"));
    let file = browser
        .post(&format!("/hosts/{uid}/kubeconfig"), &[("address", "")])
        .await;
    assert_eq!(file.status, 200, "{}", file.text);
    assert!(file.text.contains("server: https://127.0.0.1:6443"));
    assert_eq!(
        file.headers["content-disposition"],
        "attachment; filename=\"ID-S1.kubeconfig\""
    );
    assert_eq!(file.headers["cache-control"], "no-store");
    let log = site.get("/api/v1/audit").await.to_string();
    assert_eq!(log.matches("host.kubeconfig").count(), 4, "{log}");
}

#[tokio::test]
async fn a_kubeconfig_that_does_not_open_or_does_not_fit_is_refused() {
    let site = Site::start().await;
    let (mut host, uid) = with_kubeconfig(&site).await;
    for (enc, bytes) in [(44, 24 * 1024 + 1), (43, 16), (45, 16)] {
        let mut body = host.sync_body(Phase::Running);
        body.kubeconfig = Some(Sealed {
            enc: "A".repeat(enc),
            ciphertext: "A".repeat(bytes),
        });
        assert_eq!(code(host.sync(&site, &body).await), "bad_request");
    }
    let folder = site.stop().await;
    std::fs::remove_file(folder.path().join("secrets.key")).unwrap();
    let site = Site::at(folder, |_| {}).await;
    let path = format!("/api/v1/hosts/{uid}/kubeconfig");
    let (status, problem) = site.ask(Method::POST, &path, Some(json!({}))).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem.to_string().contains("secrets.key"), "{problem}");
}
