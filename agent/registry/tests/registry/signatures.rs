//! Signatures beside an image, made by OpenSSL as cosign makes them, and everything that is none.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use burin_core::cosign::{BUNDLE, Key, Refusal};
use burin_core::oci::Digest;
use burin_registry::{Access, Cause, Error, Registry, Retry};
use serde_json::{Value, json};

use crate::support::{Reply, Server, sha256};

const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A key pair in a folder, made and used by OpenSSL.
struct Signer(tempfile::TempDir);

impl Signer {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let curve = ["-pkeyopt", "ec_paramgen_curve:P-256", "-out", "key.pem"];
        openssl(
            folder.path(),
            &[&["genpkey", "-algorithm", "EC"], &curve[..]].concat(),
        );
        openssl(
            folder.path(),
            &["pkey", "-in", "key.pem", "-pubout", "-out", "cosign.pub"],
        );
        Self(folder)
    }

    fn key(&self) -> Key {
        let pem = std::fs::read_to_string(self.0.path().join("cosign.pub")).unwrap();
        Key::parse(&pem).unwrap()
    }

    /// Base 64 of the signature, as it stands in an annotation.
    fn sign(&self, message: &[u8]) -> String {
        let file = self.0.path().join("message");
        std::fs::write(&file, message).unwrap();
        let sign = [
            "dgst",
            "-sha256",
            "-sign",
            "key.pem",
            "-out",
            "signature",
            "message",
        ];
        openssl(self.0.path(), &sign);
        BASE64.encode(std::fs::read(self.0.path().join("signature")).unwrap())
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("openssl");
    let output = command
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// What lies at which path of the registry.
#[derive(Default, Clone)]
struct Place(BTreeMap<String, Vec<u8>>);

fn image() -> Digest {
    Digest::of(b"the image's manifest")
}

fn payload(image: &Digest) -> Vec<u8> {
    let payload = json!({
        "critical": {
            "identity": { "docker-reference": "r.example/os/test" },
            "image": { "docker-manifest-digest": image.to_string() },
            "type": "cosign container image signature",
        },
        "optional": null,
    });
    payload.to_string().into_bytes()
}

impl Place {
    fn blob(&mut self, bytes: &[u8]) -> Value {
        let digest = sha256(bytes);
        self.0
            .insert(format!("/v2/os/test/blobs/{digest}"), bytes.to_vec());
        json!({ "mediaType": SIMPLE, "digest": digest, "size": bytes.len() })
    }

    fn entry(&mut self, payload: &[u8], signature: &str) -> Value {
        let mut entry = self.blob(payload);
        entry["annotations"] = json!({ "dev.cosignproject.cosign/signature": signature });
        entry
    }

    /// Under the tag of an image's signatures.
    fn attach(&mut self, entries: &[Value]) {
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": {}, "layers": entries });
        let path = format!("/v2/os/test/manifests/sha256-{}.sig", image().hex());
        self.0.insert(path, manifest.to_string().into_bytes());
    }

    /// A bundle as a referrer of `subject`, listed under `path`.
    fn refer(&mut self, path: &str, subject: &Digest, bundle: &Value) {
        let mut blob = self.blob(bundle.to_string().as_bytes());
        blob["mediaType"] = json!(BUNDLE);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE, "layers": [blob],
            "subject": { "mediaType": MANIFEST, "digest": subject.to_string(), "size": 1 },
        });
        let manifest = manifest.to_string().into_bytes();
        let digest = sha256(&manifest);
        let size = manifest.len();
        self.0
            .insert(format!("/v2/os/test/manifests/{digest}"), manifest);
        let index = json!({ "schemaVersion": 2, "manifests": [
            { "mediaType": MANIFEST, "artifactType": BUNDLE, "digest": digest, "size": size },
        ] });
        self.0.insert(
            format!("/v2/os/test/{path}"),
            index.to_string().into_bytes(),
        );
    }

    async fn ask(&self, keys: &[Key]) -> Result<(), Error> {
        let place = self.0.clone();
        let server = Server::start(move |request, _| match place.get(&request.path) {
            Some(bytes) => Reply::ok(bytes),
            None => Reply::status(404),
        })
        .await;
        ask(&server, keys).await
    }
}

async fn ask(server: &Server, keys: &[Key]) -> Result<(), Error> {
    let access = Access {
        host: server.address.clone(),
        plain_http: true,
        ..Access::default()
    };
    let registry = Registry::new(access).unwrap().with_retry(Retry {
        attempts: 1,
        ..Retry::default()
    });
    registry.signed("os/test", &[image()], keys).await
}

fn code(result: &Result<(), Error>) -> &'static str {
    match result {
        Ok(()) => "good",
        Err(Error {
            cause: Cause::Signature(refusal),
            ..
        }) => Refusal::code(refusal),
        Err(err) => panic!("{err}"),
    }
}

