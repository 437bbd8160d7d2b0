//! From a published version to a signed one: the engineer's commands, and what the hub takes in.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::commands::{run, serve, text};
use crate::publishing::{GOOD, os};
use crate::support::registry::Registry;

/// What a command prints as JSON.
pub(crate) async fn good(data: &Path, arguments: &[&str]) -> Value {
    let done = run(data, &[&["--json"], arguments].concat()).await;
    assert!(
        done.status.success(),
        "{arguments:?}: {}",
        text(&done.stderr)
    );
    serde_json::from_slice(&done.stdout).unwrap_or_default()
}

/// What a command says that does not do it.
pub(crate) async fn bad(data: &Path, arguments: &[&str]) -> String {
    let done = run(data, arguments).await;
    assert!(!done.status.success(), "{arguments:?}");
    assert!(done.stdout.is_empty(), "{arguments:?}");
    text(&done.stderr)
}

/// Signs a statement after looking at it.
async fn signed(data: &Path, key: &str, statement: &Value, more: &[&str]) -> String {
    let file = data.join("statement.json");
    std::fs::write(&file, statement.to_string()).unwrap();
    let command = ["release", "sign", "--key", key, file.to_str().unwrap()];
    let command = [&command, more].concat();
    let shown = bad(data, &command).await;
    let digest = &shown.rsplit("--examined ").next().unwrap()[..12];
    let envelope = good(data, &[&command[..], &["--examined", digest]].concat()).await;
    let file = data.join(format!("{digest}.json"));
    std::fs::write(&file, envelope.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Publishes `edge@1.0.0` and returns the file of its document.
async fn publish(data: &Path, registry: &Registry) -> PathBuf {
    registry.push("os/debian", "13", &[os(GOOD)]);
    good(data, &["registry", "add", &registry.host, "--plain-http"]).await;
    let profile = data.join("edge.yaml");
    let document = format!(
        "apiVersion: burin/v1\nkind: Profile\nmetadata: {{ name: edge, version: 1.0.0 }}\n\
         layers:\n  - os: {{ image: {}/os/debian:13 }}\n",
        registry.host
    );
    std::fs::write(&profile, &document).unwrap();
    good(data, &["profile", "publish", profile.to_str().unwrap()]).await;
    profile
}

#[tokio::test]
async fn a_version_is_signed_off_the_hub_and_only_as_it_was_published() {
    let (folder, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = folder.path();
    let key = |name: &str| stick.path().join(name).to_str().unwrap().to_owned();
    good(data, &["root", "init", "--root-key", &key("root")]).await;
    for name in ["release", "foreign"] {
        good(data, &["release", "key", "init", &key(name)]).await;
    }
    let public = format!("{}.pub", key("release"));
    let root = key("root");
    let rotate = ["root", "rotate", "--root-key", &root];
    good(
        data,
        &[&rotate[..], &["--add-release-key", &public]].concat(),
    )
    .await;
    let (_hub, _) = serve(data).await;
    let registry = Registry::start().await;
    let profile = publish(data, &registry).await;

    let statement = good(data, &["release", "export", "edge@1.0.0"]).await;
    assert_eq!(statement["counter"], 1);
    refuses_what_was_not_examined(data, &key("release"), &statement, &profile).await;
    let own = ["--profile", profile.to_str().unwrap()];
    let envelope = signed(data, &key("release"), &statement, &own).await;
    good(data, &["release", "verify", "--key", &public, &envelope]).await;
    let foreign = format!("{}.pub", key("foreign"));
    let wrong = bad(data, &["release", "verify", "--key", &foreign, &envelope]).await;
    assert!(wrong.contains("none of the keys"), "{wrong}");
    let first = good(data, &["release", "import", &envelope]).await;
    assert_eq!(first["state"], "good");
    assert_eq!(good(data, &["release", "import", &envelope]).await, first);

    // What was signed elsewhere, by somebody else, with a counter that was used, or of other content.
    let mut other = statement.clone();
    other["release"]["layers"][0]["manifest"] = json!(format!("sha256:{}", "0".repeat(64)));
    for (name, statement, counter, said) in [
        ("foreign", &statement, "2", "no key"),
        ("release", &statement, "1", "counter 1 was used"),
        ("release", &other, "3", "another release"),
    ] {
        let envelope = signed(data, &key(name), statement, &["--counter", counter]).await;
        let error = bad(data, &["release", "import", &envelope]).await;
        assert!(error.contains(said), "{error}");
    }
    let envelope = signed(data, &key("release"), &statement, &["--counter", "7"]).await;
    good(data, &["release", "import", &envelope]).await;
    let list = good(data, &["release", "list"]).await;
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(list[0]["counter"], 7);
    let shown = good(data, &["profile", "show", "edge@1.0.0"]).await;
    assert_eq!(shown["signature"]["counter"], 7);
    assert_eq!(
        good(data, &["release", "export", "edge@1.0.0"]).await["counter"],
        8
    );
    let log = text(&run(data, &["audit", "list"]).await.stdout);
    assert_eq!(log.matches("release.import").count(), 2, "{log}");
}

async fn refuses_what_was_not_examined(data: &Path, key: &str, statement: &Value, own: &Path) {
    let file = data.join("altered.json");
    let alter = |change: &dyn Fn(&mut Value)| {
        let mut statement = statement.clone();
        change(&mut statement);
        std::fs::write(&file, statement.to_string()).unwrap();
    };
    let own = own.to_str().unwrap();
    let sign = [
        "release",
        "sign",
        "--key",
        key,
        "--profile",
        own,
        file.to_str().unwrap(),
    ];
    for (change, said) in [
        (
            (&|it: &mut Value| it["release"]["backdoor"] = json!(true)) as &dyn Fn(&mut Value),
            "does not know",
        ),
        (
            &|it| it["release"]["cmdline"] = json!(["debug"]),
            "the kernel's arguments differs",
        ),
        (
            &|it| it["release"]["layers"][0]["repository"] = json!("os/other"),
            "layer os differs",
        ),
        (
            &|it| it["release"]["layers"][0]["name"] = json!("../os"),
            "no host would take",
        ),
        (&|it| it["counter"] = json!(0), "counters begin at 1"),
    ] {
        alter(change);
        let error = bad(data, &sign).await;
        assert!(error.contains(said), "{said}: {error}");
    }
    alter(&|_| ());
    let error = bad(data, &[&sign[..], &["--examined", "000000000000"]].concat()).await;
    assert!(error.contains("another digest"), "{error}");
    let error = bad(data, &[&sign[..], &["--examined", "00"]].concat()).await;
    assert!(error.contains("at least 12"), "{error}");
}
