//! A registry that serves images made in the test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What is served: path below `/v2/<repository>/` -> body.
type Content = Arc<Mutex<Served>>;

#[derive(Default)]
struct Served {
    bodies: BTreeMap<String, Vec<u8>>,
    /// The path of a body of which the second half waits for a permit.
    held: Option<(String, Arc<Semaphore>)>,
    requests: usize,
}

pub(crate) struct Registry {
    /// `127.0.0.1:PORT`
    pub(crate) host: String,
    content: Content,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A tar of path -> content.
pub(crate) fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, path, content.as_bytes())
            .unwrap();
    }
    builder.into_inner().unwrap()
}

impl Registry {
    pub(crate) async fn start() -> Self {
        let content = Content::default();
        let router = Router::new()
            .route("/v2/", get(async || "{}"))
            .route("/v2/{*path}", get(serve))
            .with_state(content.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            host,
            content,
            task,
        }
    }

    /// Puts an image of these layers under `repository:tag`; returns the manifest's digest.
    pub(crate) fn push(&self, repository: &str, tag: &str, layers: &[Vec<u8>]) -> String {
        let mut content = self.content.lock().unwrap();
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = serde_json::to_vec(&config).unwrap();
        let described = |bytes: &[u8], kind: &str| -> Value {
            json!({ "mediaType": kind, "digest": digest(bytes), "size": bytes.len() })
        };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": described(&config, "application/vnd.oci.image.config.v1+json"),
            "layers": layers
                .iter()
                .map(|layer| described(layer, "application/vnd.oci.image.layer.v1.tar"))
                .collect::<Vec<_>>(),
        });
        let manifest = serde_json::to_vec(&manifest).unwrap();
        for blob in layers.iter().chain([&config]) {
            content
                .bodies
                .insert(format!("{repository}/blobs/{}", digest(blob)), blob.clone());
        }
        let name = digest(&manifest);
        for reference in [tag, &name] {
            content.bodies.insert(
                format!("{repository}/manifests/{reference}"),
                manifest.clone(),
            );
        }
        name
    }

    /// Serves bytes at a path below `/v2/`.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        let mut content = self.content.lock().unwrap();
        content.bodies.insert(path.to_owned(), bytes.to_vec());
    }

    /// How often it was asked for anything.
    pub(crate) fn requests(&self) -> usize {
        self.content.lock().unwrap().requests
    }

    /// Sends the second half of a blob only when the returned one gets a permit, a request each.
    pub(crate) fn hold(&self, repository: &str, layer: &[u8]) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        let path = format!("{repository}/blobs/{}", digest(layer));
        self.content.lock().unwrap().held = Some((path, gate.clone()));
        gate
    }

    /// Replaces the bytes of a blob under its old name.
    pub(crate) fn damage(&self, repository: &str, layer: &[u8]) {
        let mut bytes = layer.to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let path = format!("{repository}/blobs/{}", digest(layer));
        self.content.lock().unwrap().bodies.insert(path, bytes);
    }
}

async fn serve(State(content): State<Content>, Path(path): Path<String>) -> Response {
    let (found, gate) = {
        let mut content = content.lock().unwrap();
        content.requests += 1;
        let held = content.held.as_ref().filter(|(held, _)| *held == path);
        (
            content.bodies.get(&path).cloned(),
            held.map(|(_, gate)| gate.clone()),
        )
    };
    let Some(bytes) = found else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = if path.contains("/manifests/") {
        MANIFEST
    } else {
        "application/octet-stream"
    };
    let body = match gate {
        None => Body::from(bytes),
        Some(gate) => in_halves(bytes, gate),
    };
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

fn in_halves(mut bytes: Vec<u8>, gate: Arc<Semaphore>) -> Body {
    let rest = bytes.split_off(bytes.len() / 2);
    let rest = stream::once(async move {
        gate.acquire().await.unwrap().forget();
        rest
    });
    let all = stream::once(async { bytes }).chain(rest);
    Body::from_stream(all.map(Ok::<_, std::convert::Infallible>))
}
