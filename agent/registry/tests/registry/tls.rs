//! A registry whose TLS cannot work is told at once, with what to do; one that breaks off is asked again.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use burin_registry::{Access, Cause, Error, Registry, Retry};
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Reply, Server};

/// A certificate for loopback that is its own root: PEM and server settings.
pub(crate) fn certificate() -> (String, Arc<ServerConfig>) {
    signed(CertificateParams::new(["127.0.0.1".to_owned()]).unwrap())
}

fn signed(params: CertificateParams) -> (String, Arc<ServerConfig>) {
    let key = KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.der().clone()], key)
        .unwrap();
    (made.pem(), Arc::new(config))
}

/// Asks a registry for a tag: the error, and how often it was asked again.
async fn ask(address: &str, ca: &[String]) -> (Result<String, Error>, u32) {
    let repeated = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&repeated);
    let retry = Retry {
        attempts: 3,
        stall: Duration::from_secs(5),
        delay: Arc::new(|_| Duration::from_millis(1)),
        report: Arc::new(move |_, _| {
            counter.fetch_add(1, Ordering::SeqCst);
        }),
    };
    let access = Access {
        host: address.to_owned(),
        ca: ca.to_vec(),
        ..Access::default()
    };
    let registry = Registry::new(access).unwrap().with_retry(retry);
    let answer = registry.resolve("os/test", "13").await;
    (answer, repeated.load(Ordering::SeqCst))
}

async fn refused_at_once(address: &str, ca: &[String], says: &str) {
    let (answer, repeated) = ask(address, ca).await;
    let error = answer.unwrap_err();
    assert!(matches!(error.cause, Cause::Tls(_)), "{error}");
    assert!(error.to_string().contains(says), "{error}");
    assert!(error.to_string().contains(address), "{error}");
    assert_eq!(repeated, 0, "repeating cannot help: {error}");
}

/// A server for plain HTTP, which answers to anything, as those of Go do.
async fn without_tls() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut greeting = [0; 16 << 10];
            if socket.read(&mut greeting).await.is_ok() {
                // The client may have gone.
                drop(socket.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").await);
            }
        }
    });
    address
}

#[tokio::test]
async fn tls_that_cannot_work_is_told_at_once_with_what_to_do() {
    refused_at_once(&without_tls().await, &[], "list it so: `--plain-http`").await;

    let (_, tls) = certificate();
    let stranger = Server::start_tls(tls, |_, _| Reply::status(404)).await;
    refused_at_once(&stranger.address, &[], "give its authority: `--ca`").await;

    let (pem, tls) = signed(CertificateParams::new(["registry.example".to_owned()]).unwrap());
    let renamed = Server::start_tls(tls, |_, _| Reply::status(404)).await;
    refused_at_once(&renamed.address, &[pem], "for another name").await;

    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let (pem, tls) = signed(params);
    let late = Server::start_tls(tls, |_, _| Reply::status(404)).await;
    refused_at_once(&late.address, &[pem], "renew it, or set the clock").await;
}

#[tokio::test]
async fn a_handshake_that_is_broken_off_is_begun_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let met = Arc::new(Mutex::new(0));
    let count = Arc::clone(&met);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            *count.lock().unwrap() += 1;
            let mut greeting = [0; 16 << 10];
            drop(socket.read(&mut greeting).await);
        }
    });
    let (answer, repeated) = ask(&address, &[]).await;
    let error = answer.unwrap_err();
    assert!(matches!(error.cause, Cause::Connection(_)), "{error}");
    assert!(
        error.to_string().contains("closed the connection"),
        "{error}"
    );
    assert_eq!((repeated, *met.lock().unwrap()), (2, 3));
}
