//! The database is held by somebody else, its disk is full, its server is away: hosts are told to come
//! again, and the hub goes on by itself.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use burin_api::dsse::Envelope;
use burin_api::message::{EnrollAnswer, Phase, Refusal, SessionAnswer, SyncAnswer};
use burin_api::token::Token;
use burin_fake_host::FakeHost;
use burin_hub::db::Place;
use burin_hub::secret::Secret;
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _, Executor as _};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::commands::program;
use crate::support::host::Host;
use crate::support::{Site, database, postgres};

/// The refusal of a hub whose database does not answer.
fn busy<T: std::fmt::Debug>(answer: Result<T, Refusal>) {
    let refusal = answer.unwrap_err();
    let said = (refusal.code.as_str(), refusal.retry_after);
    assert_eq!(said, ("busy", Some(5)), "{refusal:?}");
}

#[tokio::test]
async fn while_another_program_holds_the_file_hosts_are_told_to_come_again() {
    if database::is_postgres() {
        // Nobody can hold the whole of it; its server is cut off below.
        return;
    }
    let site = Site::with(|args| args.interval = Some(1)).await;
    let token = site.token(json!({ "uses": 9 })).await;
    let mut host = Host::boot(&site, "S1", "b").await;
    let uid = host.join(&site, &token).await;
    host.open(&site, &uid).await.unwrap();
    let file = site.folder.path().join("hub.db");
    let mut other = AnyConnection::connect(&format!("sqlite://{}", file.display()))
        .await
        .unwrap();
    other
        .execute(sqlx::raw_sql("BEGIN IMMEDIATE"))
        .await
        .unwrap();
    let newcomer = host.beside("S2", "b");
    let body = host.sync_body(Phase::Running);
    let (synced, enrolled) = tokio::join!(
        host.sync(&site, &body),
        newcomer.enroll(&site, Some(&token))
    );
    busy(synced);
    busy(enrolled);
    // Who only reads is not kept waiting.
    assert_eq!(site.get(&format!("/api/v1/hosts/{uid}")).await["uid"], uid);
    other.execute(sqlx::raw_sql("ROLLBACK")).await.unwrap();
    host.sync(&site, &body).await.unwrap();
    newcomer.join(&site, &token).await;
}

/// A way to PostgreSQL's socket that can be cut.
struct Way {
    folder: tempfile::TempDir,
    server: PathBuf,
    task: Option<JoinHandle<()>>,
}

const SOCKET: &str = ".s.PGSQL.5432";

impl Way {
    fn to(server: &Path) -> Self {
        let mut way = Self {
            folder: tempfile::tempdir().unwrap(),
            server: server.join(SOCKET),
            task: None,
        };
        way.open();
        way
    }

    fn open(&mut self) {
        let listener = UnixListener::bind(self.folder.path().join(SOCKET)).unwrap();
        let server = self.server.clone();
        self.task = Some(tokio::spawn(async move {
            // The connections end with this task.
            let mut all = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = UnixStream::connect(&server).await.unwrap();
                all.spawn(async move {
                    drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
                });
            }
        }));
    }

    async fn cut(&mut self) {
        let task = self.task.take().unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        std::fs::remove_file(self.folder.path().join(SOCKET)).unwrap();
    }
}

#[tokio::test]
async fn while_the_server_is_away_hosts_are_told_to_come_again() {
    let url = postgres::database().await;
    let (folder, _) = url.split_once('@').unwrap().1.split_once('/').unwrap();
    let mut way = Way::to(Path::new(&folder.replace("%2F", "/")));
    let near = way.folder.path().display().to_string().replace('/', "%2F");
    let place = Place::Server(Secret::new(url.replace(folder, &near)));
    let site = Site::with(|args| {
        args.database = place;
        args.interval = Some(1);
    })
    .await;
    let token = site.token(json!({ "uses": 9 })).await;
    let mut host = Host::boot(&site, "S1", "b").await;
    let uid = host.join(&site, &token).await;
    host.open(&site, &uid).await.unwrap();
    way.cut().await;
    let newcomer = host.beside("S2", "b");
    for _ in 0..2 {
        let body = host.sync_body(Phase::Running);
        let (synced, enrolled) = tokio::join!(
            host.sync(&site, &body),
            newcomer.enroll(&site, Some(&token))
        );
        busy(synced);
        busy(enrolled);
    }
    let (status, problem) = site.ask(reqwest::Method::GET, "/api/v1/hosts", None).await;
    assert_eq!(
        (status, &problem["type"]),
        (503, &json!("busy")),
        "{problem}"
    );
    // Saying hello needs no database.
    host.nonce(&site).await;
    way.open();
    let body = host.sync_body(Phase::Running);
    host.sync(&site, &body).await.unwrap();
    newcomer.join(&site, &token).await;
    let tokens = site.get("/api/v1/tokens").await;
    assert_eq!(tokens[0]["used"], 2);
}

