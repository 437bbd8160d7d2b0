//! ISOs that the hub makes: what is in them, how they are sent, who may have them.

use std::path::{Path, PathBuf};

use burin_api::token::Token;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::host::Host;
use crate::support::{Site, database, iso};

const X64: &str = "EFI/BOOT/BOOTX64.EFI";
const ARM: &str = "EFI/BOOT/BOOTAA64.EFI";

/// A hub with an ISO for amd64.
async fn site(folder: &Path) -> Site {
    let base = folder.join("base.iso");
    iso::write(&base, X64);
    Site::with(|args| args.iso = vec![base]).await
}

async fn fetch(site: &Site, id: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let url = format!("{}/api/v1/isos/{id}", site.url);
    let mut request = site.http.get(url).bearer_auth(&site.key);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn audited(site: &Site, action: &str) -> Vec<String> {
    let log = site.get("/api/v1/audit").await;
    let lines = log["items"].as_array().unwrap().iter();
    lines
        .filter(|line| line["action"] == action)
        .map(|line| line["object"].as_str().unwrap().to_owned())
        .collect()
}

fn write(folder: &Path, bytes: &[u8]) -> PathBuf {
    let path = folder.join("made.iso");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[tokio::test]
async fn a_made_iso_brings_its_host_in_and_its_token_lies_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path()).await;
    let bases = site.get("/api/v1/isos").await;
    assert_eq!(
        (&bases[0]["arch"], &bases[0]["area"]),
        (&json!("amd64"), &json!(iso::AREA))
    );
    let made = json!({
        "new_token": { "uses": 3, "labels": { "site": "oslo" } },
        "user_data": "#cloud-config\nhostname: box-7\n",
    });
    let made = site.post("/api/v1/isos", made).await;
    let id = made["id"].as_str().unwrap();
    let answer = fetch(&site, id, &[]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["content-length"],
        made["bytes"].to_string()
    );
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let name = answer.headers()["content-disposition"].to_str().unwrap();
    assert!(name.contains("burin-amd64.iso"), "{name}");
    let bytes = answer.bytes().await.unwrap();
    assert_eq!(burin_iso::manifest::digest(&bytes), made["sha256"]);
    let base = std::fs::read(folder.path().join("base.iso")).unwrap();
    assert_eq!(bytes.len(), base.len());
    let text = iso::user_data(&write(folder.path(), &bytes));
    let data = burin_core::userdata::parse(&text).unwrap();
    assert_eq!(data.hub.unwrap().url, site.running.ready.url);
    assert_eq!(data.hostname.as_deref(), Some("box-7"));
    let token = data.token.unwrap().expose().to_owned();
    let mut host = Host::boot(&site, "S1", "b1").await;
    let uid = host.join(&site, &Token::parse(&token).unwrap()).await;
    host.open(&site, &uid).await.unwrap();
    let shown = site.get(&format!("/api/v1/hosts/{uid}")).await;
    assert_eq!(shown["labels"]["site"], "oslo");

    let token_id = made["token_id"].as_str().unwrap();
    assert_eq!(
        audited(&site, "iso.make").await,
        [format!("{id} amd64 token {token_id}")]
    );
    assert_eq!(audited(&site, "iso.download").await, [id]);
    let dump = database::dump(site.folder.path()).await;
    for secret in [token.as_str(), &token[14..]] {
        let found = dump
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!found, "the database holds the token's secret part");
    }
    assert!(
        dump.windows(8).any(|part| part == token_id.as_bytes()),
        "the dump is one"
    );
}

#[tokio::test]
async fn a_download_that_was_cut_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path()).await;
    let made = site.post("/api/v1/isos", json!({})).await;
    assert_eq!(made["token_id"], Value::Null);
    let id = made["id"].as_str().unwrap();
    let length = made["bytes"].as_u64().unwrap();
    let tag = format!("\"{}\"", made["sha256"].as_str().unwrap());
    // Another start of the hub is no end for it: the cut is there, too.
    let half = length / 2 + 1;
    let first = fetch(&site, id, &[("range", &format!("bytes=0-{}", half - 1))]).await;
    assert_eq!(first.status(), 206);
    assert_eq!(first.headers()["etag"], tag);
    let mut bytes = first.bytes().await.unwrap().to_vec();
    let rest = format!("bytes={half}-");
    let rest = fetch(&site, id, &[("range", &rest), ("if-range", &tag)]).await;
    let said = rest.headers()["content-range"].to_str().unwrap().to_owned();
    assert_eq!(said, format!("bytes {half}-{}/{length}", length - 1));
    bytes.extend(rest.bytes().await.unwrap());
    assert_eq!(burin_iso::manifest::digest(&bytes), made["sha256"]);

    let behind = fetch(&site, id, &[("range", &format!("bytes={length}-"))]).await;
    assert_eq!(behind.status(), 416);
    assert_eq!(
        behind.headers()["content-range"],
        format!("bytes */{length}")
    );
    assert_eq!(
        fetch(&site, id, &[("if-none-match", &tag)]).await.status(),
        304
    );
    let other = [("range", "bytes=5-"), ("if-range", "\"another\"")];
    assert_eq!(fetch(&site, id, &other).await.status(), 200);
}

