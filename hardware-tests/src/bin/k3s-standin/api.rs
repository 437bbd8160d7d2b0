//! The part of the Kubernetes API that tells whether a node is ready, over HTTPS/1.1, one
//! request a connection. Without the client certificate every answer is 401, as with K3s.
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::VERSION;
use crate::node::Node;

/// Longest request head that is read, in bytes.
const HEAD_LIMIT: usize = 16 * 1024;
/// Longest time for one request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Listens on loopback, and on all addresses where that is possible, as K3s does.
pub(crate) async fn bind(port: u16) -> Result<TcpListener> {
    let listener = TcpListener::bind(("0.0.0.0", port)).await;
    listener.with_context(|| format!("listening on port {port}"))
}

/// Answers one connection; what goes wrong is told on standard error.
pub(crate) async fn answer(stream: TcpStream, tls: Arc<TlsAcceptor>, node: Arc<Node>) {
    match tokio::time::timeout(PATIENCE, exchange(stream, &tls, &node)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => eprintln!("level=warn msg=\"http: {error:#}\""),
        Err(_) => eprintln!("level=warn msg=\"http: a client was too slow\""),
    }
}

async fn exchange(stream: TcpStream, tls: &TlsAcceptor, node: &Node) -> Result<()> {
    let mut stream = tls.accept(stream).await.context("TLS handshake")?;
    let is_known = stream.get_ref().1.peer_certificates().is_some();
    let mut head = Vec::new();
    while !head.windows(4).any(|part| part == b"\r\n\r\n") {
        ensure!(
            head.len() < HEAD_LIMIT,
            "a request head of more than {HEAD_LIMIT} bytes"
        );
        let mut part = [0; 2048];
        let read = stream.read(&mut part).await.context("reading a request")?;
        ensure!(read > 0, "a request was cut");
        head.extend_from_slice(&part[..read]);
    }
    let head = String::from_utf8_lossy(&head);
    let mut words = head.split_whitespace();
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let path = path.split('?').next().unwrap_or_default();
    let (status, kind, body) = if is_known {
        respond(node, method, path)
    } else {
        status(401, "Unauthorized")
    };
    let reply = format!(
        "HTTP/1.1 {status} -\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream
        .write_all(reply.as_bytes())
        .await
        .context("answering")?;
    stream.shutdown().await.context("closing")
}

fn respond(node: &Node, method: &str, path: &str) -> (u16, &'static str, String) {
    if method != "GET" {
        return status(405, "MethodNotAllowed");
    }
    let own = format!("/api/v1/nodes/{}", node.config.node_name);
    match path {
        "/readyz" | "/livez" | "/healthz" => (200, "text/plain", "ok".to_owned()),
        "/version" => json(
            &json!({ "major": "1", "minor": "33", "gitVersion": VERSION, "platform": "linux/amd64" }),
        ),
        "/api/v1/nodes" => {
            json(&json!({ "kind": "NodeList", "apiVersion": "v1", "items": [node.object()] }))
        }
        // It runs no container, so there is no pod whose image could still be on its way.
        "/api/v1/pods" => json(&json!({ "kind": "PodList", "apiVersion": "v1", "items": [] })),
        "/apis/k3s.cattle.io/v1/addons" => json(&node.addons()),
        path if path == own => json(&node.object()),
        _ => status(404, "NotFound"),
    }
}

fn json(value: &Value) -> (u16, &'static str, String) {
    (200, "application/json", value.to_string())
}

fn status(code: u16, reason: &str) -> (u16, &'static str, String) {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code });
    (code, "application/json", body.to_string())
}
