//! A registry that misbehaves: passes requests on to a real one, and cuts, refuses or slows blobs.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

use crate::{pki::ServerFiles, registry::Registry};

/// Longest head of a request or an answer.
const HEAD: usize = 64 * 1024;
/// How long the other side may be silent.
const SILENCE: Duration = Duration::from_secs(120);

/// What happens to requests for blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is cut after so many bytes of the body.
    CutAfter(u64),
    /// 429 with `Retry-After` in seconds.
    TooMany(u32),
    /// The connection is closed before any answer.
    Refuse,
    /// So many bytes a second.
    Slow(u64),
}

/// A request for a blob as it came, and what was done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The request line.
    pub request: String,
    /// First byte asked for by a `Range`; 0 without one.
    pub from: u64,
    pub fault: Option<Fault>,
    /// Bytes of the body that were passed on.
    pub sent: u64,
}

#[derive(Debug, Default)]
struct State {
    /// The fault and how many more requests it hits.
    plan: Option<(Fault, u32)>,
    seen: Vec<Seen>,
}

#[derive(Debug)]
struct Shared {
    upstream: u16,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    state: Mutex<State>,
}

/// The proxy; it ends when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
    stop: Option<mpsc::Sender<()>>,
}

impl FaultProxy {
    /// Listens on loopback, with the certificate of `registry`, and passes on to it. `port` 0 is any.
    ///
    /// # Errors
    /// When a certificate cannot be read or the port not be opened.
    pub fn start(registry: &Registry, port: u16) -> Result<Self> {
        let listener =
            TcpListener::bind(("127.0.0.1", port)).context("opening the proxy's port")?;
        let port = listener.local_addr().context("asking for the port")?.port();
        let (server, client) = tls(registry.tls())?;
        let shared = Arc::new(Shared {
            upstream: registry.port(),
            server,
            client,
            state: Mutex::default(),
        });
        let (stop, stopped) = mpsc::channel();
        let worker = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.try_recv() != Err(mpsc::TryRecvError::Empty) {
                    break;
                }
                let shared = Arc::clone(&worker);
                std::thread::spawn(move || {
                    if let Err(error) = serve(stream, &shared) {
                        tracing::debug!("proxy: {error:#}");
                    }
                });
            }
        });
        Ok(Self {
            port,
            shared,
            stop: Some(stop),
        })
    }

    /// Port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Hits the next `times` requests for blobs with `fault`.
    pub fn plan(&self, fault: Fault, times: u32) {
        self.shared.lock().plan = Some((fault, times));
    }

    /// Every request for a blob so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().seen.clone()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.stop = None;
        // The listener looks at its stop only when somebody knocks.
        if let Err(error) = TcpStream::connect(("127.0.0.1", self.port)) {
            tracing::warn!("ending the proxy: {error}");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request for a blob; its number and what is to happen to it.
    fn note(&self, head: &str) -> Option<(usize, Option<Fault>)> {
        let request = head.lines().next().unwrap_or_default();
        if !(request.starts_with("GET ") && request.contains("/blobs/sha256:")) {
            return None;
        }
        let mut state = self.lock();
        let fault = match &mut state.plan {
            Some((fault, times)) if *times > 0 => {
                *times -= 1;
                Some(*fault)
            }
            _ => None,
        };
        state.seen.push(Seen {
            request: request.to_owned(),
            from: range_start(head),
            fault,
            sent: 0,
        });
        Some((state.seen.len() - 1, fault))
    }
}

/// Server side with the registry's certificate, client side trusting the same authority.
fn tls(files: &ServerFiles) -> Result<(Arc<ServerConfig>, Arc<ClientConfig>)> {
    let read = |path: &Path| -> Result<CertificateDer<'static>> {
        CertificateDer::from_pem_file(path).with_context(|| format!("reading {}", path.display()))
    };
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("reading {}", files.key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .context("choosing TLS versions")?
        .with_no_client_auth()
        .with_single_cert(vec![read(&files.certificate)?], key)
        .context("using the proxy's certificate")?;
    let mut roots = RootCertStore::empty();
    roots
        .add(read(&files.ca)?)
        .context("trusting the registry's authority")?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("choosing TLS versions")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((Arc::new(server), Arc::new(client)))
}

