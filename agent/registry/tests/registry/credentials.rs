//! Where credentials go: to the registry and its pinned token service, never to anybody else.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{GZIP, Reply, Server, gzip, noise, pull, spec};
use crate::tls::certificate;
use base64::Engine;
use burin_registry::{Access, Cause, Credentials, Error, Registry, Retry};

const USER: &str = "fleet-user";
const PASSWORD: &str = "correct-horse-battery";
const TOKEN: &str = "token-5f3a77";

fn registry(access: Access) -> Registry {
    let credentials = Credentials {
        username: USER.into(),
        password: PASSWORD.into(),
    };
    let retry = Retry {
        attempts: 2,
        stall: Duration::from_secs(5),
        delay: Arc::new(|_| Duration::from_millis(1)),
        report: Arc::new(|_, _| {}),
    };
    Registry::new(Access {
        credentials: Some(credentials),
        ..access
    })
    .unwrap()
    .with_retry(retry)
}

fn basic() -> String {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    format!("Basic {pair}")
}

/// Nothing that was sent there helps to log in anywhere.
fn assert_heard_nothing_secret(stranger: &Server) {
    let heard = stranger.heard();
    let lower = heard.to_lowercase();
    for secret in [
        USER,
        PASSWORD,
        TOKEN,
        &basic()[6..],
        "authorization",
        "cookie",
    ] {
        assert!(
            !lower.contains(&secret.to_lowercase()),
            "the stranger heard {secret:?} in {heard}"
        );
    }
}

fn has_header(head: &str, value: &str) -> bool {
    head.lines()
        .any(|line| line.to_lowercase().starts_with("authorization:") && line.ends_with(value))
}

#[tokio::test]
async fn basic_login_goes_to_the_registry_only_when_it_asks() {
    let (pem, tls) = certificate();
    let tar = noise(5000);
    let blob = gzip(&tar);
    let served = blob.clone();
    let server = Server::start_tls(tls, move |request, _| {
        if has_header(&request.head, &basic()) {
            Reply::ok(&served)
        } else {
            Reply::status(401).with("WWW-Authenticate", "Basic realm=\"x\"")
        }
    })
    .await;
    let registry = registry(Access {
        host: server.address.clone(),
        ca: vec![pem],
        ..Access::default()
    });
    assert_eq!(
        pull(&registry, &spec(&blob, &tar, GZIP)).await.unwrap(),
        tar
    );
    assert!(
        !server.requests()[0]
            .head
            .to_lowercase()
            .contains("authorization"),
        "unasked"
    );
    assert_eq!(
        pull(&registry, &spec(&blob, &tar, GZIP)).await.unwrap(),
        tar
    );
    assert_eq!(server.requests().len(), 3, "the login is remembered");
}

#[tokio::test]
async fn a_token_comes_from_the_pinned_service_and_goes_to_the_registry() {
    let (realm_pem, realm_tls) = certificate();
    let (pem, tls) = certificate();
    let service = Server::start_tls(realm_tls, |request, _| {
        assert!(has_header(&request.head, &basic()), "{}", request.head);
        assert_eq!(
            request.path,
            "/auth?service=reg&scope=repository%3Aos%2Ftest%3Apull"
        );
        Reply::ok(format!("{{\"token\":\"{TOKEN}\"}}").as_bytes())
    })
    .await;
    let realm = format!("https://{}/auth", service.address);
    let tar = noise(5000);
    let blob = gzip(&tar);
    let (served, asked) = (
        blob.clone(),
        format!("Bearer realm=\"{realm}\",service=\"reg\",scope=\"repository:other:push\""),
    );
    let server = Server::start_tls(tls, move |request, _| {
        if has_header(&request.head, TOKEN) {
            Reply::ok(&served)
        } else {
            Reply::status(401).with("WWW-Authenticate", &asked)
        }
    })
    .await;
    let registry = registry(Access {
        host: server.address.clone(),
        ca: vec![pem, realm_pem],
        token_realm: Some(realm),
        ..Access::default()
    });
    assert_eq!(
        pull(&registry, &spec(&blob, &tar, GZIP)).await.unwrap(),
        tar
    );
    assert!(
        !server.heard().contains(&basic()),
        "a registry with a token service needs no password"
    );
}