#[tokio::test]
async fn an_image_is_signed_only_by_a_listed_key_over_its_own_digest() {
    let (signer, other) = (Signer::new(), Signer::new());
    let good = payload(&image());
    let own = signer.sign(&good);
    let elsewhere = payload(&Digest::of(b"another image"));
    let words = br#"{"critical":{}}"#;
    let mut altered = good.clone();
    altered.push(b' ');
    let long = vec![b' '; 70_000];
    let cases: [(&str, &[u8], String); 7] = [
        ("good", &good, own.clone()),
        ("image.foreign_key", &good, other.sign(&good)),
        ("image.other_image", &elsewhere, signer.sign(&elsewhere)),
        ("image.foreign_key", &altered, own.clone()),
        ("image.signature", words, signer.sign(words)),
        ("image.unsigned", &good, "?".to_owned()),
        // Not even fetched.
        ("image.unsigned", &long, signer.sign(&long)),
    ];
    for (want, payload, signature) in cases {
        let mut place = Place::default();
        let entry = place.entry(payload, &signature);
        place.attach(&[entry]);
        let result = place.ask(&[signer.key()]).await;
        assert_eq!(code(&result), want, "{result:?}");
    }
    assert_eq!(
        code(&Place::default().ask(&[signer.key()]).await),
        "image.unsigned"
    );
}

#[tokio::test]
async fn junk_before_the_right_signature_hides_nothing() {
    let (signer, other) = (Signer::new(), Signer::new());
    let good = payload(&image());
    let mut place = Place::default();
    let mut entries: Vec<Value> = (0..10)
        .map(|at: u8| {
            let junk = vec![at; 50];
            let signature = match at % 2 {
                0 => BASE64.encode([at; 64]),
                _ => other.sign(&junk),
            };
            place.entry(&junk, &signature)
        })
        .collect();
    // One whose blob is gone, one whose blob is another, one that is too long.
    let gone = json!({ "mediaType": SIMPLE, "digest": sha256(b"gone"), "size": 4,
        "annotations": { "dev.cosignproject.cosign/signature": "AAAA" } });
    let mut damaged = place.entry(b"damaged", "AAAA");
    let path = format!("/v2/os/test/blobs/{}", damaged["digest"].as_str().unwrap());
    place.0.insert(path, b"DAMAGED".to_vec());
    let long = place.entry(&[b' '; 5000], "AAAA");
    damaged["size"] = json!(7);
    entries.extend([gone, damaged, long]);
    let right = place.entry(&good, &signer.sign(&good));
    entries.push(right);
    place.attach(&entries);
    place.ask(&[other.key(), signer.key()]).await.unwrap();
    let third = Signer::new();
    assert_eq!(code(&place.ask(&[third.key()]).await), "image.foreign_key");
}

#[tokio::test]
async fn bundles_are_found_as_referrers_and_by_their_tag() {
    let (signer, other) = (Signer::new(), Signer::new());
    let bundle = |signer: &Signer, predicate: &str| {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1", "predicateType": predicate,
            "subject": [{ "digest": { "sha256": image().hex() } }], "predicate": {},
        });
        let payload = statement.to_string();
        let kind = "application/vnd.in-toto+json";
        let message = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
        json!({
            "mediaType": BUNDLE, "verificationMaterial": {},
            "dsseEnvelope": { "payload": BASE64.encode(&payload), "payloadType": kind,
                "signatures": [{ "sig": signer.sign(message.as_bytes()) }] },
        })
    };
    let sign = "https://sigstore.dev/cosign/sign/v1";
    let api = format!("referrers/{}", image());
    let tag = format!("manifests/sha256-{}", image().hex());
    let about = "https://slsa.dev/provenance/v1";
    let elsewhere = Digest::of(b"another image");
    for (want, path, subject, bundle) in [
        ("good", &api, image(), bundle(&signer, sign)),
        ("good", &tag, image(), bundle(&signer, sign)),
        ("image.foreign_key", &api, image(), bundle(&other, sign)),
        ("image.signature", &api, image(), bundle(&signer, about)),
        ("image.unsigned", &api, elsewhere, bundle(&signer, sign)),
    ] {
        let mut place = Place::default();
        place.refer(path, &subject, &bundle);
        let result = place.ask(&[signer.key()]).await;
        assert_eq!(code(&result), want, "{path} {result:?}");
    }
}

#[tokio::test]
async fn a_registry_in_trouble_is_no_word_on_the_signature() {
    let signer = Signer::new();
    let server = Server::start(|_, _| Reply::status(503)).await;
    let error = ask(&server, &[signer.key()]).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Server(503, _)), "{error}");
    // An endless manifest is none.
    let server = Server::start(|_, _| Reply::ok(&vec![b' '; 2 << 20])).await;
    assert_eq!(code(&ask(&server, &[signer.key()]).await), "image.unsigned");
}
