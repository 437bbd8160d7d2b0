//! What a host says of itself is shown to people: on pages, in terminals, in exports.

use std::path::Path;

use burin_api::event::{Event, EventKind, Finding, Progress, Severity};
use burin_api::host::DiskEvidence;
use burin_api::message::{Enroll, EnrollAnswer, Phase};
use burin_core::display::disturbs;
use burin_core::identity::{HostId, Source};
use serde_json::json;

use crate::commands::program;
use crate::support::Site;
use crate::support::browser::Browser;
use crate::support::host::{Host, code, reason};

/// A script, an attribute's end, a terminal's commands in both spellings, turned text, a NUL, a row of
/// its own, and no end.
fn evil() -> String {
    format!(
        "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{{{7*7}}}}\x1b[2J\u{9b}31m\
         \x1b]0;title\x07\u{202e}txt.exe\u{2066}\0\r\nroot  accepted  {}",
        "long".repeat(200)
    )
}

fn disks() -> Vec<DiskEvidence> {
    let disk = DiskEvidence {
        name: evil(),
        model: evil(),
        serial: evil(),
        content: evil(),
        ..DiskEvidence::default()
    };
    vec![disk]
}

fn event() -> Event {
    Event {
        id: "e-1".to_owned(),
        sequence: 1,
        boot_id: evil(),
        monotonic: 1,
        time: u64::MAX,
        operation: evil(),
        step: evil(),
        kind: EventKind::Failed,
        message: evil(),
        causes: vec![evil(), evil()],
    }
}

/// A host that says nothing else in every field that is its own.
async fn stranger(site: &Site) -> (Host, String) {
    let mut host = Host::boot(site, "S1", "b").await;
    host.host_id = HostId::derive(Source::Random, "stranger").to_string();
    let evidence = &mut host.evidence;
    (evidence.vendor, evidence.product) = (evil(), evil());
    (evidence.serial, evidence.uuid) = (evil(), evil());
    (evidence.board_vendor, evidence.board_serial) = (evil(), evil());
    (evidence.cpu, evidence.macs) = (evil(), vec![evil()]);
    evidence.disks = disks();
    evidence.modaliases = vec![evil()];
    host.findings = vec![Finding {
        name: evil(),
        measured: evil(),
        required: evil(),
        severity: Severity::Warn,
        advice: evil(),
    }];
    let mut body: Enroll = host.enroll_body(host.nonce(site).await, None);
    body.labels = [(evil(), evil())].into();
    let envelope = host.seal_enroll(&body, None);
    let answer = host.send::<EnrollAnswer>(site, "enroll", &envelope).await;
    assert_eq!(reason(answer), "no_token");
    let path = format!("/api/v1/hosts/{}", host.host_id);
    let uid = site.get(&path).await["uid"].as_str().unwrap().to_owned();
    (host, uid)
}

async fn speaks(site: &Site, host: &mut Host, uid: &str) {
    host.evidence.serial = "short".to_owned();
    host.open(site, uid).await.unwrap();
    let mut body = host.sync_body(Phase::Installing);
    body.progress = Some(Progress {
        step: evil(),
        position: 1,
        steps: 2,
        done: u64::MAX,
        total: 1,
        left: Some(u64::MAX),
    });
    body.observed.generation = Some(u64::MAX);
    body.observed.kernel = Some(evil());
    body.observed.kubernetes = Some(evil());
    body.observed.root_digest = Some(evil());
    body.observed.last_error = Some(evil());
    body.observed.address = Some(evil());
    body.findings.clone_from(&host.findings);
    body.events = vec![event()];
    host.sync(site, &body).await.unwrap();
}

fn harmless(what: &str, text: &str) {
    for part in ["<script>alert", "<img src=x", "\"'>", "title\x07"] {
        assert!(!text.contains(part), "{what}: {part}");
    }
    let bad = text
        .chars()
        .find(|c| !matches!(c, '\n' | '\t') && disturbs(*c));
    assert_eq!(bad, None, "{what}");
}

#[tokio::test]
async fn no_page_carries_what_a_host_wrote_as_anything_but_text() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let (mut host, uid) = stranger(&site).await;
    let mut browser = Browser::admin(&site).await;
    let claim = format!("/R/{}", host.link(&site).rsplit('/').next().unwrap());
    let claimed = browser.get(&claim).await;
    let claim = format!("/c/{}", host.label());
    assert_eq!(claimed.location, claim, "{}", claimed.text);
    let pages = async |browser: &mut Browser<'_>| {
        for path in [
            "/hosts",
            "/tokens",
            "/profiles",
            "/people",
            "/projects",
            "/audit",
            "/c",
            &claim,
        ] {
            let page = browser.get(path).await;
            assert_eq!(page.status, 200, "{path}");
            harmless(path, &page.text);
        }
        let page = browser.get(&format!("/hosts/{uid}")).await;
        assert!(page.text.contains("&#60;script&#62;") || page.text.contains("&lt;script&gt;"));
        harmless("the host's page", &page.text);
        page.text
    };
    pages(&mut browser).await;
    let path = format!("/api/v1/hosts/{uid}/approve");
    site.post(&path, json!({ "key": host.label() })).await;
    speaks(&site, &mut host, &uid).await;
    let page = pages(&mut browser).await;
    assert!(
        page.contains("tried again") || page.contains("failed"),
        "the event is there"
    );
    let metrics = site.http.get(format!("{}/metrics", site.url));
    let metrics = metrics.bearer_auth(&site.key).send().await.unwrap();
    harmless("metrics", &metrics.text().await.unwrap());
}

