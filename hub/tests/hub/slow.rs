//! Callers that hold a connection and say little: the hub ends them and serves the others.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::Site;

/// Far above what anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

pub(crate) async fn impatient() -> Site {
    Site::with(|args| {
        args.patience.idle = Duration::from_secs(1);
        args.patience.of_one_address = 5;
    })
    .await
}

fn connect(site: &Site) -> TcpStream {
    let stream = TcpStream::connect(site.running.ready.listen).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

pub(crate) fn secure(site: &Site) -> Tls {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&site.running.ready.ca).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::from(site.running.ready.listen.ip());
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(tls, connect(site))
}

/// Everything until the hub ends the connection; it must not leave it open.
pub(crate) fn rest(stream: &mut impl std::io::Read) -> String {
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        // Without a farewell of TLS, or with a reset: over is over.
        Err(err) => assert!(
            matches!(
                err.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
            ),
            "{err}"
        ),
    }
    String::from_utf8_lossy(&said).into_owned()
}

pub(crate) async fn works(site: &Site) {
    let http = site.client_from(Ipv4Addr::new(127, 0, 14, 1));
    let health = http.get(format!("{}/health", site.url)).send().await;
    assert_eq!(health.unwrap().status().as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_sends_no_whole_request_head_is_hung_up_on() {
    let site = impatient().await;
    for begun in ["", "POST /h/1/hello HTTP/1.1\r\nhost: hub\r\nx-slow: "] {
        let mut stream = secure(&site);
        stream.write_all(begun.as_bytes()).unwrap();
        stream.flush().unwrap();
        let said = tokio::task::spawn_blocking(move || rest(&mut stream));
        let said = said.await.unwrap();
        assert!(!said.contains(" 200 "), "{said}");
    }
    works(&site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_off_is_answered_and_costs_nothing() {
    let site = impatient().await;
    let mut stream = secure(&site);
    let head = "POST /h/1/hello HTTP/1.1\r\nhost: hub\r\ncontent-length: 900\r\n\r\n{\"host";
    stream.write_all(head.as_bytes()).unwrap();
    stream.flush().unwrap();
    // The other direction stays open.
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
    let said = tokio::task::spawn_blocking(move || rest(&mut stream));
    let said = said.await.unwrap();
    assert!(said.is_empty() || said.contains(" 400 "), "{said}");
    works(&site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_gets_so_many_connections_and_leaves_the_rest_to_others() {
    let site = impatient().await;
    let held: Vec<TcpStream> = (0..5).map(|_| connect(&site)).collect();
    // The hub takes connections in their order, and says nothing before a client has.
    let mut more = connect(&site);
    let said = tokio::task::spawn_blocking(move || rest(&mut more));
    assert_eq!(said.await.unwrap(), "");
    works(&site).await;

    drop(held);
    let again = tokio::time::timeout(DEADLINE, async {
        loop {
            let health = site.http.get(format!("{}/health", site.url)).send().await;
            if health.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
        }
    });
    again.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_used_stays() {
    let site = impatient().await;
    // Read: what a client that keeps its connection sees.
    for _ in 0..3 {
        let health = site.http.get(format!("{}/health", site.url)).send().await;
        assert_eq!(health.unwrap().status().as_u16(), 200);
    }
    let mut greedy = [0; 1];
    let mut idle = connect(&site);
    idle.set_nonblocking(true).unwrap();
    let open = idle.read(&mut greedy).unwrap_err();
    assert_eq!(open.kind(), ErrorKind::WouldBlock);
}