#[tokio::test]
async fn a_stranger_at_the_end_of_a_redirect_hears_no_secret() {
    let (pem, tls) = certificate();
    let (stranger_pem, stranger_tls) = certificate();
    let tar = noise(5000);
    let blob = gzip(&tar);
    let served = blob.clone();
    let stranger = Server::start_tls(stranger_tls, move |_, _| Reply::ok(&served)).await;
    let target = format!("https://{}/signed?key=1", stranger.address);
    let server = Server::start_tls(tls, move |request, _| {
        if has_header(&request.head, &basic()) {
            Reply::status(307).with("Location", &target)
        } else {
            Reply::status(401).with("WWW-Authenticate", "Basic realm=\"x\"")
        }
    })
    .await;
    let registry = registry(Access {
        host: server.address.clone(),
        ca: vec![pem, stranger_pem],
        ..Access::default()
    });
    assert_eq!(
        pull(&registry, &spec(&blob, &tar, GZIP)).await.unwrap(),
        tar
    );
    assert_eq!(stranger.requests().len(), 1, "the redirect was followed");
    assert_heard_nothing_secret(&stranger);
}

#[tokio::test]
async fn a_stranger_that_asks_for_a_login_hears_no_secret() {
    let (pem, tls) = certificate();
    let (stranger_pem, stranger_tls) = certificate();
    let stranger = Server::start_tls(stranger_tls, |_, _| {
        Reply::status(401).with("WWW-Authenticate", "Basic realm=\"x\"")
    })
    .await;
    let target = format!("https://{}/blob", stranger.address);
    let server = Server::start_tls(tls, move |_, _| {
        Reply::status(302).with("Location", &target)
    })
    .await;
    let registry = registry(Access {
        host: server.address.clone(),
        ca: vec![pem, stranger_pem],
        ..Access::default()
    });
    let error = pull(&registry, &spec(b"x", b"x", GZIP)).await.unwrap_err();
    assert!(error.to_string().contains("access denied"), "{error}");
    assert_eq!(stranger.requests().len(), 1);
    assert_heard_nothing_secret(&stranger);
}

#[tokio::test]
async fn a_realm_that_is_not_listed_is_never_even_called() {
    let (pem, tls) = certificate();
    let (stranger_pem, stranger_tls) = certificate();
    let stranger = Server::start_tls(stranger_tls, |_, _| Reply::ok(b"{\"token\":\"x\"}")).await;
    let asked = format!(
        "Bearer realm=\"https://{}/auth\",service=\"s\"",
        stranger.address
    );
    let server = Server::start_tls(tls, move |_, _| {
        Reply::status(401).with("WWW-Authenticate", &asked)
    })
    .await;
    let registry = registry(Access {
        host: server.address.clone(),
        ca: vec![pem, stranger_pem],
        token_realm: Some("https://auth.example/token".into()),
        ..Access::default()
    });
    let error = pull(&registry, &spec(b"x", b"x", GZIP)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("neither the registry nor its listed token realm"),
        "{error}"
    );
    assert_eq!(stranger.heard(), "");
}

#[tokio::test]
async fn plain_http_never_carries_a_password() {
    let server = Server::start(|request, _| {
        if request.path.starts_with("/v2/") {
            Reply::status(401).with("WWW-Authenticate", "Basic realm=\"x\"")
        } else {
            Reply::status(404)
        }
    })
    .await;
    let registry = registry(Access {
        host: server.address.clone(),
        plain_http: true,
        ..Access::default()
    });
    let error = pull(&registry, &spec(b"x", b"x", GZIP)).await.unwrap_err();
    assert!(error.to_string().contains("over plain HTTP"), "{error}");
    assert_heard_nothing_secret(&server);
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_refused() {
    let (pem, tls) = certificate();
    let stranger = Server::start(|_, _| Reply::ok(b"x")).await;
    let target = format!("http://{}/blob", stranger.address);
    let server = Server::start_tls(tls, move |_, _| {
        Reply::status(302).with("Location", &target)
    })
    .await;
    let registry = registry(Access {
        host: server.address.clone(),
        ca: vec![pem],
        ..Access::default()
    });
    let error = pull(&registry, &spec(b"x", b"x", GZIP)).await.unwrap_err();
    let cause = &error
        .get_ref()
        .and_then(|e| e.downcast_ref::<Error>())
        .unwrap()
        .cause;
    assert!(matches!(cause, Cause::Refused(_)), "{error}");
    assert_eq!(stranger.heard(), "");
}

#[test]
fn credentials_do_not_show_in_debug_output() {
    let access = Access {
        credentials: Some(Credentials {
            username: USER.into(),
            password: PASSWORD.into(),
        }),
        proxy: Some(burin_registry::Proxy {
            https: Some(format!("http://u:{PASSWORD}@p/")),
            ..Default::default()
        }),
        ..Access::default()
    };
    let shown = format!("{access:?}");
    assert!(
        !shown.contains(PASSWORD) && !shown.contains(USER),
        "{shown}"
    );
}
