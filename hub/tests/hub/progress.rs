//! Who publishes a profile sees what the hub reads meanwhile.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Response, header};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::commands::{run, serve, text, without_settings};
use crate::publishing::{GOOD, os};
use crate::support::Site;
use crate::support::registry::{Registry, tar};

/// Far above what anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);
const LINES: &str = "application/x-ndjson";

/// An OS image of one blob of more than 2 MiB, of which the second half is held back.
fn large() -> Vec<u8> {
    let mut layer = os(GOOD);
    // The end of a tar is two blocks of zeros; more of them do no harm.
    layer.resize(3 << 20, 0);
    layer
}

fn document(registry: &Registry) -> String {
    let host = &registry.host;
    format!(
        "apiVersion: burin/v1\nkind: Profile\nmetadata: {{ name: edge, version: 1.0.0 }}\nlayers:\n  \
         - os: {{ image: {host}/os/debian:13 }}\n  - image: {{ name: more, image: {host}/os/more:1 }}\n"
    )
}

async fn asked(site: &Site, document: &str) -> Response {
    let request = site.http.post(format!("{}/api/v1/profiles", site.url));
    let request = request.bearer_auth(&site.key).header(header::ACCEPT, LINES);
    let request = request.json(&json!({ "document": document }));
    request.send().await.unwrap()
}

/// The lines of an answer as they come.
struct Lines {
    answer: Response,
    bytes: Vec<u8>,
}

impl Lines {
    /// The next one, or `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.bytes.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = timeout(DEADLINE, self.answer.chunk()).await.unwrap();
            let Some(chunk) = chunk.unwrap() else {
                assert!(self.bytes.is_empty(), "half a line at the end");
                return None;
            };
            self.bytes.extend_from_slice(&chunk);
        }
    }

    /// Reads on until one is as it should be.
    async fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.next().await.unwrap();
            if is_it(&line) {
                return line;
            }
            assert!(line["reading"].is_object(), "{line}");
        }
    }
}

#[tokio::test]
async fn lines_tell_what_is_read_and_how_it_ends() {
    let site = Site::start().await;
    let registry = Registry::start().await;
    let entry = json!({ "host": registry.host, "plain_http": true });
    site.post("/api/v1/registries", entry).await;
    let layer = large();
    registry.push("os/debian", "13", std::slice::from_ref(&layer));
    let gate = registry.hold("os/debian", &layer);

    let answer = asked(&site, &document(&registry)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], LINES);
    let mut lines = Lines {
        answer,
        bytes: Vec::new(),
    };
    let half = layer.len() / 2;
    let line = lines.until(|line| line["reading"]["done"] == half).await;
    let want =
        json!({ "layer": "os", "number": 1, "images": 2, "done": half, "total": layer.len() });
    assert_eq!(line["reading"], want);
    gate.add_permits(1);
    // The second image is not there.
    let line = lines.until(|line| line["problem"].is_object()).await;
    assert_eq!(line["problem"]["status"], 502, "{line}");
    assert!(
        line["problem"]["detail"]
            .as_str()
            .unwrap()
            .contains("`more`"),
        "{line}"
    );
    assert_eq!(lines.next().await, None);
    assert_eq!(site.get("/api/v1/profiles").await, json!([]));

    registry.push("os/more", "1", &[tar(&[("opt/more", "x")])]);
    gate.add_permits(1);
    let answer = asked(&site, &document(&registry)).await;
    let mut lines = Lines {
        answer,
        bytes: Vec::new(),
    };
    let line = lines.until(|line| line["published"].is_object()).await;
    assert_eq!(lines.next().await, None);
    assert_eq!(
        json!([line["published"]]),
        site.get("/api/v1/profiles").await
    );
    // What is known before anything is read has a status of its own.
    assert_eq!(asked(&site, &document(&registry)).await.status(), 201);
    assert_eq!(asked(&site, "kind: Profil\n").await.status(), 422);
}

/// A hub with a registry that keeps back the rest of a large blob, and a profile in a file.
struct Held {
    folder: tempfile::TempDir,
    hub: Child,
    _registry: Registry,
    gate: Arc<Semaphore>,
    file: PathBuf,
}

async fn held() -> Held {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (hub, _) = serve(data).await;
    let registry = Registry::start().await;
    let add = ["registry", "add", &registry.host, "--plain-http"];
    assert!(run(data, &add).await.status.success());
    let layer = large();
    registry.push("os/debian", "13", std::slice::from_ref(&layer));
    registry.push("os/more", "1", &[tar(&[("opt/more", "x")])]);
    let file = data.join("edge.yaml");
    std::fs::write(&file, document(&registry)).unwrap();
    Held {
        gate: registry.hold("os/debian", &layer),
        hub,
        _registry: registry,
        file,
        folder,
    }
}

/// Publishes at a terminal, up to where the registry keeps the rest back: the command, the terminal's
/// output and what it showed.
async fn at_terminal(held: &Held) -> (Child, ChildStdout, Vec<u8>) {
    let words = "exec \"$BURIN\" --data \"$DATA\" profile publish \"$FILE\"";
    let mut command = without_settings(Command::new("script"));
    command.args(["-q", "-e", "-c", words, "/dev/null"]);
    command.env("BURIN", env!("CARGO_BIN_EXE_burin-hub"));
    command
        .env("DATA", held.folder.path())
        .env("FILE", &held.file);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    while !text(&seen).contains("reading image 1 of 2, os: 1 of 3 MiB") {
        let count = timeout(DEADLINE, out.read_buf(&mut seen)).await.unwrap();
        assert_ne!(count.unwrap(), 0, "{}", text(&seen));
    }
    (child, out, seen)
}

#[tokio::test]
async fn a_person_at_a_terminal_sees_what_is_read() {
    let held = held().await;
    let (mut child, mut out, mut seen) = at_terminal(&held).await;
    held.gate.add_permits(1);
    let rest = timeout(DEADLINE, out.read_to_end(&mut seen)).await;
    rest.unwrap().unwrap();
    assert!(child.wait().await.unwrap().success());
    let seen = text(&seen);
    let end = "\r\u{1b}[Kedge@1.0.0 is published\r\n";
    assert!(seen.ends_with(end), "{seen:?}");

    // Nobody looks: the result alone.
    let file = held.file.to_str().unwrap();
    let again = run(held.folder.path(), &["profile", "publish", file]).await;
    assert_eq!(text(&again.stdout), "edge@1.0.0 is published\n");
    assert_eq!(text(&again.stderr), "");
}

#[tokio::test]
async fn a_hub_that_dies_meanwhile_is_told_in_words_for_people() {
    let mut held = held().await;
    let (mut child, mut out, mut seen) = at_terminal(&held).await;
    held.hub.kill().await.unwrap();
    let rest = timeout(DEADLINE, out.read_to_end(&mut seen)).await;
    rest.unwrap().unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
    let seen = text(&seen);
    let end = "it closed the connection before its answer was complete; its log may say why\r\n";
    assert!(seen.ends_with(end), "{seen:?}");
    assert!(!seen.contains("docs.rs"), "{seen:?}");
}
