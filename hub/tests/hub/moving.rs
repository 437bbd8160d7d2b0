//! From one database to the other and back.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use burin_api::message::Phase;
use burin_hub::db::Place;
use burin_hub::secret::Secret;
use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::commands::program;
use crate::support::host::Host;
use crate::support::{Site, copy_of, database, postgres};

async fn transfer(command: &str, place: &Place, file: &Path) -> Output {
    let mut program = program();
    program.arg(command).arg(file);
    match place {
        Place::File(file) => program.arg("--data").arg(file.parent().unwrap()),
        Place::Server(url) => program.env("BURIN_DATABASE_URL", url.reveal()),
    };
    program.output().await.unwrap()
}

pub(crate) async fn must(command: &str, place: &Place, file: &Path) {
    let done = transfer(command, place, file).await;
    let error = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{command}: {error}");
}

/// All lines but the first, which tells the time, and the last, which has the sum of all.
fn rows(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let header: Value = serde_json::from_str(&lines.remove(0)).unwrap();
    assert_eq!(header["burin_hub_export"], 1);
    let end: Value = serde_json::from_str(&lines.pop().unwrap()).unwrap();
    assert_eq!(end["rows"], lines.len());
    lines
}

/// An empty database of the kind that the suite does not run on.
async fn other_kind(folder: &Path) -> Place {
    if database::is_postgres() {
        Place::in_folder(folder)
    } else {
        Place::Server(Secret::new(postgres::database().await))
    }
}

/// A hub with a host that has synced, and texts that are easy to spoil.
async fn lived_in() -> (Site, Host, String) {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let token = site.token(json!({ "labels": { "site": "Tromsø 'x' \"y\" \\ \u{1f980}" } }));
    let token = token.await;
    let mut host = Host::boot(&site, "S1", "b1").await;
    let uid = host.join(&site, &token).await;
    host.open(&site, &uid).await.unwrap();
    let mut body = host.sync_body(Phase::Running);
    body.observed.last_error = Some("line one\nline two\u{0}\t$1".to_owned());
    host.sync(&site, &body).await.unwrap();
    site.post("/api/v1/projects", json!({ "name": "oslo" }))
        .await;
    let key = json!({ "name": "ci", "role": "viewer", "project": "oslo" });
    site.post("/api/v1/api-keys", key).await;
    (site, host, uid)
}

#[tokio::test]
async fn a_database_is_the_same_after_it_went_to_the_other_kind_and_back() {
    let (site, mut host, uid) = lived_in().await;
    let before = site.get(&format!("/api/v1/hosts/{uid}")).await;
    let home = site.stop().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| -> PathBuf { folder.path().join(name) };

    must("export", &database::of(home.path()).await, &file("first")).await;
    let mode = std::fs::metadata(file("first"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let abroad = copy_of(home.path());
    let place = other_kind(abroad.path()).await;
    must("import", &place, &file("first")).await;
    must("export", &place, &file("second")).await;
    let back = copy_of(home.path());
    let place_back = database::of(back.path()).await;
    must("import", &place_back, &file("second")).await;
    must("export", &place_back, &file("third")).await;

    let first = rows(&file("first"));
    for text in ["Tromsø", "\"role_binding\"", "\"project\":\"oslo\""] {
        assert!(first.iter().any(|row| row.contains(text)), "{first:?}");
    }
    assert!(first.len() > 10, "{first:?}");
    assert_eq!(first, rows(&file("second")));
    assert_eq!(first, rows(&file("third")));

    // The host does not notice: its session goes on, a replay is still one.
    let site = Site::at(abroad, |args| {
        args.database = place;
        args.interval = Some(1);
    })
    .await;
    let mut after = site.get(&format!("/api/v1/hosts/{uid}")).await;
    // Time went on between the two.
    after["silent"] = before["silent"].clone();
    assert_eq!(after, before);
    assert!(site.running.ready.admin_password.is_none());
    let mut old = host.sync_body(Phase::Running);
    old.sequence = 1;
    let refused = host.sync(&site, &old).await.unwrap_err();
    assert_eq!(refused.code, "sequence");
    let body = host.sync_body(Phase::Running);
    host.sync(&site, &body).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_not_whole_or_not_ours_leaves_the_database_empty() {
    let (site, _, _) = lived_in().await;
    let home = site.stop().await;
    let place = database::of(home.path()).await;
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    must("export", &place, &good).await;
    let text = std::fs::read_to_string(&good).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without_end = text.rsplit_once("\n{").unwrap().0.to_owned() + "\n";
    let target_folder = tempfile::tempdir().unwrap();
    let target = database::of(target_folder.path()).await;
    let bad = folder.path().join("bad");
    for (content, said) in [
        (String::new(), "the file is empty"),
        ("{}\n".to_owned(), "not the header"),
        (text.replacen("_export\":1", "_export\":2", 1), "format 2"),
        (
            text.replacen("\"tables\":", "\"tables\":9", 1),
            "one version",
        ),
        (without_end, "it was cut"),
        (text[..text.len() / 2].to_owned(), "has no end"),
        (text.replacen("ID-S1", "ID-S9", 1), "was changed"),
        (
            text.replacen(&format!("{}\n", lines[4]), "", 1),
            "was changed",
        ),
        (
            text.replacen("\"table\":\"host\"", "\"table\":\"host; --\"", 1),
            "no such table",
        ),
        (
            text.replacen("\"host_id\":", "\"host_id) VALUES (1); --\":", 1),
            "has the columns",
        ),
        (format!("{text}x\n"), "something follows"),
    ] {
        assert_ne!(content, text, "{said}");
        std::fs::write(&bad, content).unwrap();
        let done = transfer("import", &target, &bad).await;
        let error = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{error}");
        assert!(error.contains(said), "{error}");
    }
    // Nothing of the bad ones is left, or the good one would be refused.
    must("import", &target, &good).await;
    let again = transfer("import", &target, &good).await;
    let error = String::from_utf8(again.stderr).unwrap();
    assert!(error.contains("the database is not empty"), "{error}");
}

#[tokio::test]
async fn an_export_overwrites_nothing_and_leaves_nothing_half() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let nothing = Place::in_folder(&folder.path().join("nothing"));
    let done = transfer("export", &nothing, &file).await;
    assert_eq!(done.status.code(), Some(1));
    assert!(!file.exists());

    let url = postgres::database().await;
    let site = Site::with(|args| args.database = Place::Server(Secret::new(url.clone()))).await;
    drop(site.stop().await);
    let mut admin = <sqlx::PgConnection as sqlx::Connection>::connect(&url)
        .await
        .unwrap();
    let place = Place::Server(Secret::new(url));
    admin
        .execute("ALTER TABLE audit ALTER COLUMN time TYPE NUMERIC")
        .await
        .unwrap();
    let done = transfer("export", &place, &file).await;
    let error = String::from_utf8(done.stderr).unwrap();
    assert!(error.contains("reading the table audit"), "{error}");
    assert!(!file.exists());

    std::fs::write(&file, "mine").unwrap();
    assert!(!transfer("export", &place, &file).await.status.success());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}
