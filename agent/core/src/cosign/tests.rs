use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use burin_api::desired::Layer;
use burin_api::dsse::pre_authentication;
use burin_api::message::ImageKey;
use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::*;
use crate::userdata::SiteKey;

/// Made by cosign itself, of the image whose manifest has [`MADE_OF`]; from the test data of
/// github.com/containers/image (Apache License 2.0).
const MADE_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEFNLqFhf4fiN6o/glAuYnq2jYUeL0
vRuLu/z39pmbVwS9ff5AYnlwaP9sxREajdLY9ynM6G1sy6AAmb7Z63TsLg==
-----END PUBLIC KEY-----
";
const MADE_PAYLOAD: &str = r#"{"critical":{"identity":{"docker-reference":"192.168.64.2:5000/cosign-signed-single-sample"},"image":{"docker-manifest-digest":"sha256:634a8f35b5f16dcf4aaa0822adc0b1964bb786fca12f6831de8ddc45e5986a00"},"type":"cosign container image signature"},"optional":null}"#;
const MADE_SIGNATURE: &str = "MEYCIQDmtamqYPjMg81nqeBhptrPls44aA/r7PwLmspINJY4MwIhANKRpqe2E9UCBtGFdPoz/8jAbaQm4uP4h+IpwKTE6ClR";
const MADE_OF: &str = "sha256:634a8f35b5f16dcf4aaa0822adc0b1964bb786fca12f6831de8ddc45e5986a00";

fn signer(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn pem(signer: &Ed25519KeyPair) -> String {
    let mut der = hex::decode("302a300506032b6570032100").unwrap();
    der.extend_from_slice(signer.public_key().as_ref());
    let text = BASE64.encode(der);
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

fn key(seed: u8) -> Key {
    Key::parse(&pem(&signer(seed))).unwrap()
}

fn image(letter: &str) -> Digest {
    format!("sha256:{}", letter.repeat(64)).parse().unwrap()
}

fn payload(digest: &Digest) -> Value {
    json!({
        "critical": {
            "identity": { "docker-reference": "somewhere/else" },
            "image": { "docker-manifest-digest": digest.to_string() },
            "type": "cosign container image signature",
        },
        "optional": { "creator": "x" },
    })
}

fn signed(seed: u8, payload: &Value) -> Found {
    let payload = payload.to_string().into_bytes();
    let signature = signer(seed).sign(&payload).as_ref().to_vec();
    Found::simple(payload, signature)
}

fn bundle(seed: u8, statement: &Value, change: impl Fn(&mut Value)) -> Vec<u8> {
    let payload = statement.to_string().into_bytes();
    let message = pre_authentication("application/vnd.in-toto+json", &payload);
    let mut bundle = json!({
        "mediaType": BUNDLE,
        "verificationMaterial": { "publicKey": { "hint": "" } },
        "dsseEnvelope": {
            "payload": BASE64.encode(&payload),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{ "sig": BASE64.encode(signer(seed).sign(&message)) }],
        },
    });
    change(&mut bundle);
    bundle.to_string().into_bytes()
}

fn statement(digest: &Digest) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "digest": { "sha256": digest.hex() } }],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    })
}

#[test]
fn what_cosign_made_is_good_and_no_flipped_bit_of_it_is() {
    let keys = [Key::parse(MADE_KEY).unwrap()];
    let made: Digest = MADE_OF.parse().unwrap();
    let signature = BASE64.decode(MADE_SIGNATURE).unwrap();
    let found = Found::simple(MADE_PAYLOAD.as_bytes().to_vec(), signature.clone());
    assert_eq!(found.judge(&made, &keys), Verdict::Good);
    assert_eq!(found.judge(&made, &[key(1)]), Verdict::OtherKey);
    assert_eq!(found.judge(&made, &[]), Verdict::OtherKey);
    let other = image("b");
    assert_eq!(found.judge(&other, &keys), Verdict::OtherImage(made));
    for at in 0..MADE_PAYLOAD.len() {
        let mut payload = MADE_PAYLOAD.as_bytes().to_vec();
        payload[at] ^= 1;
        let found = Found::simple(payload, signature.clone());
        assert_eq!(found.judge(&made, &keys), Verdict::OtherKey, "byte {at}");
    }
    for at in 0..signature.len() {
        let mut signature = signature.clone();
        signature[at] ^= 1;
        let found = Found::simple(MADE_PAYLOAD.as_bytes().to_vec(), signature);
        assert_ne!(found.judge(&made, &keys), Verdict::Good, "byte {at}");
    }
}

