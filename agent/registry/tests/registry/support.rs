//! A small HTTP server whose every answer is written by the test, and which remembers all it heard.

use std::io::Write;
use std::sync::{Arc, Mutex};

use burin_registry::{BlobRef, LayerSpec, LayerStream, Registry};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// The whole head, as it came.
    pub(crate) head: String,
}

impl Request {
    /// First byte of a `Range` request.
    pub(crate) fn from(&self) -> Option<usize> {
        let (_, rest) = self
            .head
            .to_lowercase()
            .split_once("range: bytes=")
            .map(|(a, b)| (a.to_string(), b.to_string()))?;
        rest.split('-').next()?.parse().ok()
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Announces this length instead of the body's.
    pub(crate) length: Option<u64>,
    /// Closes the connection after so many bytes of the body.
    pub(crate) cut: Option<usize>,
    /// Goes silent after so many bytes of the body.
    pub(crate) hang: Option<usize>,
}

impl Reply {
    pub(crate) fn ok(body: &[u8]) -> Self {
        Self {
            status: 200,
            body: body.to_vec(),
            ..Self::default()
        }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// 206 with the rest from `from`.
    pub(crate) fn rest(body: &[u8], from: usize) -> Self {
        let range = format!("bytes {from}-{}/{}", body.len() - 1, body.len());
        Self {
            status: 206,
            body: body[from..].to_vec(),
            ..Self::default()
        }
        .with("Content-Range", &range)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

pub(crate) struct Server {
    pub(crate) address: String,
    heard: Arc<Mutex<Vec<u8>>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

pub(crate) type Answer = dyn Fn(&Request, usize) -> Reply + Send + Sync;

impl Server {
    /// Serves on a free port of loopback; `answer` gets the request and how many came before it.
    pub(crate) async fn start(
        answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(None, Arc::new(answer)).await
    }

    pub(crate) async fn start_tls(
        tls: Arc<rustls::ServerConfig>,
        answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(tls), Arc::new(answer)).await
    }

    async fn listen(tls: Option<Arc<rustls::ServerConfig>>, answer: Arc<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let (heard, requests) = (Arc::default(), Arc::default());
        let server = Self {
            address,
            heard: Arc::clone(&heard),
            requests: Arc::clone(&requests),
        };
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (heard, requests, answer, tls) = (
                    Arc::clone(&heard),
                    Arc::clone(&requests),
                    Arc::clone(&answer),
                    tls.clone(),
                );
                tokio::spawn(async move {
                    match tls {
                        None => serve(socket, &heard, &requests, &*answer).await,
                        Some(tls) => {
                            if let Ok(socket) =
                                tokio_rustls::TlsAcceptor::from(tls).accept(socket).await
                            {
                                serve(socket, &heard, &requests, &*answer).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    /// Everything that clients sent, decrypted.
    pub(crate) fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    heard: &Mutex<Vec<u8>>,
    requests: &Mutex<Vec<Request>>,
    answer: &Answer,
) {
    let mut head = Vec::new();
    while let Ok(byte) = socket.read_u8().await {
        heard.lock().unwrap().push(byte);
        head.push(byte);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        head.clear();
        let path = text.split(' ').nth(1).unwrap_or_default().to_string();
        let request = Request { path, head: text };
        let count = {
            let mut requests = requests.lock().unwrap();
            requests.push(request.clone());
            requests.len() - 1
        };
        if !reply(&mut socket, answer(&request, count)).await {
            return;
        }
    }
}

/// Whether the connection goes on.
async fn reply(socket: &mut (impl AsyncWrite + Unpin), reply: Reply) -> bool {
    let length = reply.length.unwrap_or(reply.body.len() as u64);
    let mut text = format!(
        "HTTP/1.1 {} X\r\nContent-Length: {length}\r\n",
        reply.status
    );
    for (name, value) in &reply.headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    let end = reply.cut.or(reply.hang).unwrap_or(reply.body.len());
    let sent = async {
        socket.write_all(text.as_bytes()).await?;
        socket.write_all(&reply.body[..end]).await?;
        socket.flush().await
    };
    if sent.await.is_err() {
        return false;
    }
    if reply.hang.is_some() {
        std::future::pending::<()>().await;
    }
    reply.cut.is_none() && reply.length.is_none()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bytes that do not compress to nothing, the same in every run.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

pub(crate) fn spec(blob: &[u8], unpacked: &[u8], media_type: &str) -> LayerSpec {
    LayerSpec {
        blob: BlobRef {
            digest: sha256(blob),
            size: blob.len() as u64,
            media_type: media_type.into(),
        },
        diff_id: Some(sha256(unpacked)),
        most_unpacked: unpacked.len() as u64,
    }
}

/// Reads a whole layer off the runtime.
pub(crate) async fn pull(registry: &Registry, spec: &LayerSpec) -> std::io::Result<Vec<u8>> {
    let stream = registry.layer("os/test", spec, |_| {}).unwrap();
    read(stream).await
}

pub(crate) async fn read(mut stream: LayerStream) -> std::io::Result<Vec<u8>> {
    tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut bytes).map(|_| bytes)
    })
    .await
    .unwrap()
}

pub(crate) const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
