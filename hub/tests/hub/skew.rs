//! Hosts that are older or newer than the hub. `wire-0.1.0` holds what hosts of that version say, and
//! what they need of each answer; it is never edited, only followed by that of a later version.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use burin_api::dsse::{Envelope, Signature, pre_authentication};
use burin_api::message::{HelloAnswer, Refusal};
use serde_json::{Value, json};

use crate::support::Site;
use crate::support::host::Host;

const ENROLL: &str = include_str!("wire-0.1.0/enroll.json");
const SESSION: &str = include_str!("wire-0.1.0/session.json");
const SYNC: &str = include_str!("wire-0.1.0/sync.json");
const ANSWERS: &str = include_str!("wire-0.1.0/answers.json");

/// A body as it was written down, with what is another one each time.
fn body(text: &str, fields: &[(&str, Value)]) -> Value {
    let mut body: Value = serde_json::from_str(text).unwrap();
    for (name, value) in fields {
        assert!(body.get(name).is_some(), "{name}");
        body[*name] = value.clone();
    }
    body
}

/// Thumbprint and signature over a message.
type Signer<'a> = &'a dyn Fn(&[u8]) -> (String, Vec<u8>);

/// The envelope of any JSON.
fn sealed(kind: &str, body: &Value, signers: &[Signer<'_>]) -> Envelope {
    let payload_type = format!("application/vnd.burin.{kind}.v1+json");
    let payload = serde_json::to_vec(body).unwrap();
    let message = pre_authentication(&payload_type, &payload);
    let sign = |signer: &Signer<'_>| {
        let (keyid, sig) = signer(&message);
        Signature {
            keyid,
            sig: STANDARD.encode(sig),
        }
    };
    Envelope {
        signatures: signers.iter().map(sign).collect(),
        payload: STANDARD.encode(payload),
        payload_type,
    }
}

/// What the hub answers, as it stands in the envelope; it has all that an old host needs.
async fn call(site: &Site, path: &str, request: &impl serde::Serialize) -> (u16, Value) {
    let url = format!("{}/h/1/{path}", site.url);
    let answer = site.http.post(url).json(request).send().await.unwrap();
    let status = answer.status().as_u16();
    let envelope: Envelope = answer.json().await.unwrap();
    let kind = envelope.payload_type.strip_prefix("application/vnd.burin.");
    let kind = kind.unwrap().strip_suffix(".v1+json").unwrap();
    let said: Value = serde_json::from_slice(&STANDARD.decode(&envelope.payload).unwrap()).unwrap();
    needed(kind, &said);
    (status, said)
}

/// Each field that hosts of 0.1.0 need is there, and of the same kind.
fn needed(kind: &str, said: &Value) {
    let all: Value = serde_json::from_str(ANSWERS).unwrap();
    for (name, like) in all[kind].as_object().unwrap() {
        let found = said.get(name);
        let same = found
            .is_some_and(|found| std::mem::discriminant(found) == std::mem::discriminant(like));
        assert!(same, "{kind}.{name}: {found:?}");
    }
}

/// What a newer host may say besides.
fn newer(body: &Value) -> Value {
    let mut body = body.clone();
    for (name, value) in body.as_object_mut().unwrap() {
        // Where unknown names are no data of the host's own.
        if value.is_object() && name != "labels" && !name.ends_with("key") {
            value["new_part"] = json!({ "of": ["a", 2] });
        }
    }
    body["new_field"] = json!([1, { "deep": null }]);
    body
}

async fn lives(change: fn(&Value) -> Value) {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let token = site.token(json!({})).await;
    let host = Host::boot(&site, "S4EVNX0R", "b").await;
    let by_host = |message: &[u8]| host.sign(message);
    let by_token = |message: &[u8]| {
        let print = token.public_key().thumbprint().unwrap();
        (print, token.sign(message))
    };
    let by_session = |message: &[u8]| host.sign_in_session(message);
    let key = |key: burin_api::dsse::PublicKey| serde_json::to_value(key).unwrap();

    let fields = [
        ("nonce", json!(host.nonce(&site).await)),
        ("public_key", key(host.public_key())),
        ("token_id", json!(token.id())),
    ];
    let enroll = change(&body(ENROLL, &fields));
    let enroll = sealed("enroll", &enroll, &[&by_host, &by_token]);
    let (status, said) = call(&site, "enroll", &enroll).await;
    assert_eq!(
        (status, &said["state"]),
        (200, &json!("accepted")),
        "{said}"
    );
    let uid = said["host_uid"].clone();

    let fields = [
        ("nonce", json!(host.nonce(&site).await)),
        ("host_uid", uid.clone()),
        ("session_key", key(host.session_key())),
    ];
    let open = change(&body(SESSION, &fields));
    let (status, said) = call(&site, "session", &sealed("session", &open, &[&by_host])).await;
    assert_eq!(status, 200, "{said}");

    let sync = change(&body(SYNC, &[("session", said["session"].clone())]));
    let sync = sealed("sync", &sync, &[&by_session]);
    let (status, said) = call(&site, "sync", &sync).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(said["events_stored"], 12);
    let (status, said) = call(&site, "sync", &sync).await;
    assert_eq!((status, &said["code"]), (409, &json!("sequence")));

    let seen = site
        .get(&format!("/api/v1/hosts/{}", uid.as_str().unwrap()))
        .await;
    assert_eq!(seen["phase"], "installing");
    assert_eq!(seen["evidence"]["serial"], "S4EVNX0R");
    assert_eq!(seen["labels"]["site"], "oslo");
}

#[tokio::test]
async fn a_host_of_the_first_version_lives_with_this_hub() {
    lives(Value::clone).await;
}

#[tokio::test]
async fn a_host_that_says_more_than_the_hub_knows_is_understood() {
    lives(newer).await;
}

#[tokio::test]
async fn the_first_words_find_a_common_version_or_say_who_is_too_old() {
    let site = Site::start().await;
    let hello = |protocols: Value| json!({ "host_nonce": "ab".repeat(32), "protocols": protocols, "root_version": 0, "new": 1 });
    for protocols in [json!([1]), json!([1, 2]), json!([7, 2, 1])] {
        let (status, said) = call(&site, "hello", &hello(protocols)).await;
        assert_eq!(status, 200, "{said}");
        let answer: HelloAnswer = serde_json::from_value(said).unwrap();
        let root = &answer.root[0].payload;
        needed(
            "root",
            &serde_json::from_slice(&STANDARD.decode(root).unwrap()).unwrap(),
        );
    }
    for protocols in [json!([]), json!([2]), json!([0, 2, 4_294_967_295_u32])] {
        let (status, said) = call(&site, "hello", &hello(protocols.clone())).await;
        let refusal: Refusal = serde_json::from_value(said).unwrap();
        assert_eq!((status, refusal.code.as_str()), (400, "bad_request"));
        let shown = protocols.to_string().replace(',', ", ");
        for part in [shown.as_str(), "speaks 1", "upgrade the older one"] {
            assert!(refusal.message.contains(part), "{part}: {refusal:?}");
        }
    }
    for wrong in [
        json!({}),
        json!({ "protocols": "1" }),
        json!([]),
        json!(null),
    ] {
        let (status, said) = call(&site, "hello", &wrong).await;
        assert_eq!((status, &said["code"]), (400, &json!("bad_request")));
    }
}