#[test]
fn a_payload_is_taken_strictly() {
    let (a, keys) = (image("a"), [key(1)]);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut payload = payload(&a);
        change(&mut payload);
        signed(1, &payload).judge(&a, &keys)
    };
    assert_eq!(with(&|_| ()), Verdict::Good);
    assert_eq!(signed(2, &payload(&a)).judge(&a, &keys), Verdict::OtherKey);
    type Change<'a> = &'a dyn Fn(&mut Value);
    let cases: [Change<'_>; 6] = [
        &|it| it["critical"]["type"] = json!("atomic container signature"),
        &|it| it["critical"]["until"] = json!("2020"),
        &|it| it["critical"]["image"]["docker-manifest-digest"] = json!("latest"),
        &|it| it["critical"]["image"] = json!({}),
        &|it| it["critical"] = json!(null),
        &|it| *it = json!([1]),
    ];
    for (at, change) in cases.iter().enumerate() {
        let verdict = with(change);
        assert!(
            matches!(verdict, Verdict::Unreadable(_)),
            "case {at}: {verdict:?}"
        );
    }
}

#[test]
fn a_bundle_is_a_signature_only_when_it_says_so() {
    let (a, keys) = (image("a"), [key(1)]);
    let judged = |bytes: &[u8]| Found::bundle(bytes).map(|found| found.judge(&a, &keys));
    let good = bundle(1, &statement(&a), |_| ());
    assert_eq!(judged(&good), Ok(Verdict::Good));
    assert_eq!(
        judged(&bundle(2, &statement(&a), |_| ())),
        Ok(Verdict::OtherKey)
    );
    let other = bundle(1, &statement(&image("b")), |_| ());
    assert_eq!(judged(&other), Ok(Verdict::OtherImage(image("b"))));
    // The same key says where the image was built: that is no word on whether to run it.
    let mut provenance = statement(&a);
    provenance["predicateType"] = json!("https://slsa.dev/provenance/v1");
    let verdict = judged(&bundle(1, &provenance, |_| ()));
    assert!(matches!(verdict, Ok(Verdict::Unreadable(_))), "{verdict:?}");
    let payload = |it: &mut Value| {
        it["dsseEnvelope"]["payload"] = json!(BASE64.encode(statement(&image("c")).to_string()));
    };
    assert_eq!(
        judged(&bundle(1, &statement(&a), payload)),
        Ok(Verdict::OtherKey)
    );
    type Change<'a> = &'a dyn Fn(&mut Value);
    let cases: [Change<'_>; 4] = [
        &|it| it["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v9+json"),
        &|it| it["dsseEnvelope"]["payloadType"] = json!("text/plain"),
        &|it| it["dsseEnvelope"]["payload"] = json!("?"),
        &|it| it["dsseEnvelope"] = json!(null),
    ];
    for (at, change) in cases.iter().enumerate() {
        assert!(
            judged(&bundle(1, &statement(&a), change)).is_err(),
            "case {at}"
        );
    }
}

#[test]
fn entries_that_cannot_be_signatures_are_passed_over_and_none_is_endless() {
    let entry = |kind: &str, size: u64, sig: &str| {
        json!({ "mediaType": kind, "digest": image("a").to_string(), "size": size,
            "annotations": { "dev.cosignproject.cosign/signature": sig } })
    };
    let simple = "application/vnd.dev.cosign.simplesigning.v1+json";
    let manifest = |layers: Vec<Value>| {
        json!({ "schemaVersion": 2, "config": {}, "layers": layers }).to_string()
    };
    let layers = vec![
        entry("text/plain", 9, "AAAA"),
        entry(simple, 1 << 40, "AAAA"),
        entry(simple, 9, "?"),
        entry(simple, 9, &"A".repeat(4096)),
        json!({ "mediaType": simple, "digest": image("a").to_string(), "size": 9 }),
        entry(simple, 9, "AAAA"),
    ];
    let found = attached(manifest(layers).as_bytes()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].signature, [0, 0, 0]);
    let many = manifest(vec![entry(simple, 9, "AAAA"); 500]);
    assert_eq!(attached(many.as_bytes()).unwrap().len(), MOST_SIGNATURES);
    for bad in [
        "{}".to_owned(),
        manifest(Vec::new()).replace("\"schemaVersion\":2", "\"schemaVersion\":1"),
        " ".repeat(MAX_DOCUMENT + 1),
    ] {
        assert!(attached(bad.as_bytes()).is_err());
    }
}