#[tokio::test]
async fn what_is_asked_for_is_repeated_as_text_only() {
    let site = Site::start().await;
    let mut browser = Browser::admin(&site).await;
    let asked: String = form_urlencoded::byte_serialize(evil().as_bytes()).collect();
    for path in [
        format!("/hosts?q={asked}"),
        format!("/hosts?state={asked}&label={asked}"),
        format!("/hosts/{asked}"),
        format!("/hosts/x?done={asked}"),
        format!("/R/{asked}"),
        format!("/c/{asked}"),
        format!("/login?next={asked}"),
        format!("/profiles/{asked}/{asked}"),
        format!("/audit?before={asked}"),
        format!("/tokens/{asked}"),
        format!("/{asked}"),
    ] {
        let page = browser.get(&path).await;
        for part in ["<script>alert", "<img src=x", "\"'>"] {
            assert!(!page.text.contains(part), "{path}: {part}");
        }
        assert!(page.status < 500, "{path}: {}", page.status);
    }
    let typed = browser.post("/c", &[("code", &evil())]).await;
    assert!(!typed.text.contains("<script>alert"), "{}", typed.text);
}

async fn run(data: &Path, arguments: &[&str]) -> String {
    let mut command = program();
    command.arg("--data").arg(data).args(arguments);
    let ran = command.output().await.unwrap();
    let error = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success(), "{arguments:?}: {error}");
    String::from_utf8(ran.stdout).unwrap()
}

#[tokio::test]
async fn no_command_prints_what_a_terminal_would_obey() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let (mut host, uid) = stranger(&site).await;
    let path = format!("/api/v1/hosts/{uid}/approve");
    site.post(&path, json!({ "key": host.label() })).await;
    speaks(&site, &mut host, &uid).await;
    let data = site.folder.path();
    for (arguments, rows) in [
        (vec!["host", "list"], Some(2)),
        (vec!["host", "show", &uid], None),
        (vec!["event", "list"], Some(2)),
        (vec!["--json", "host", "list"], Some(1)),
        (vec!["--json", "host", "show", &uid], Some(1)),
        (vec!["--json", "event", "list"], Some(1)),
    ] {
        let said = run(data, &arguments).await;
        let bad = said.chars().find(|c| *c != '\n' && disturbs(*c));
        assert_eq!(bad, None, "{arguments:?}: {said:?}");
        assert!(said.contains("script"), "{arguments:?}: {said}");
        if let Some(rows) = rows {
            assert_eq!(said.lines().count(), rows, "{arguments:?}: {said}");
        }
    }
}

#[tokio::test]
async fn odd_names_of_tokens_hosts_and_sessions_are_unknown_and_no_fault_of_the_hub() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let token = site.token(json!({ "uses": 9 })).await;
    let mut host = Host::boot(&site, "S1", "b").await;
    let mut body = host.enroll_body(host.nonce(&site).await, None);
    body.token_id = Some("a\0b".to_owned());
    let envelope = host.seal_enroll(&body, None);
    let answer = host.send::<EnrollAnswer>(&site, "enroll", &envelope).await;
    assert_eq!(code(answer), "token_unknown");
    let uid = host.join(&site, &token).await;
    assert_eq!(code(host.open(&site, "u\0").await), "bad_request");
    assert_eq!(code(host.open(&site, "nobody").await), "host_unknown");
    host.boot_id = "x".repeat(65);
    assert_eq!(code(host.open(&site, &uid).await), "bad_request");
    host.boot_id = "b".to_owned();
    host.open(&site, &uid).await.unwrap();
    let mut body = host.sync_body(Phase::Running);
    body.session.push('\0');
    assert_eq!(code(host.sync(&site, &body).await), "session_unknown");
    for etag in ["a\0", &"x".repeat(129)] {
        let mut body = host.sync_body(Phase::Running);
        body.etag = Some(etag.to_owned());
        assert_eq!(code(host.sync(&site, &body).await), "bad_request");
    }
    let body = host.sync_body(Phase::Running);
    host.sync(&site, &body).await.unwrap();
}