/// One request, one answer: the connection is closed after it, so that nothing has to be counted.
fn serve(stream: TcpStream, shared: &Shared) -> Result<()> {
    stream
        .set_read_timeout(Some(SILENCE))
        .context("limiting silence")?;
    let raw = stream.try_clone().context("copying a connection")?;
    let server = ServerConnection::new(Arc::clone(&shared.server)).context("starting TLS")?;
    let mut down = StreamOwned::new(server, stream);
    let head = read_head(&mut down)?;
    let noted = shared.note(&head);
    let fault = noted.and_then(|(_, fault)| fault);
    match fault {
        Some(Fault::Refuse) => return raw.shutdown(Shutdown::Both).context("refusing"),
        Some(Fault::TooMany(seconds)) => {
            let answer = format!(
                "HTTP/1.1 429 Too Many Requests\r\nRetry-After: {seconds}\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n"
            );
            return finish(&mut down, answer.as_bytes());
        }
        _ => {}
    }
    let mut up = connect(shared)?;
    up.write_all(closing(&head).as_bytes())
        .context("passing the request on")?;
    let answer = read_head(&mut up)?;
    down.write_all(answer.as_bytes())
        .context("passing the answer back")?;
    let sent = pass_body(&mut up, &mut down, fault);
    if let Some((number, _)) = noted {
        shared.lock().seen[number].sent = sent;
    }
    if matches!(fault, Some(Fault::CutAfter(_))) {
        // Without TLS's own goodbye, as a cable that is pulled.
        return raw.shutdown(Shutdown::Both).context("cutting");
    }
    finish(&mut down, &[])
}

fn connect(shared: &Shared) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let stream =
        TcpStream::connect(("127.0.0.1", shared.upstream)).context("reaching the registry")?;
    stream
        .set_read_timeout(Some(SILENCE))
        .context("limiting silence")?;
    let name = ServerName::try_from("127.0.0.1").context("naming the registry")?;
    let client = ClientConnection::new(Arc::clone(&shared.client), name).context("starting TLS")?;
    Ok(StreamOwned::new(client, stream))
}

/// Copies the body; ends early without an error when either side does. Returns the bytes sent.
fn pass_body(up: &mut impl Read, down: &mut impl Write, fault: Option<Fault>) -> u64 {
    let mut sent = 0;
    let mut buffer = vec![0; 64 * 1024];
    // Never sent to: waiting on it is a pause.
    let (_quiet, pause) = mpsc::channel::<()>();
    while let Ok(got @ 1..) = up.read(&mut buffer) {
        let mut part = &buffer[..got];
        if let Some(Fault::CutAfter(limit)) = fault {
            let left = usize::try_from(limit - sent).unwrap_or(usize::MAX);
            part = &part[..part.len().min(left)];
        }
        if down.write_all(part).and_then(|()| down.flush()).is_err() {
            break;
        }
        sent += part.len() as u64;
        match fault {
            Some(Fault::CutAfter(limit)) if sent >= limit => break,
            Some(Fault::Slow(rate)) => {
                let time = Duration::from_secs_f64(part.len() as f64 / rate as f64);
                if pause.recv_timeout(time) == Err(mpsc::RecvTimeoutError::Disconnected) {
                    break;
                }
            }
            _ => {}
        }
    }
    sent
}

fn finish(down: &mut StreamOwned<ServerConnection, TcpStream>, last: &[u8]) -> Result<()> {
    down.write_all(last).context("answering")?;
    down.conn.send_close_notify();
    down.flush().context("closing")
}

/// Reads up to and with the empty line.
fn read_head(source: &mut impl Read) -> Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > HEAD {
            bail!("a head longer than {HEAD} bytes");
        }
        source.read_exact(&mut byte).context("reading a head")?;
        head.push(byte[0]);
    }
    String::from_utf8(head).context("a head that is not text")
}

/// The same request, to be the last one on its connection.
fn closing(head: &str) -> String {
    let mut lines: Vec<&str> = head
        .trim_end()
        .split("\r\n")
        .filter(|line| !line.to_ascii_lowercase().starts_with("connection:"))
        .collect();
    lines.push("Connection: close\r\n\r\n");
    lines.join("\r\n")
}

fn range_start(head: &str) -> u64 {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("range"))
        .and_then(|(_, value)| value.trim().strip_prefix("bytes="))
        .and_then(|range| range.split('-').next())
        .and_then(|start| start.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_and_a_closing_head_are_read_as_http_says() {
        let head = "GET /v2/a/blobs/sha256:00 HTTP/1.1\r\nHost: h\r\nconnection: keep-alive\r\nRange: bytes=4096-\r\n\r\n";
        assert_eq!(range_start(head), 4096);
        let closing = closing(head);
        assert!(closing.ends_with("Range: bytes=4096-\r\nConnection: close\r\n\r\n"));
        assert!(!closing.contains("keep-alive"));
    }

    #[test]
    fn a_body_is_cut_at_the_byte() {
        let mut out = Vec::new();
        let body = vec![7; 200_000];
        let sent = pass_body(
            &mut body.as_slice(),
            &mut out,
            Some(Fault::CutAfter(70_001)),
        );
        assert_eq!((sent, out.len()), (70_001, 70_001));
    }
}