#[test]
fn a_referrer_counts_for_the_image_that_it_names() {
    let descriptor = |kind: &str, digest: Digest| json!({ "mediaType": kind, "artifactType": kind, "digest": digest.to_string(), "size": 9 });
    let manifest = |subject: Digest, kind: &str| {
        json!({ "schemaVersion": 2, "layers": [descriptor(kind, image("c"))],
            "subject": descriptor("x", subject) })
        .to_string()
    };
    let (a, b) = (image("a"), image("b"));
    let found = bundle_of(manifest(a, BUNDLE).as_bytes(), &a).unwrap();
    assert_eq!(found.map(|it| it.digest), Some(image("c")));
    assert_eq!(bundle_of(manifest(b, BUNDLE).as_bytes(), &a), Ok(None));
    assert_eq!(
        bundle_of(manifest(a, "text/plain").as_bytes(), &a),
        Ok(None)
    );
    let index = json!({ "schemaVersion": 2,
        "manifests": [descriptor("sbom", a), descriptor(BUNDLE, b)] });
    let found = referrers(index.to_string().as_bytes()).unwrap();
    assert_eq!(found, [Referrer { digest: b, size: 9 }]);
    let hex = "a".repeat(64);
    assert_eq!(attached_tag(&a), format!("sha256-{hex}.sig"));
    assert_eq!(referrers_tag(&a), format!("sha256-{hex}"));
}

#[test]
fn only_public_keys_of_two_kinds_are_taken() {
    let p384 =
        "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE\n-----END PUBLIC KEY-----";
    let private = MADE_KEY.replace("PUBLIC", "PRIVATE");
    let two = format!("{MADE_KEY}{MADE_KEY}");
    for (text, want) in [
        (p384, KeyError::Algorithm),
        (&private, KeyError::Private),
        (&two, KeyError::Pem),
        ("", KeyError::Pem),
        ("ssh-ed25519 AAAA", KeyError::Pem),
    ] {
        assert_eq!(Key::parse(text), Err(want), "{text}");
    }
    let indented = MADE_KEY.replace('\n', "\r\n   ");
    assert_eq!(Key::parse(&indented), Key::parse(MADE_KEY));
}

#[test]
fn profile_and_site_each_have_their_say() {
    let layer = |verify: &[&str]| -> Layer {
        serde_json::from_value(
            json!({ "kind": "image", "name": "gpu", "registry": "r.example",
            "repository": "vendor/gpu", "verify": verify, "facts": {} }),
        )
        .unwrap()
    };
    let listed = |name: &str, seed: u8| ImageKey {
        name: name.to_owned(),
        key: pem(&signer(seed)),
    };
    let site = |name: &str, seed: u8, images: &[&str]| SiteKey {
        name: name.to_owned(),
        key: key(seed),
        images: images.iter().map(ToString::to_string).collect(),
    };
    let names = |layer: &Layer, listed: &[ImageKey], site: &[SiteKey]| {
        demands(layer, listed, site)
            .map(|all| all.into_iter().map(|it| it.names).collect::<Vec<_>>())
    };
    let root = [listed("vendor", 1), listed("old", 2)];
    assert_eq!(names(&layer(&[]), &root, &[]), Ok(Vec::new()));
    let got = demands(
        &layer(&["vendor", "gone"]),
        &root,
        &[site("vendor", 9, &[])],
    )
    .unwrap();
    // The site cannot put another key behind a name that the root document has.
    assert_eq!(got[0].keys, [key(1)]);
    assert_eq!(
        names(&layer(&["own"]), &root, &[site("own", 9, &[])]).unwrap(),
        [["own"]]
    );
    let error = demands(&layer(&["gone", "lost"]), &root, &[]).unwrap_err();
    assert!(error.to_string().contains("`gone` or `lost`"), "{error}");
    for (place, want) in [
        ("r.example", 1),
        ("r.example/vendor", 1),
        ("r.example/vendor/gpu", 1),
        ("r.example/ven", 0),
        ("other.example", 0),
    ] {
        let site = [site("own", 9, &[place])];
        assert_eq!(
            names(&layer(&[]), &root, &site).unwrap().len(),
            want,
            "{place}"
        );
        let both = names(&layer(&["vendor"]), &root, &site).unwrap();
        assert_eq!(both.len(), want + 1, "both have to hold: {place}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_fall(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let found = Found::bundle(&bytes).map(|it| it.judge(&image("a"), &[key(1)]));
        prop_assert!(found != Ok(Verdict::Good));
        prop_assert!(attached(&bytes).is_err() && referrers(&bytes).is_err());
        prop_assert!(bundle_of(&bytes, &image("a")).is_err());
        let simple = Found::simple(bytes.clone(), bytes).judge(&image("a"), &[key(1)]);
        prop_assert_eq!(simple, Verdict::OtherKey);
    }
}
