//! A host's connection to the hub: TLS from an address of its own, HTTP/1.1, kept open between
//! calls for as long as the agent's client keeps it. Its bytes are counted.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context as Task, Poll, ready};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use burin_api::dsse::{Envelope, MAX_ANSWER};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use super::tally::Tally;

/// As the agent's client waits for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// After which reqwest, the agent's client, closes a connection that nobody uses.
const IDLE_TIME: Duration = Duration::from_secs(90);

/// TLS for hosts that trust the authority in `ca`.
///
/// # Errors
/// A file that is missing or holds no certificate.
pub(super) fn trust(ca: &Path) -> Result<ClientConfig> {
    let doing = || format!("reading {}", ca.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).with_context(doing)? {
        roots.add(certificate.with_context(doing)?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// The way of one host to the hub.
pub(super) struct Way {
    from: Ipv4Addr,
    hub: SocketAddr,
    tls: TlsConnector,
    tally: Arc<Tally>,
    open: Option<Open>,
}

struct Open {
    sender: SendRequest<Full<Bytes>>,
    used: Instant,
}

impl Way {
    /// No connection is made before the first call.
    pub(super) fn new(
        from: Ipv4Addr,
        hub: SocketAddr,
        trust: &ClientConfig,
        tally: Arc<Tally>,
    ) -> Self {
        let mut config = trust.clone();
        // A host can resume its own sessions, not those of others.
        config.resumption = Resumption::in_memory_sessions(2);
        Self {
            from,
            hub,
            tls: TlsConnector::from(Arc::new(config)),
            tally,
            open: None,
        }
    }

    /// Posts `body` and returns whether the status was success, and the answer.
    ///
    /// # Errors
    /// No connection, no answer in time, or not an answer of a hub.
    pub(super) async fn call(&mut self, message: &str, body: Vec<u8>) -> Result<(bool, Envelope)> {
        let asked = self.ask(message, body);
        let answer = tokio::time::timeout(ANSWER_TIME, asked).await;
        answer.with_context(|| format!("no answer to {message} in time"))?
    }

    async fn ask(&mut self, message: &str, body: Vec<u8>) -> Result<(bool, Envelope)> {
        let good = |open: &Open| !open.sender.is_closed() && open.used.elapsed() < IDLE_TIME;
        let mut sender = match self.open.take().filter(good) {
            Some(open) => open.sender,
            None => self.connect().await?,
        };
        sender.ready().await.context("waiting for the connection")?;
        let request = Request::post(format!("/h/1/{message}"))
            .header("content-type", "application/json")
            .header("accept", "*/*")
            .header("user-agent", concat!("burin/", env!("CARGO_PKG_VERSION")))
            .header("host", self.hub.to_string())
            .body(Full::from(body))?;
        let answer = sender.send_request(request).await.context("asking")?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|err| anyhow::anyhow!("reading the answer: {err}"))?;
        let used = Instant::now();
        self.open = Some(Open { sender, used });
        let envelope = serde_json::from_slice(&body.to_bytes())
            .with_context(|| format!("status {status}, and not what a hub says"))?;
        Ok((status.is_success(), envelope))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let socket = TcpSocket::new_v4().context("making a socket")?;
        socket
            .bind((self.from, 0).into())
            .with_context(|| format!("calling from {}", self.from))?;
        let stream = socket.connect(self.hub).await.context("connecting")?;
        stream.set_nodelay(true).context("preparing a connection")?;
        let stream = Counted {
            stream,
            tally: Arc::clone(&self.tally),
        };
        let name = ServerName::IpAddress(self.hub.ip().into());
        let stream = self.tls.connect(name, stream).await.context("TLS")?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(err) = connection.await {
                tracing::debug!("a connection broke: {err}");
            }
        });
        self.tally.count(|counts| counts.connections += 1);
        Ok(sender)
    }
}

/// Counts what passes.
struct Counted {
    stream: TcpStream,
    tally: Arc<Tally>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(task, buffer))?;
        let bytes = buffer.filled().len() - before;
        self.tally
            .received
            .fetch_add(bytes as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buffer: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let bytes = ready!(Pin::new(&mut self.stream).poll_write(task, buffer))?;
        self.tally.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        Poll::Ready(Ok(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}
