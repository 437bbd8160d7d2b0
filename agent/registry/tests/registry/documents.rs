//! Tags, indexes, manifests and configurations: taken only when digest, size and platform fit.

use std::collections::BTreeMap;

use burin_registry::{Access, Cause, Registry};
use serde_json::{Value, json};

use crate::support::{GZIP, Reply, Server, sha256};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A repository in memory: what lies at which path.
#[derive(Default, Clone)]
struct Repository(BTreeMap<String, (String, Vec<u8>)>);

impl Repository {
    fn put(&mut self, kind: &str, media_type: &str, document: &Value) -> Value {
        let bytes = serde_json::to_vec(document).unwrap();
        let digest = sha256(&bytes);
        let size = bytes.len();
        self.0.insert(
            format!("/v2/os/test/{kind}/{digest}"),
            (media_type.into(), bytes),
        );
        json!({ "mediaType": media_type, "digest": digest, "size": size })
    }

    /// An image for one architecture: the descriptor of its manifest.
    fn image(&mut self, architecture: &str) -> Value {
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": [sha256(architecture.as_bytes())] },
        });
        let config = self.put("blobs", CONFIG, &config);
        let layer = json!({ "mediaType": GZIP, "digest": sha256(b"layer"), "size": 5 });
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
        let mut descriptor = self.put("manifests", MANIFEST, &manifest);
        descriptor["platform"] = json!({ "os": "linux", "architecture": architecture });
        descriptor
    }

    fn index(&mut self, manifests: &[Value]) -> String {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        let descriptor = self.put("manifests", INDEX, &index);
        let digest = descriptor["digest"].as_str().unwrap().to_owned();
        let document = self.0[&format!("/v2/os/test/manifests/{digest}")].clone();
        self.0.insert("/v2/os/test/manifests/13".into(), document);
        digest
    }

    async fn serve(self) -> Registry {
        let server = Server::start(move |request, _| match self.0.get(&request.path) {
            Some((media_type, bytes)) => Reply::ok(bytes).with("Content-Type", media_type),
            None => Reply::status(404),
        })
        .await;
        let access = Access {
            host: server.address,
            plain_http: true,
            ..Access::default()
        };
        Registry::new(access).unwrap()
    }
}

#[tokio::test]
async fn a_tag_becomes_a_digest_and_an_index_the_image_of_the_machine() {
    let mut repository = Repository::default();
    let (arm, amd) = (repository.image("arm64"), repository.image("amd64"));
    let digest = repository.index(&[arm.clone(), amd.clone()]);
    let registry = repository.serve().await;
    assert_eq!(registry.resolve("os/test", "13").await.unwrap(), digest);
    for (architecture, want) in [("amd64", &amd), ("arm64", &arm)] {
        let image = registry
            .image("os/test", &digest, architecture)
            .await
            .unwrap();
        assert_eq!(image.manifest, want["digest"]);
        assert_eq!(image.blobs[0].digest, sha256(b"layer"));
        assert_eq!(image.diff_ids, [sha256(architecture.as_bytes())]);
    }
    let error = registry
        .image("os/test", &digest, "riscv64")
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("linux/arm64, linux/amd64"),
        "{error}"
    );
    assert!(matches!(
        registry.resolve("os/test", "14").await.unwrap_err().cause,
        Cause::NotFound
    ));
    for tag in ["", "../x", "a/b", "-x"] {
        let error = registry.resolve("os/test", tag).await.unwrap_err();
        assert!(
            matches!(error.cause, Cause::Settings(_)),
            "{tag:?}: {error}"
        );
    }
}

#[tokio::test]
async fn documents_that_are_not_what_the_digest_says_are_refused() {
    let mut repository = Repository::default();
    let amd = repository.image("amd64");
    let digest = repository.index(&[amd]);
    let paths: Vec<String> = repository
        .0
        .keys()
        .filter(|path| !path.ends_with("/13"))
        .cloned()
        .collect();
    assert_eq!(paths.len(), 3, "configuration, manifest and index");
    for path in paths {
        let mut changed = repository.clone();
        changed.0.get_mut(&path).unwrap().1.push(b' ');
        let error = changed
            .serve()
            .await
            .image("os/test", &digest, "amd64")
            .await
            .unwrap_err();
        assert!(matches!(error.cause, Cause::Content(_)), "{path}: {error}");
    }
}

#[tokio::test]
async fn an_image_for_another_machine_is_refused_though_the_index_says_otherwise() {
    let mut repository = Repository::default();
    let mut arm = repository.image("arm64");
    arm["platform"]["architecture"] = json!("amd64");
    let digest = repository.index(&[arm]);
    let error = repository
        .serve()
        .await
        .image("os/test", &digest, "amd64")
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("the image is for linux/arm64"),
        "{error}"
    );
}
