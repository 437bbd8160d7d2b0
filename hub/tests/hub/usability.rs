//! What the program tells people who do something that does not go, and what it remembers.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::commands::{program, run, serve, serve_by, text, without_settings};
use crate::support::{database, iso};

async fn end(mut hub: Child) {
    let pid = hub.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .arg(pid)
            .status()
            .await
            .unwrap()
            .success()
    );
    assert_eq!(hub.wait().await.unwrap().code(), Some(0));
}

/// A hub that is started with further options.
async fn serve_with(data: &Path, options: &[&str]) -> (Child, Value) {
    // The options of `serve` that every test gives come behind its name.
    let mut command = Command::new("sh");
    let script = format!("exec \"$0\" \"$@\" {}", options.join(" "));
    command.args(["-c", &script, env!("CARGO_BIN_EXE_burin-hub")]);
    command.env_remove("BURIN_DATABASE_URL");
    serve_by(command, data).await
}

#[tokio::test]
async fn the_public_url_is_remembered_and_its_absence_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, ready) = serve(folder.path()).await;
    let warning = ready["warning"].as_str().unwrap();
    assert!(warning.contains("only this machine reaches"), "{warning}");
    assert!(warning.contains("--public-url https://"), "{warning}");
    end(hub).await;
    let given = ["--public-url", "https://hub.example:8443/"];
    let (hub, ready) = serve_with(folder.path(), &given).await;
    assert_eq!(ready["url"], "https://hub.example:8443");
    assert_eq!(ready["warning"], Value::Null);
    end(hub).await;
    let (hub, ready) = serve(folder.path()).await;
    assert_eq!(ready["url"], "https://hub.example:8443");
    assert_eq!(ready["warning"], Value::Null);
    let file = run(folder.path(), &["user-data"]).await;
    assert!(text(&file.stdout).contains("https://hub.example:8443"));
    end(hub).await;
}

#[tokio::test]
async fn a_public_url_that_no_host_reads_is_refused_and_not_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    if let burin_hub::db::Place::Server(url) = database::of(folder.path()).await {
        command.env("BURIN_DATABASE_URL", url.reveal());
    }
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(folder.path());
    command.args(["--public-url", "https://hub.example/path"]);
    let done = command.output().await.unwrap();
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("more than a host and a port"), "{said}");
    let (hub, ready) = serve(folder.path()).await;
    assert!(
        ready["url"].as_str().unwrap().contains("127.0.0.1"),
        "{ready}"
    );
    end(hub).await;
}

#[tokio::test]
async fn the_absence_of_the_public_url_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    if let burin_hub::db::Place::Server(url) = database::of(folder.path()).await {
        command.env("BURIN_DATABASE_URL", url.reveal());
    }
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(folder.path());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut hub = command.spawn().unwrap();
    let mut out = BufReader::new(hub.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("\nroot: ") {
        assert_ne!(out.read_line(&mut said).await.unwrap(), 0, "{said}");
    }
    let mut log = hub.stderr.take().unwrap();
    end(hub).await;
    let mut logged = String::new();
    log.read_to_string(&mut logged).await.unwrap();
    out.read_to_string(&mut said).await.unwrap();
    let all = said + &logged;
    assert_eq!(all.matches("only this machine reaches").count(), 1, "{all}");
    assert!(
        logged.contains("WARN"),
        "a collector knows it as a warning: {logged}"
    );
}

#[tokio::test]
async fn errors_of_the_command_line_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (hub, ready) = serve(data).await;
    let other = tempfile::tempdir().unwrap();
    let mut second = program();
    if let burin_hub::db::Place::Server(url) = database::of(other.path()).await {
        second.env("BURIN_DATABASE_URL", url.reveal());
    }
    second.args([
        "serve",
        "--listen",
        ready["listen"].as_str().unwrap(),
        "--data",
    ]);
    let taken = second.arg(other.path()).output().await.unwrap();
    assert_eq!(taken.status.code(), Some(1));
    let error = text(&taken.stderr);
    assert!(error.contains("another program listens there"), "{error}");

    let made = run(data, &["token", "create"]).await;
    let token = text(&made.stdout).trim().to_owned();
    let revoked = run(data, &["token", "revoke", &token]).await;
    assert_eq!(revoked.status.code(), Some(0), "{}", text(&revoked.stderr));
    assert!(text(&revoked.stdout).contains("is revoked"));
    let foreign = burin_api::token::Token::from_seed([3; 16]).reveal();
    let absent = data.join("absent");
    let absent = absent.to_str().unwrap();
    for (arguments, code, said) in [
        (
            &["user-data", "--token", &token][..],
            2,
            "was revoked; make a new one",
        ),
        (
            &["user-data", "--token", &foreign],
            2,
            "was not made by this hub",
        ),
        (&["token", "revoke", &foreign], 1, "no token has the id"),
        (
            &["token", "revoke", &foreign[..20]],
            1,
            "the 8 digits after BRN1-",
        ),
        (&["profile", "show", "retail"], 2, "burin-hub profile list"),
        (&["iso", "download", "--out", absent], 1, "--iso FILE"),
    ] {
        let done = run(data, arguments).await;
        let error = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
        for secret in [&token[14..], &foreign[14..]] {
            assert!(!error.contains(secret), "{arguments:?}: {error}");
        }
    }
    end(hub).await;
    let gone = run(data, &["host", "list"]).await;
    let error = text(&gone.stderr);
    assert!(error.contains("nothing listens there"), "{error}");
}

