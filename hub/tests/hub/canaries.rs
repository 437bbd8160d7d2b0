//! A copy of the database, and an export, give no secret away: every one that the hub handles is
//! made, and looked for in every form in which it could lie there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::json;

use crate::codes::{Codes, between, recovery};
use crate::moving::must;
use crate::sealed::{give, with_kubeconfig};
use crate::support::browser::Browser;
use crate::support::debian_registry::{PASSWORD, USER};
use crate::support::host::Host;
use crate::support::{Site, database};

/// What is looked for, and under which name it is told.
type Secrets = Vec<(&'static str, Vec<u8>)>;

fn text(secrets: &mut Secrets, name: &'static str, value: &str) {
    assert!(
        value.len() >= 6,
        "{name} is too short to be found by itself"
    );
    secrets.push((name, value.as_bytes().to_vec()));
}

/// Tokens and API keys.
async fn keys(site: &Site, secrets: &mut Secrets) -> String {
    let token = site.token(json!({})).await;
    let reveal = token.reveal();
    let seed = reveal.rsplit('-').next().unwrap();
    text(secrets, "token seed", seed);
    let bits = burin_api::base32::decode(seed).unwrap().to_be_bytes();
    secrets.push(("token seed", bits.to_vec()));
    let key = site.post("/api/v1/api-keys", json!({ "name": "ci" })).await;
    text(secrets, "API key", key["key"].as_str().unwrap());
    text(secrets, "own API key", &site.key);
    match token.public_key() {
        burin_api::dsse::PublicKey::Ed25519(hex) | burin_api::dsse::PublicKey::EcdsaP256(hex) => {
            hex
        }
    }
}

/// What a person has: passwords, a login, one-time codes and those for who lost them.
async fn person(site: &Site, secrets: &mut Secrets) {
    text(secrets, "first password", &site.first_password());
    text(secrets, "password", Browser::PASSWORD);
    let mut browser = Browser::admin(site).await;
    let page = browser.get("/account").await.text;
    let (sealed, codes) = Codes::read(&page);
    let seed = between(&page, "<code class=\"key\">", "<").replace(' ', "");
    let bytes = totp_rs::Secret::try_from_base32(&seed).unwrap();
    secrets.push(("seed of one-time codes", bytes.as_bytes().to_vec()));
    text(secrets, "seed of one-time codes", &seed);
    let fields = [("sealed", sealed.as_str()), ("code", &codes.at(0))];
    for code in recovery(&browser.post("/account/code/on", &fields).await) {
        text(secrets, "recovery code", &code);
        text(secrets, "recovery code", &code.replace('-', ""));
    }
    let cookie = browser.cookie.split('=').nth(1).unwrap();
    text(secrets, "cookie", cookie);
}

/// What stands on the screen of a host that waits.
async fn screen(site: &Site, secrets: &mut Secrets) {
    let host = Host::boot(site, "S2", "b2").await;
    let shown = host.shows(site).await;
    text(secrets, "code on a screen", &shown.code);
    text(secrets, "code on a screen", &shown.code.replace('-', ""));
}

/// The secret as it is, as hex and as base 64, whatever stands before it in a text.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![
        secret.to_vec(),
        hex::encode(secret).into_bytes(),
        hex::encode_upper(secret).into_bytes(),
    ];
    for shift in 0..3 {
        let shifted = [&[0; 3][..shift], secret].concat();
        let whole = shifted.len() / 3 * 3;
        let coded = STANDARD_NO_PAD.encode(&shifted[..whole]);
        // The first group of a shifted text depends on what stands before it.
        let skip = if shift == 0 { 0 } else { 4 };
        forms.push(coded.as_bytes()[skip..].to_vec());
    }
    forms
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|part| part == needle)
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = b"hunter2-hunter2";
    for before in ["", "a", "ab", "abc"] {
        let text = [before.as_bytes(), secret, b"z"].concat();
        for coded in [
            text.clone(),
            hex::encode(&text).into_bytes(),
            STANDARD_NO_PAD.encode(&text).into_bytes(),
        ] {
            let found = forms(secret).iter().any(|form| contains(&coded, form));
            assert!(found, "{}", String::from_utf8_lossy(&coded));
        }
    }
}

#[tokio::test]
async fn no_secret_is_in_the_database_or_in_an_export() {
    let site = Site::start().await;
    let mut secrets = Secrets::new();
    let public = keys(&site, &mut secrets).await;
    person(&site, &mut secrets).await;
    screen(&site, &mut secrets).await;
    site.post("/api/v1/registries", json!({ "host": "r.example" }))
        .await;
    assert_eq!(give(&site, "r.example", PASSWORD).await.0, 204);
    text(&mut secrets, "password of a registry", PASSWORD);
    let (_, uid) = with_kubeconfig(&site).await;
    text(&mut secrets, "kubeconfig", "client-key-data");
    text(&mut secrets, "kubeconfig", "a3ViZWNvbmZpZy1jYW5hcnk=");

    let place = database::of(site.folder.path()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export");
    must("export", &place, &file).await;
    for (name, dump) in [
        ("the database", database::dump(site.folder.path()).await),
        ("the export", std::fs::read(&file).unwrap()),
    ] {
        // What must be there is found, so the search works.
        for there in [public.as_str(), USER, "r.example", &uid] {
            assert!(
                contains(&dump, there.as_bytes()),
                "{there} is not in {name}"
            );
        }
        for (what, secret) in &secrets {
            for form in forms(secret) {
                assert!(!contains(&dump, &form), "a {what} is in {name}");
            }
        }
    }
}
