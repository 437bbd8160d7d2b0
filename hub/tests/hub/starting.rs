//! `serve` in folders that it did not make, or that lost something.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::codes::set_up;
use crate::commands::{program, run, serve, text};
use crate::moving::must;
use crate::support::browser::Browser;
use crate::support::{Site, copy_of, database};

/// A start that has to end by itself.
async fn refused(data: &Path) -> String {
    let mut command = program();
    if let burin_hub::db::Place::Server(url) = database::of(data).await {
        command.env("BURIN_DATABASE_URL", url.reveal());
    }
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]);
    let done: Output = tokio::time::timeout(Duration::from_secs(20), command.arg(data).output())
        .await
        .expect("it goes on")
        .unwrap();
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(done.stdout.is_empty());
    said
}

fn mode(folder: &Path) -> u32 {
    std::fs::metadata(folder).unwrap().permissions().mode() & 0o777
}

fn names(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn a_folder_of_something_else_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open.clone()).unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    let said = refused(folder.path()).await;
    assert!(said.contains("holds no hub"), "{said}");
    assert!(said.contains("`src`") && said.contains("--data"));
    assert_eq!(names(folder.path()), ["src"]);
    assert_eq!(mode(folder.path()), 0o755);

    // An empty one is taken, with what a new file system has.
    let empty = tempfile::tempdir().unwrap();
    std::fs::create_dir(empty.path().join("lost+found")).unwrap();
    std::fs::set_permissions(empty.path(), open).unwrap();
    let (hub, ready) = serve(empty.path()).await;
    assert_eq!(ready["new_hub_in"], empty.path().to_str().unwrap());
    assert_eq!(mode(empty.path()), 0o700);
    drop(hub);
}

#[tokio::test]
async fn a_new_hub_is_called_one_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("hub");
    let mut command = program();
    if let burin_hub::db::Place::Server(url) = database::of(&data).await {
        command.env("BURIN_DATABASE_URL", url.reveal());
    }
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(&data).stdout(Stdio::piped());
    let mut hub = command.spawn().unwrap();
    let mut out = BufReader::new(hub.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("\nroot: ") {
        assert_ne!(out.read_line(&mut said).await.unwrap(), 0, "{said}");
    }
    let want = format!("\nmade a new hub in {}\n", data.display());
    assert!(said.contains(&want), "{said}");
    assert_eq!(mode(&data), 0o700);
    hub.kill().await.unwrap();
    let (_hub, ready) = serve(&data).await;
    assert_eq!(ready["new_hub_in"], Value::Null);
}

#[tokio::test]
async fn keys_without_their_database_start_no_empty_hub() {
    if database::is_postgres() {
        // No file of the folder tells of a database elsewhere.
        return;
    }
    let site = Site::start().await;
    site.token(json!({})).await;
    let home = site.stop().await;
    let place = database::of(home.path()).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("export");
    must("export", &place, &file).await;

    let copy = copy_of(home.path());
    let before = names(copy.path()).len();
    let said = refused(copy.path()).await;
    assert!(said.contains("is gone or empty"), "{said}");
    assert!(said.contains("restore it from a backup"), "{said}");
    assert_eq!(names(copy.path()).len(), before);
    must("import", &database::of(copy.path()).await, &file).await;
    let site = Site::at(copy, |_| {}).await;
    assert!(site.running.ready.new_hub_in.is_none());
    let tokens = site.get("/api/v1/tokens").await;
    assert_eq!(tokens.as_array().unwrap().len(), 1);

    // Keys that `root init` made wait for their first start.
    let init = tempfile::tempdir().unwrap();
    let key = elsewhere.path().join("root.key");
    let arguments = ["root", "init", "--root-key", key.to_str().unwrap()];
    let made = run(init.path(), &arguments).await;
    assert!(made.status.success(), "{}", text(&made.stderr));
    let site = Site::at(init, |_| {}).await;
    assert!(site.running.ready.new_hub_in.is_some());
}

#[tokio::test]
async fn a_damaged_file_is_named_at_once() {
    if database::is_postgres() {
        return;
    }
    let folder = Site::start().await.stop().await;
    let file = folder.path().join("hub.db");
    let good = std::fs::read(&file).unwrap();
    std::fs::write(&file, "junk\n").unwrap();
    let said = refused(folder.path()).await;
    let want = format!(
        "burin-hub: {} is no SQLite database; restore it from a backup\n",
        file.display()
    );
    assert_eq!(said, want);

    // Its header is left, and of its tables nothing.
    let mut bad = good;
    bad[100..].fill(0xff);
    std::fs::write(&file, bad).unwrap();
    let said = refused(folder.path()).await;
    assert!(said.contains("hub.db is damaged; restore it"), "{said}");
}

#[tokio::test]
async fn lost_keys_of_secrets_are_told_at_the_start_and_at_the_login() {
    let site = Site::start().await;
    let mut browser = Browser::admin(&site).await;
    let (codes, _, recovery) = set_up(&mut browser).await;
    let registry = json!({ "host": "registry.example" });
    site.post("/api/v1/registries", registry).await;
    let given = json!({ "username": "fleet", "password": "secret" });
    let path = "/api/v1/registries/registry.example/credentials";
    let (status, body) = site.ask(reqwest::Method::PUT, path, Some(given)).await;
    assert_eq!(status, 204, "{body}");
    let folder = site.stop().await;
    for name in ["people.key", "secrets.key"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    let said = log_of_a_start(folder.path()).await;
    for want in [
        "the one-time codes of admin cannot be checked",
        "person forget-code NAME",
        "secrets.key was missing",
        "burin-hub registry add registry.example",
    ] {
        assert!(said.contains(want), "{want}: {said}");
    }

    let site = Site::at(folder, |_| {}).await;
    let mut browser = Browser::new(&site);
    let next = browser.log_in("admin", Browser::PASSWORD).await;
    assert!(next.starts_with("/login/code"), "{next}");
    let code = codes.at(0);
    let answer = browser.post("/login/code", &[("code", &code)]).await;
    assert_eq!(answer.status, 409, "{}", answer.text);
    assert!(
        answer.text.contains("person forget-code admin"),
        "{}",
        answer.text
    );
    let answer = browser.post("/login/code", &[("code", &recovery[0])]).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
}

/// What a hub writes on standard error until it is ready.
async fn log_of_a_start(data: &Path) -> String {
    let mut command = program();
    if let burin_hub::db::Place::Server(url) = database::of(data).await {
        command.env("BURIN_DATABASE_URL", url.reveal());
    }
    command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data).stdout(Stdio::piped());
    let mut hub = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    let mut out = BufReader::new(hub.stdout.take().unwrap());
    out.read_line(&mut ready).await.unwrap();
    hub.start_kill().unwrap();
    let done = hub.wait_with_output().await.unwrap();
    text(&done.stderr)
}
