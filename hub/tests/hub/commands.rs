//! The program itself: what it prints, and how it ends.

use std::path::Path;
use std::process::{Output, Stdio};

use burin_hub::db::Place;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::support::database;

pub(crate) fn program() -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_burin-hub")))
}

/// The program under `strace`, which counts some of its calls and kills it before one. It ends with
/// `strace` at the latest.
pub(crate) fn program_killed_at(call: &str, at: u32) -> Command {
    let mut strace = Command::new("strace");
    strace
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={call}"),
        ])
        .args(["-e", &format!("inject={call}:signal=SIGKILL:when={at}")])
        .args(["setpriv", "--pdeathsig", "KILL"])
        .arg(env!("CARGO_BIN_EXE_burin-hub"));
    without_settings(strace)
}

/// A command that no variable of the caller changes.
pub(crate) fn without_settings(mut command: Command) -> Command {
    command
        .env_remove("BURIN_HUB")
        .env_remove("BURIN_HUB_TOKEN")
        .env_remove("BURIN_HUB_PASSWORD")
        .env_remove("BURIN_HUB_USER")
        .env_remove("BURIN_TOKEN")
        .env_remove("BURIN_DATABASE_URL")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// A hub that runs, and its ready line.
pub(crate) async fn serve(data: &Path) -> (Child, Value) {
    serve_by(program(), data).await
}

pub(crate) async fn serve_by(command: Command, data: &Path) -> (Child, Value) {
    let (child, ready) = try_to_serve(command, data).await;
    (child, ready.unwrap())
}

/// No ready line when it ends before.
pub(crate) async fn try_to_serve(mut command: Command, data: &Path) -> (Child, Option<Value>) {
    if let Place::Server(url) = database::of(data).await {
        command.env("BURIN_DATABASE_URL", url.reveal());
    }
    let mut child = command
        .args(["serve", "--json", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).await.unwrap();
    (child, serde_json::from_str(&line).ok())
}

pub(crate) async fn run(data: &Path, arguments: &[&str]) -> Output {
    let mut command = program();
    command.arg("--data").arg(data).args(arguments);
    command.output().await.unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn commands_beside_the_hub_need_no_login_and_end_with_their_code() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (mut hub, ready) = serve(data).await;
    assert!(
        ready["admin_password"]
            .as_str()
            .is_some_and(|text| text.len() == 26)
    );

    let made = run(data, &["token", "create", "--label", "site=oslo"]).await;
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let token = text(&made.stdout).trim().to_owned();
    burin_api::token::Token::parse(&token).unwrap();
    let file = run(data, &["user-data", "--token", &token]).await;
    assert!(text(&file.stdout).starts_with("#cloud-config\n"));
    assert!(text(&file.stdout).contains(&token));
    let list = run(data, &["token", "list", "--json"]).await;
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(list[0]["labels"]["site"], "oslo");

    manages_people(data).await;
    let profile = data.join("bad.yaml");
    std::fs::write(&profile, "apiVersion: burin/v1\nkind: Profil\n").unwrap();
    let profile = profile.to_str().unwrap();
    for (arguments, code, said) in [
        (&["host", "show", "nobody"][..], 1, "nobody"),
        (&["registry", "add", "a/b"], 2, "a/b"),
        (&["profile", "publish", "/nowhere.yaml"], 2, "/nowhere.yaml"),
        (&["profile", "publish", profile], 2, "bad.yaml:2:7"),
        (&["profile", "show", "noversion"], 2, "no profile is called"),
        (&["token", "create", "--expires", "soon"], 2, "soon"),
        (&["token", "revoke", "00000000"], 1, "00000000"),
        (&["user-data", "--token", "BRN1-X"], 2, "token"),
        (&["user-data", "--token", ""], 2, "did the command"),
        (&["nonsense"], 2, "nonsense"),
        (&["password"], 2, "BURIN_HUB_PASSWORD"),
        (&["person", "add", "Anna", "--role", "viewer"], 2, "a-z"),
        (&["person", "close", "admin"], 1, "last admin"),
    ] {
        let done = run(data, arguments).await;
        let error = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
        assert!(done.stdout.is_empty(), "{arguments:?}");
    }

    refuses_a_second(data).await;
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
    let gone = run(data, &["host", "list"]).await;
    assert_eq!(gone.status.code(), Some(1), "{}", text(&gone.stderr));
}

async fn manages_people(data: &Path) {
    let made = run(data, &["person", "add", "anna", "--role", "technician"]).await;
    assert_eq!(text(&made.stdout).trim().len(), 26);
    let list = run(data, &["person", "list"]).await;
    assert!(text(&list.stdout).contains("anna   technician  first password"));
    let made = run(data, &["api-key", "create", "watch", "--role", "viewer"]).await;
    assert!(text(&made.stdout).starts_with("brk_"));
    let log = run(data, &["audit", "list"]).await;
    assert!(
        text(&log.stdout).contains("person.add"),
        "{}",
        text(&log.stdout)
    );
    let whole = run(data, &["audit", "verify"]).await;
    assert!(
        text(&whole.stdout).starts_with("whole: "),
        "{}",
        text(&whole.stdout)
    );
}

async fn refuses_a_second(data: &Path) {
    let mut second = program();
    if let Place::Server(url) = database::of(data).await {
        second.env("BURIN_DATABASE_URL", url.reveal());
    }
    second.args(["serve", "--listen", "127.0.0.1:0", "--data"]);
    let second = second.arg(data).output().await.unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(
        text(&second.stderr).contains("another hub"),
        "{}",
        text(&second.stderr)
    );
}

#[tokio::test]
async fn from_afar_certificate_and_password_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (_hub, ready) = serve(data).await;
    let url = format!("https://{}", ready["listen"].as_str().unwrap());
    let first = ready["admin_password"].as_str().unwrap();
    let password = "a password of my own";
    let fingerprint = ready["fingerprint"].as_str().unwrap();
    let ca = ready["ca"].as_str().unwrap();
    let other = "0".repeat(64);
    for (arguments, code, said) in [
        (&["host", "list"][..], 1, "change the first password"),
        (&["password"], 0, ""),
    ] {
        let mut command = program();
        command.args(["--hub", &url, "--ca", ca]).args(arguments);
        command.env("BURIN_HUB_PASSWORD", first);
        command.env("BURIN_HUB_NEW_PASSWORD", password);
        let done = command.output().await.unwrap();
        let error = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    for (trust, password, code, said) in [
        (["--fingerprint", fingerprint], Some(password), 0, ""),
        (["--ca", ca], Some(password), 0, ""),
        (["--ca", ca], Some("wrong"), 1, "password is wrong"),
        (["--fingerprint", &other], Some(password), 1, "fingerprint"),
        (["--fingerprint", "00"], Some(password), 2, "64"),
        (["--ca", ca], None, 2, "BURIN_HUB_PASSWORD"),
    ] {
        let mut command = program();
        command
            .args(["--hub", &url])
            .args(trust)
            .args(["host", "list", "--json"]);
        if let Some(password) = password {
            command.env("BURIN_HUB_PASSWORD", password);
        }
        let done = command.output().await.unwrap();
        let error = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{trust:?}: {error}");
        assert!(error.contains(said), "{trust:?}: {error}");
        if code == 0 {
            assert_eq!(text(&done.stdout).trim(), "[]");
        }
    }
    let nobody = program()
        .args(["--hub", &url, "host", "list"])
        .output()
        .await
        .unwrap();
    assert_eq!(nobody.status.code(), Some(2), "{}", text(&nobody.stderr));
}

#[tokio::test]
async fn a_hub_may_hold_a_connection_of_every_host_whatever_its_soft_limit_was() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -S -n 256; exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_burin-hub"));
    let (hub, _) = serve_by(command, data).await;
    let limits = format!("/proc/{}/limits", hub.id().unwrap());
    let limits = std::fs::read_to_string(limits).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = files.unwrap().split_whitespace().collect();
    assert_eq!(words[3], words[4], "soft and hard limit");
    assert_ne!(words[3], "256");
}
