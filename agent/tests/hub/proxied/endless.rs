//! Answers without end: the host stops reading, says why, and gets on with the hub afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burin::hub::{HubSettings, Identity};
use burin_api::dsse::MAX_ANSWER;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::Site;
use super::http::Message;
use super::trick::{PLACES, Trick};
use crate::support::Host;

/// What one piece of an endless answer has.
const PIECE: usize = 16 * 1024;
/// More than a host that stops at its limit can have been sent: what lies in buffers of both kernels.
const ENOUGH: usize = 32 * 1024 * 1024;

/// How an answer goes on for ever, or for too long.
#[derive(Debug, Clone, Copy)]
enum Endless {
    Chunks,
    /// A length is told, and it is too long.
    Length,
    OneHeader,
    Headers,
    /// Behind the last piece of a body.
    Trailers,
    /// As long as the longest that is read, and nothing but root documents.
    Chain,
    LongChain,
}

impl Endless {
    fn begin(self) -> String {
        let ok = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        let chunked = "transfer-encoding: chunked\r\n\r\n";
        match self {
            Self::Chunks => format!("{ok}{chunked}"),
            Self::Length => format!("{ok}content-length: {ENOUGH}\r\n\r\n"),
            Self::OneHeader => format!("{ok}x-endless: "),
            Self::Headers => ok.to_owned(),
            Self::Trailers => format!("{ok}{chunked}2\r\n{{}}\r\n0\r\n"),
            Self::Chain | Self::LongChain => {
                let body = self.chain();
                format!("{ok}content-length: {}\r\n\r\n{body}", body.len())
            }
        }
    }

    fn piece(self) -> Vec<u8> {
        let text = match self {
            Self::Chunks => format!("{PIECE:X}\r\n{}\r\n", " ".repeat(PIECE)),
            Self::Length | Self::OneHeader => " x".repeat(PIECE / 2),
            Self::Headers | Self::Trailers => "x-endless: x\r\n".repeat(PIECE / 14),
            Self::Chain | Self::LongChain => String::new(),
        };
        text.into_bytes()
    }

    /// An answer to hello whose root documents are all alike.
    fn chain(self) -> String {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        let longest = match self {
            Self::LongChain => 2 * MAX_ANSWER,
            _ => MAX_ANSWER - 2048,
        };
        let envelope = |kind: &str, payload: &serde_json::Value| {
            serde_json::json!({ "signatures": [],
                "payloadType": format!("application/vnd.burin.{kind}.v1+json"),
                "payload": STANDARD.encode(payload.to_string()) })
        };
        let document = serde_json::json!({ "version": 1, "hub_id": "x",
            "root": [{ "algorithm": "ed25519", "key": "aa11" }],
            "online": [{ "algorithm": "ed25519", "key": "bb22" }] });
        let document = envelope("root", &document);
        // Base 64 makes four bytes of three.
        let fitting = longest / 4 * 3 / (document.to_string().len() + 1);
        let answer = serde_json::json!({ "host_nonce": "", "hub_id": "x", "time": 1, "nonce": "",
            "root": vec![document; fitting] });
        envelope("hello-answer", &answer).to_string()
    }

    fn said(self) -> &'static str {
        match self {
            Self::Chunks | Self::Length | Self::LongChain => "longer than 262144 bytes",
            Self::OneHeader | Self::Headers => "head is too large",
            Self::Trailers => "makes no sense",
            Self::Chain => "cannot prove that it is the hub",
        }
    }
}

/// Answers until the host hangs up; counts what it was sent.
async fn answer(
    endless: Endless,
    acceptor: TlsAcceptor,
    stream: TcpStream,
    sent: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    let mut down = acceptor.accept(stream).await?;
    let asked = Message::read(&mut down).await?;
    assert_eq!(asked.map(|it| it.name()).as_deref(), Some("hello"));
    down.write_all(endless.begin().as_bytes()).await?;
    let piece = endless.piece();
    while !piece.is_empty() && sent.load(Ordering::SeqCst) < ENOUGH {
        down.write_all(&piece).await?;
        sent.fetch_add(piece.len(), Ordering::SeqCst);
    }
    down.flush().await
}

#[tokio::test]
async fn an_answer_without_end_is_put_aside_and_said_to_be_one() {
    let site = Site::open().await;
    for endless in [
        Endless::Chunks,
        Endless::Length,
        Endless::OneHeader,
        Endless::Headers,
        Endless::Trailers,
        Endless::Chain,
        Endless::LongChain,
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = HubSettings {
            url: format!("https://{}", listener.local_addr().unwrap()),
            ..site.settings.clone()
        };
        let identity = Identity::make("").unwrap();
        let (_network, ways) = watch::channel([String::from("lo")].into());
        let root = tempfile::tempdir().unwrap();
        let mut host = Host::start_as(root, settings, &identity, "ID", ways);
        let sent = Arc::new(AtomicUsize::new(0));
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = site.taps.acceptor();
        let server = tokio::spawn(answer(endless, acceptor, stream, sent.clone()));
        let state = host.hub_state(endless.said()).await;
        // It has hung up.
        drop(server.await.unwrap());
        let sent = sent.load(Ordering::SeqCst);
        assert!(sent < ENOUGH, "{endless:?}: {sent} bytes were taken");
        assert!(
            state.contains("proxy") || state.contains("between"),
            "{state}"
        );
        assert_eq!(identity.registration().root, None, "{endless:?}");
        assert!(!host.word.borrow().accepted, "{endless:?}");
    }
}

#[tokio::test]
async fn after_an_endless_answer_the_host_gets_on() {
    let site = Site::open().await;
    let place = PLACES[3];
    let (_, mut host, mut line, _network) =
        site.boot("endless", Trick::AnswerEndless, place, 0).await;
    line.struck().await;
    host.hub_state("longer than 262144 bytes").await;
    host.until("synced", |word| word.syncs > 0).await;
}
