//! An intercepting proxy whose authority the host trusts. It opens TLS, notes everything, plays one trick
//! on one message and passes on all others.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use burin::hub::Identity;
use burin::hub::identity::Registration;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::http::Message;
use super::trick::{Plan, Way};
use crate::support::{DEADLINE, Hub};

/// What all proxies before one hub share.
pub(crate) struct Taps {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    hub: SocketAddr,
    /// PEM of the proxy's authority.
    pub(crate) ca: String,
    next: AtomicU32,
}

/// A request as the host sent it and its answer as the hub gave it, both before any trick.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) request: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) answer: Vec<u8>,
}

impl Taps {
    pub(crate) fn before(hub: &Hub) -> Arc<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = authority.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let named = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = named.signed_by(&key, &issuer).unwrap();
        let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], secret)
            .unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots(hub.data.path()))
            .with_no_client_auth();
        Arc::new(Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
            hub: hub.listen.parse().unwrap(),
            ca: ca.pem(),
            next: AtomicU32::new(0),
        })
    }

    /// Speaks TLS as every proxy does.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// From an address of its own: the hub counts hellos by address.
    async fn connect(&self) -> io::Result<client::TlsStream<TcpStream>> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let [_, high, middle, low] = (number + 1).to_be_bytes();
        let from = Ipv4Addr::new(127, 64 + high, middle, low);
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let stream = socket.connect(self.hub).await?;
        let name = ServerName::from(self.hub.ip());
        self.connector.connect(name, stream).await
    }

    /// Sends bytes as the body of a request of their own; the status, and the answer.
    pub(crate) async fn post(&self, name: &str, body: Vec<u8>) -> io::Result<(u16, Vec<u8>)> {
        let mut up = self.connect().await?;
        post(&mut up, name, body).await
    }

    /// Many bodies over one connection.
    pub(crate) async fn post_all(&self, name: &str, bodies: &[Vec<u8>]) -> io::Result<Vec<u16>> {
        let mut up = self.connect().await?;
        let mut all = Vec::new();
        for body in bodies {
            all.push(post(&mut up, name, body.clone()).await?.0);
        }
        Ok(all)
    }
}

async fn post(
    up: &mut client::TlsStream<TcpStream>,
    name: &str,
    body: Vec<u8>,
) -> io::Result<(u16, Vec<u8>)> {
    let request = Message {
        start: format!("POST /h/1/{name} HTTP/1.1"),
        headers: vec![("host".to_owned(), "hub".to_owned())],
        body,
        framing: super::http::Framing::Length,
    };
    request.write(up).await?;
    let answer = Message::read(up)
        .await?
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((answer.status(), answer.body))
}

fn roots(data: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(data.join("ca.pem")).unwrap();
    roots.add(certificate).unwrap();
    roots
}

/// The proxy before one host; it ends when dropped.
pub(crate) struct Line {
    pub(crate) url: String,
    pub(crate) wire: Arc<Wire>,
    struck: watch::Receiver<Option<Registration>>,
    task: JoinHandle<()>,
}

/// What happened on it.
pub(crate) struct Wire {
    taps: Arc<Taps>,
    plan: Plan,
    identity: Identity,
    seen: Mutex<Vec<Exchange>>,
    struck: watch::Sender<Option<Registration>>,
}

impl Line {
    pub(crate) async fn open(taps: &Arc<Taps>, plan: Plan, identity: &Identity) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (sender, struck) = watch::channel(None);
        let wire = Arc::new(Wire {
            taps: taps.clone(),
            plan,
            identity: identity.clone(),
            seen: Mutex::default(),
            struck: sender,
        });
        let worker = wire.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let wire = worker.clone();
                // A broken connection is what half of the tricks are about.
                tokio::spawn(async move { drop(wire.serve(stream).await) });
            }
        });
        Self {
            url,
            wire,
            struck,
            task,
        }
    }

    /// Waits for the trick; what the host knew of the hub just before it.
    pub(crate) async fn struck(&mut self) -> Registration {
        let waited = timeout(DEADLINE, self.struck.wait_for(Option::is_some)).await;
        let struck = waited.expect("the message that was to be attacked came");
        struck.unwrap().clone().unwrap()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    pub(crate) fn seen(&self) -> Vec<Exchange> {
        self.seen.lock().unwrap().clone()
    }

    async fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut down = self.taps.acceptor.accept(stream).await?;
        let mut up = self.taps.connect().await?;
        while let Some(request) = Message::read(&mut down).await? {
            if !self.exchange(request, &mut down, &mut up).await? {
                break;
            }
        }
        Ok(())
    }

    /// Passes one request and its answer on; false when the connection ends.
    async fn exchange(
        &self,
        request: Message,
        down: &mut server::TlsStream<TcpStream>,
        up: &mut client::TlsStream<TcpStream>,
    ) -> io::Result<bool> {
        let name = request.name();
        let earlier = self.seen().iter().filter(|it| it.name == name).count();
        let strikes = self.struck.borrow().is_none() && self.plan.is_for(&name, earlier);
        let mut note = Exchange {
            name,
            request: request.body.clone(),
            status: 0,
            answer: Vec::new(),
        };
        let before = self.identity.registration();
        let mut sent = request;
        let way = if strikes {
            self.plan.on_request(&mut sent)
        } else {
            Way::Once
        };
        let mut answer = None;
        for _ in 0..way.times() {
            sent.write(up).await?;
            answer = Message::read(up).await?;
        }
        if let Some(answer) = &answer {
            note.status = answer.status();
            note.answer.clone_from(&answer.body);
        }
        let asked = note.request.clone();
        self.seen.lock().unwrap().push(note);
        let Some(mut answer) = answer else {
            self.struck.send_replace(Some(before));
            return Ok(false);
        };
        if strikes {
            self.plan.on_answer(&asked, &mut answer).await;
        }
        // First told, then done: whoever waits for it finds the host as it was.
        if strikes {
            self.struck.send_replace(Some(before));
        }
        answer.write(down).await?;
        let whole = !matches!(answer.framing, super::http::Framing::Missing(_));
        Ok(whole && answer.status() != 0)
    }
}