#[tokio::test]
async fn a_made_iso_is_for_its_maker_alone() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path()).await;
    let made = site.post("/api/v1/isos", json!({})).await;
    let path = format!("/api/v1/isos/{}", made["id"].as_str().unwrap());
    for (role, want) in [
        ("admin", 404),
        ("operator", 404),
        ("viewer", 403),
        ("technician", 403),
    ] {
        let key = json!({ "name": role, "role": role });
        let key = site.post("/api/v1/api-keys", key).await;
        let key = key["key"].as_str().unwrap();
        let (status, body) = site.ask_as(key, Method::GET, &path, None).await;
        assert_eq!(status, want, "{role}: {body}");
    }
    assert_eq!(audited(&site, "iso.download").await, [""; 0]);
}

#[tokio::test]
async fn what_cannot_be_in_an_iso_is_refused_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path()).await;
    let over = site.token(json!({})).await;
    let path = format!("/api/v1/tokens/{}/revoke", over.id());
    site.post(&path, json!({})).await;
    let used = site.token(json!({})).await;
    Host::boot(&site, "S1", "b1").await.join(&site, &used).await;
    let foreign = Token::from_seed([9; 16]);
    let (over, used, foreign) = (over.reveal(), used.reveal(), foreign.reveal());
    let large = format!("#cloud-config\n#{}\n", "x".repeat(20_000));
    let hub = "#cloud-config\nburin: { hub: { url: 'https://other.example' } }\n";
    for (asked, code, said) in [
        (
            json!({ "arch": "arm64" }),
            404,
            "no ISO for `arm64`; there is one for amd64",
        ),
        (json!({ "token": "BRN1-X" }), 422, "token"),
        (json!({ "token": over }), 422, "was revoked"),
        (json!({ "token": used }), 422, "is used up"),
        (json!({ "token": foreign }), 422, "was not made by this hub"),
        (json!({ "token": used, "new_token": {} }), 422, "not both"),
        (json!({ "new_token": { "uses": 0 } }), 422, "`uses`"),
        (
            json!({ "new_token": {}, "user_data": hub }),
            422,
            "names a hub",
        ),
        (
            json!({ "new_token": {}, "user_data": "#cloud-config\nbruin: {}\n" }),
            422,
            "2:1",
        ),
        (
            json!({ "new_token": {}, "user_data": large }),
            422,
            "does not fit",
        ),
        (json!({ "tokken": "x" }), 422, "tokken"),
    ] {
        let before = site.get("/api/v1/tokens").await.as_array().unwrap().len();
        let answer = site
            .ask(Method::POST, "/api/v1/isos", Some(asked.clone()))
            .await;
        let text = answer.1.to_string();
        assert_eq!(answer.0, code, "{asked}: {text}");
        assert!(text.contains(said), "{asked}: {text}");
        assert!(!text.contains(&over[14..]), "{asked}: {text}");
        let after = site.get("/api/v1/tokens").await.as_array().unwrap().len();
        assert_eq!(before, after, "{asked} left a token behind");
    }
    assert_eq!(audited(&site, "iso.make").await, [""; 0]);
    // The form for user-data takes no such token either.
    let mut browser = Browser::admin(&site).await;
    for token in [&over, &used, &foreign] {
        let page = browser.post("/user-data", &[("token", token)]).await;
        assert_eq!(page.status, 422, "{}", page.text);
        assert!(!page.text.contains(&token[14..]), "{}", page.text);
    }
}

#[tokio::test]
async fn a_hub_gives_one_iso_of_each_architecture_or_none() {
    let bare = Site::start().await;
    let (status, problem) = bare
        .ask(Method::POST, "/api/v1/isos", Some(json!({})))
        .await;
    assert_eq!(status, 404);
    assert!(
        problem["detail"].as_str().unwrap().contains("--iso FILE"),
        "{problem}"
    );

    let folder = tempfile::tempdir().unwrap();
    let (x64, arm) = (folder.path().join("x64.iso"), folder.path().join("arm.iso"));
    iso::write(&x64, X64);
    iso::write(&arm, ARM);
    let both = vec![x64.clone(), arm];
    let site = Site::with(|args| args.iso = both).await;
    let (status, problem) = site
        .ask(Method::POST, "/api/v1/isos", Some(json!({})))
        .await;
    assert_eq!(status, 422);
    assert!(
        problem["detail"].as_str().unwrap().contains("amd64, arm64"),
        "{problem}"
    );
    let made = site.post("/api/v1/isos", json!({ "arch": "arm64" })).await;
    assert_eq!(made["file"], "burin-arm64.iso");

    let damaged = folder.path().join("damaged.iso");
    let mut bytes = std::fs::read(&x64).unwrap();
    let at = bytes
        .windows(64)
        .position(|part| part == [0x4d; 64])
        .unwrap();
    bytes[at + 1000] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    for (isos, said) in [
        (vec![x64.clone(), x64], "two ISOs for amd64"),
        (vec![damaged], "burin/linux has digest"),
        (vec![folder.path().join("none.iso")], "No such file"),
    ] {
        let data = tempfile::tempdir().unwrap();
        let mut args = crate::support::arguments(data.path()).await;
        args.iso = isos;
        let error = burin_hub::serve::start(&args).await.unwrap_err();
        assert!(format!("{error:#}").contains(said), "{error:#}");
    }
}