/// What `host list` says on standard error with an API key, of a hub that is trusted by a certificate.
async fn by_url(url: &str, ca: &Path, key: &str) -> String {
    let mut command = without_settings(Command::new(env!("CARGO_BIN_EXE_burin-hub")));
    command.args(["host", "list", "--hub", url, "--ca"]).arg(ca);
    let done = command.env("BURIN_HUB_TOKEN", key).output().await.unwrap();
    assert_ne!(done.status.code(), Some(0));
    text(&done.stderr).to_owned()
}

#[tokio::test]
async fn a_hub_that_is_not_reached_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, ready) = serve(folder.path()).await;
    let url = format!("https://{}", ready["listen"].as_str().unwrap());
    let ca = Path::new(ready["ca"].as_str().unwrap());
    let none = folder.path().join("none.pem");
    std::fs::write(&none, "kind: Profile\n").unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let other = folder.path().join("other.pem");
    std::fs::write(&other, made.cert.pem()).unwrap();
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_url = format!("https://{}", plain.local_addr().unwrap());
    let speaks = tokio::spawn(async move {
        let (mut socket, _) = plain.accept().await.unwrap();
        socket
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        assert_ne!(socket.read(&mut [0; 1024]).await.unwrap(), 0);
    });
    for (url, ca, said) in [
        (&*url, ca, "look at BURIN_HUB_TOKEN"),
        (&url, &none, "the CA file holds no certificate"),
        (&url, &other, "signed by nobody who is trusted here"),
        (&plain_url, &other, "it does not speak TLS"),
    ] {
        let error = by_url(url, ca, "no-key").await;
        assert!(error.contains(said), "{said}: {error}");
        assert!(!error.contains("error sending request"), "{error}");
    }
    speaks.await.unwrap();
    end(hub).await;
}

#[tokio::test]
async fn an_iso_is_downloaded_by_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base.iso");
    iso::write(&base, "EFI/BOOT/BOOTX64.EFI");
    let data = folder.path().join("hub");
    std::fs::create_dir(&data).unwrap();
    let (hub, _) = serve_with(&data, &["--iso", base.to_str().unwrap()]).await;
    let list = run(&data, &["iso", "list"]).await;
    assert!(
        text(&list.stdout).contains("amd64"),
        "{}",
        text(&list.stderr)
    );
    let out = folder.path().join("made.iso");
    let out = out.to_str().unwrap();
    let more = folder.path().join("more.yaml");
    std::fs::write(&more, "#cloud-config\nbruin: {}\n").unwrap();
    let wrong = [
        "iso",
        "download",
        "--out",
        out,
        "--user-data",
        more.to_str().unwrap(),
    ];
    let done = run(&data, &wrong).await;
    assert_eq!(done.status.code(), Some(2));
    let error = text(&done.stderr);
    assert!(
        error.contains("more.yaml:2:1: error: unknown key"),
        "{error}"
    );
    let asked = [
        "iso",
        "download",
        "--out",
        out,
        "--new-token",
        "--uses",
        "4",
        "--json",
    ];
    let done = run(&data, &asked).await;
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("\"progress\":\"fetching the ISO\""));
    let made: Value = serde_json::from_slice(&done.stdout).unwrap();
    let read = burin_core::userdata::parse(&iso::user_data(Path::new(out))).unwrap();
    let token = read.token.unwrap().expose().to_owned();
    assert_eq!(made["token_id"], token[5..13]);
    assert!(
        !text(&done.stdout).contains(&token[14..]) && !text(&done.stderr).contains(&token[14..])
    );
    assert!(!Path::new(&format!("{out}.part")).exists());
    let again = run(&data, &asked).await;
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("is there already"));
    end(hub).await;
}
