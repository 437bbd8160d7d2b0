//! From a published version to a signed one: the engineer's commands, and what the hub takes in.

use std::path::{Path, PathBuf};

use burin_api::dsse::{Envelope, PublicKey};
use burin_api::release::Statement;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
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
    the_end_is_examined_too(data, &key("release"), &statement).await;
    tells_what_is_over(data, &key("release"), &statement).await;
    let own = ["--profile", profile.to_str().unwrap()];
    let envelope = signed(data, &key("release"), &statement, &own).await;
    let told = good(data, &["release", "verify", "--key", &public, &envelope]).await;
    assert_eq!(told["expired"], false);
    let foreign = format!("{}.pub", key("foreign"));
    let wrong = bad(data, &["release", "verify", "--key", &foreign, &envelope]).await;
    assert!(wrong.contains("none of the keys"), "{wrong}");
    let first = good(data, &["release", "import", &envelope]).await;
    assert_eq!(first["state"], "good");
    assert_eq!(good(data, &["release", "import", &envelope]).await, first);

    refuses_other_envelopes(data, &key, &statement).await;
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

async fn refuses_other_envelopes(data: &Path, key: &impl Fn(&str) -> String, statement: &Value) {
    // What was signed elsewhere, by somebody else, with a counter that was used, or of other content;
    // with another end, or it would be the envelope that the hub has.
    let mut other = statement.clone();
    other["release"]["layers"][0]["manifest"] = json!(format!("sha256:{}", "0".repeat(64)));
    for (name, statement, counter, said) in [
        ("foreign", statement, "2", "no key"),
        ("release", statement, "1", "counter 1 was used"),
        ("release", &other, "3", "another release"),
    ] {
        let envelope = signed(
            data,
            &key(name),
            statement,
            &["--counter", counter, "--expires", "2y"],
        )
        .await;
        let error = bad(data, &["release", "import", &envelope]).await;
        assert!(error.contains(said), "{error}");
    }
}

async fn the_end_is_examined_too(data: &Path, key: &str, statement: &Value) {
    let file = data.join("bounded.json");
    std::fs::write(&file, statement.to_string()).unwrap();
    let sign = ["release", "sign", "--key", key, file.to_str().unwrap()];
    let sign = async |more: &[&str]| run(data, &[&sign, more].concat()).await;
    let shown = text(&sign(&["--expires", "30d"]).await.stderr);
    assert!(shown.contains("T00:00:00Z"), "{shown}");
    let examined = shown.rsplit_once("--examined ").unwrap().1[..12].to_owned();
    let other = sign(&["--expires", "90d", "--examined", &examined]).await;
    assert!(!other.status.success() && other.stdout.is_empty());
    let error = text(&other.stderr);
    assert!(error.contains("another digest"), "{error}");
    let same = sign(&["--expires", "30d", "--examined", &examined]).await;
    let envelope: Envelope = serde_json::from_slice(&same.stdout).unwrap();
    let signed: Statement = envelope.peek().unwrap();
    let day = 24 * 3600 * 1000;
    assert_eq!(signed.expires % day, 0);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    assert!((30 * day..=31 * day).contains(&(signed.expires - now)));
    for lifetime in ["0", "3651d"] {
        let refused = sign(&["--expires", lifetime]).await;
        assert_eq!(refused.status.code(), Some(2), "{lifetime}");
        let error = text(&refused.stderr);
        assert!(error.contains("at most 10y"), "{error}");
    }
}

/// An envelope whose day is over, which no command makes.
async fn tells_what_is_over(data: &Path, key: &str, statement: &Value) {
    let pair = Ed25519KeyPair::from_pkcs8(&std::fs::read(key).unwrap()).unwrap();
    let public = PublicKey::Ed25519(hex::encode(pair.public_key()));
    let mut statement: Statement = serde_json::from_value(statement.clone()).unwrap();
    statement.expires = 1_000;
    let envelope = Envelope::seal::<_, serde_json::Error>(&statement, |message| {
        let signature = pair.sign(message).as_ref().to_vec();
        Ok(vec![(public.thumbprint().unwrap(), signature)])
    });
    let file = data.join("over.json");
    std::fs::write(&file, serde_json::to_vec(&envelope.unwrap()).unwrap()).unwrap();
    let (file, public) = (file.to_str().unwrap(), format!("{key}.pub"));
    let verify = ["release", "verify", "--key", &public, file];
    let done = run(data, &verify).await;
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stdout).contains(", expired\n"));
    let error = text(&done.stderr);
    assert!(error.contains("expired at 1970-01-01T00:00:01Z"), "{error}");
    let done = run(data, &[&["--json"], &verify[..]].concat()).await;
    assert_eq!(done.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(told["expired"], true);
    let error = bad(data, &["release", "import", file]).await;
    assert!(
        error.contains("expired at 1970-01-01T00:00:01Z. Sign it again"),
        "{error}"
    );
    assert!(!error.contains("host's clock"), "{error}");
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