/// A hub in a process of its own, which may write files of so many blocks of 512 bytes only.
struct Narrow {
    child: tokio::process::Child,
    url: String,
    http: reqwest::Client,
    host: FakeHost,
}

impl Narrow {
    async fn start(data: &Path, blocks: u64) -> Self {
        let mut command = tokio::process::Command::new("/bin/sh");
        // Without the trap the kernel's signal would end the hub; a full disk sends none.
        let script = format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$@\"");
        let mut child = command
            .args(["-c", &script, "sh"])
            .arg(program().as_std().get_program())
            .args([
                "serve",
                "--json",
                "--interval",
                "1",
                "--listen",
                "127.0.0.1:0",
                "--data",
            ])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).await.unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let ca = std::fs::read(ready["ca"].as_str().unwrap()).unwrap();
        let http = reqwest::Client::builder()
            .tls_certs_only(reqwest::Certificate::from_pem_bundle(&ca).unwrap())
            .no_proxy()
            .build()
            .unwrap();
        let url = format!("https://{}", ready["listen"].as_str().unwrap());
        let mut host = FakeHost::new("S1", "b").unwrap();
        let answer = post(&http, &url, "hello", &host.hello()).await.1;
        host.learn(&answer, ready["root"].as_str().unwrap())
            .unwrap();
        Self {
            child,
            url,
            http,
            host,
        }
    }

    async fn nonce(&self) -> String {
        let answer = post(&self.http, &self.url, "hello", &self.host.hello())
            .await
            .1;
        self.host.nonce(&answer).unwrap()
    }

    async fn join(&mut self, token: &Token) {
        let body = self.host.enroll_body(self.nonce().await, Some(token));
        let asked = self.host.seal_enroll(&body, Some(token)).unwrap();
        let answer: EnrollAnswer = self.send("enroll", &asked).await.unwrap();
        let EnrollAnswer::Accepted { host_uid } = answer else {
            panic!("{answer:?}");
        };
        let asked = self
            .host
            .seal_session(self.nonce().await, &host_uid)
            .unwrap();
        let answer: SessionAnswer = self.send("session", &asked).await.unwrap();
        self.host.begin(&answer);
    }

    /// With much to keep, and as often as a host may.
    async fn sync(&mut self) -> Result<SyncAnswer, Refusal> {
        loop {
            let mut body = self.host.sync_body(Phase::Running);
            body.observed.last_error = Some("x".repeat(30_000));
            let asked = self.host.seal_sync(&body).unwrap();
            match self.send("sync", &asked).await {
                Err(Refusal {
                    code,
                    retry_after: Some(pause),
                    ..
                }) if code == "limited" => {
                    tokio::time::sleep(std::time::Duration::from_secs(pause.into())).await;
                }
                other => return other,
            }
        }
    }

    async fn send<T: burin_api::dsse::Payload>(
        &self,
        path: &str,
        asked: &Envelope,
    ) -> Result<T, Refusal> {
        let (good, answer) = post(&self.http, &self.url, path, asked).await;
        self.host.read(asked, good, &answer).unwrap()
    }
}

async fn post(
    http: &reqwest::Client,
    url: &str,
    path: &str,
    body: &impl serde::Serialize,
) -> (bool, Envelope) {
    let request = http.post(format!("{url}/h/1/{path}")).json(body);
    let answer = request.send().await.unwrap();
    (answer.status().is_success(), answer.json().await.unwrap())
}

#[tokio::test]
async fn while_the_disk_is_full_hosts_are_told_to_come_again() {
    if database::is_postgres() {
        return;
    }
    // A hub has lived here: its tables have their size.
    let site = Site::start().await;
    let token = site.token(json!({})).await;
    let folder = site.stop().await;
    let size = std::fs::metadata(folder.path().join("hub.db"))
        .unwrap()
        .len();
    let mut hub = Narrow::start(folder.path(), size / 512 + 64).await;
    hub.join(&token).await;
    let mut refused = None;
    for _ in 0..400 {
        if let Err(refusal) = hub.sync().await {
            refused = Some(refusal);
            break;
        }
    }
    busy::<()>(Err(refused.expect("the disk never was full")));
    assert!(hub.child.try_wait().unwrap().is_none(), "the hub ended");
    // Somebody made room (prlimit is in Debian's util-linux).
    let pid = hub.child.id().unwrap().to_string();
    let made = tokio::process::Command::new("prlimit")
        .args(["--pid", &pid, "--fsize=unlimited"])
        .status();
    assert!(made.await.unwrap().success());
    hub.sync().await.unwrap();
}
