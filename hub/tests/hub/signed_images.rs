//! Profiles that ask for signatures of their images, from the key in the root document to a release.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::commands::serve;
use crate::publishing::{GOOD, os};
use crate::releases::{bad, good};
use crate::support::registry::Registry;

fn signer(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

/// The file of a public key, as OpenSSL writes it.
fn public(folder: &Path, seed: u8) -> String {
    let mut der = hex::decode("302a300506032b6570032100").unwrap();
    der.extend_from_slice(signer(seed).public_key().as_ref());
    let text = BASE64.encode(der);
    let file = folder.join(format!("{seed}.pub"));
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
    std::fs::write(&file, pem).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Puts a signature beside an image, as cosign does.
fn sign(registry: &Registry, seed: u8, image: &str) {
    let payload = json!({
        "critical": {
            "identity": { "docker-reference": "" },
            "image": { "docker-manifest-digest": image },
            "type": "cosign container image signature",
        },
        "optional": null,
    });
    let payload = payload.to_string().into_bytes();
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&payload)));
    let signature = BASE64.encode(signer(seed).sign(&payload));
    let manifest = json!({
        "schemaVersion": 2, "config": {},
        "layers": [{
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "digest": digest, "size": payload.len(),
            "annotations": { "dev.cosignproject.cosign/signature": signature },
        }],
    });
    registry.put(&format!("os/debian/blobs/{digest}"), &payload);
    let tag = format!("{}.sig", image.replace(':', "-"));
    registry.put(
        &format!("os/debian/manifests/{tag}"),
        manifest.to_string().as_bytes(),
    );
}

#[tokio::test]
async fn a_layer_that_wants_a_signature_is_published_with_one_only() {
    let (folder, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = folder.path();
    let root = stick.path().join("root").to_str().unwrap().to_owned();
    good(data, &["root", "init", "--root-key", &root]).await;
    let rotate = ["root", "rotate", "--root-key", &root];
    for wrong in [
        "vendor",
        "Vendor=x",
        "vendor=/nowhere",
        &format!("vendor={root}"),
    ] {
        bad(data, &[&rotate[..], &["--add-image-key", wrong]].concat()).await;
    }
    let key = format!("vendor={}", public(stick.path(), 1));
    let second = format!("second={}", public(stick.path(), 2));
    let add = ["--add-image-key", &key, "--add-image-key", &second];
    let shown = good(data, &[&rotate[..], &add].concat()).await;
    assert_eq!(shown["images"][0]["name"], "vendor");
    let shown = good(
        data,
        &[&rotate[..], &["--remove-image-key", "second"]].concat(),
    )
    .await;
    assert_eq!(shown["images"].as_array().unwrap().len(), 1);

    let (_hub, _) = serve(data).await;
    let registry = Registry::start().await;
    let image = registry.push("os/debian", "13", &[os(GOOD)]);
    good(data, &["registry", "add", &registry.host, "--plain-http"]).await;
    let document = |key: &str| {
        let file = data.join("edge.yaml");
        let text = format!(
            "apiVersion: burin/v1\nkind: Profile\nmetadata: {{ name: edge, version: 1.0.0 }}\n\
             layers:\n  - os: {{ image: '{}/os/debian:13', verify: {{ keys: [{key}] }} }}\n",
            registry.host
        );
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let said = bad(data, &["profile", "publish", &document("second")]).await;
    assert!(said.contains("no image key is called `second`"), "{said}");
    let said = bad(data, &["profile", "publish", &document("vendor")]).await;
    assert!(said.contains("image.unsigned"), "{said}");
    sign(&registry, 2, &image);
    let said = bad(data, &["profile", "publish", &document("vendor")]).await;
    assert!(said.contains("image.foreign_key"), "{said}");
    sign(&registry, 1, &image);
    good(data, &["profile", "publish", &document("vendor")]).await;
    let statement = good(data, &["release", "export", "edge@1.0.0"]).await;
    let layer = &statement["release"]["layers"][0];
    assert_eq!(layer["verify"], json!(["vendor"]));
    assert_eq!(layer["resolved"], json!(image));
}
