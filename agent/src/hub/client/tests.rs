//! A server that breaks off, and what the console says of it.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::machine::clock::Kernel;

/// Where the server leaves, and how.
#[derive(Debug, Clone, Copy)]
enum Leaves {
    /// Instead of its part of the handshake.
    Handshake,
    /// After these bytes of an answer, without a word of TLS: as when its process is killed.
    Killed(&'static str),
    /// After these bytes of an answer, with TLS closed by its rules.
    Closed(&'static str),
}

/// Serves one connection on loopback: the settings of a host that calls it, and the server.
async fn server(leaves: Leaves) -> (HubSettings, tokio::task::JoinHandle<()>) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = HubSettings {
        url: format!("https://{}", listener.local_addr().unwrap()),
        ca: vec![made.cert.pem()],
        ..HubSettings::default()
    };
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let serve = async move {
        let (socket, _) = listener.accept().await.unwrap();
        answer(socket, acceptor, leaves).await;
    };
    (settings, tokio::spawn(serve))
}

async fn answer(mut socket: TcpStream, acceptor: TlsAcceptor, leaves: Leaves) {
    let (Leaves::Killed(said) | Leaves::Closed(said)) = leaves else {
        // What was not read would make the kernel reset the connection.
        let mut greeting = [0; 16 << 10];
        assert_ne!(socket.read(&mut greeting).await.unwrap(), 0);
        return;
    };
    let mut tls = acceptor.accept(socket).await.unwrap();
    let mut asked = Vec::new();
    while !asked.ends_with(b"}") {
        assert_ne!(tls.read_buf(&mut asked).await.unwrap(), 0);
    }
    tls.write_all(said.as_bytes()).await.unwrap();
    tls.flush().await.unwrap();
    if matches!(leaves, Leaves::Closed(_)) {
        tls.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_hub_that_breaks_off_is_told_without_words_of_libraries() {
    let head = "HTTP/1.1 200 OK\r\ncontent-le";
    let body = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"payload\":";
    let early = "the hub does not answer: it closed the connection before its answer was complete.";
    for (leaves, want) in [
        (
            Leaves::Handshake,
            "the hub does not answer: it closed the connection before TLS was set up.",
        ),
        (Leaves::Killed(""), early),
        (Leaves::Killed(head), early),
        (Leaves::Killed(body), early),
        (Leaves::Closed(""), early),
        (Leaves::Closed(head), early),
        (Leaves::Closed(body), early),
    ] {
        let (settings, serving) = server(leaves).await;
        let clock: Arc<dyn Clock> = Arc::new(Kernel);
        let here = Here {
            settings: &settings,
            root: Path::new("/nonexistent"),
            clock: &clock,
            floor: 0,
        };
        let client = Client::new(&here, &settings.url, Dates::Checked).unwrap();
        let problem = client.hello(Anchor::FirstContact).await.unwrap_err();
        let text = problem.text();
        assert!(text.starts_with(want), "{leaves:?}: {text}");
        assert!(!text.contains("rustls"), "{leaves:?}: {text}");
        assert!(
            text.ends_with(
                "Check that the hub runs, and the network, firewall and proxy on the way to it."
            ),
            "{text}"
        );
        serving.await.unwrap();
    }
}
