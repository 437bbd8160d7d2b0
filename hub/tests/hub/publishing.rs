//! From a profile document to what a host is told, over a registry of the tests' own.

use std::time::Duration;

use burin_api::message::Phase;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Site;
use crate::support::host::Host;
use crate::support::registry::{Registry, tar};

const MODULES: &str = "usr/lib/modules/6.12.1-test";

/// An OS image as small as the rules allow; `config` is the kernel's configuration.
pub(crate) fn os(config: &str) -> Vec<u8> {
    let file = |name: &str| format!("{MODULES}/{name}");
    tar(&[
        ("boot/vmlinuz-6.12.1-test", "kernel"),
        ("boot/config-6.12.1-test", config),
        (&file("modules.dep"), DEP),
        (
            &file("modules.alias"),
            "alias virtio:d00000002v* virtio_blk\n",
        ),
        (&file("modules.builtin"), ""),
        (&file("modules.softdep"), ""),
        ("usr/lib/systemd/systemd", "systemd"),
        ("usr/lib/os-release", "ID=debian\nVERSION_ID=\"13\"\n"),
    ])
}

pub(crate) const GOOD: &str = "CONFIG_EROFS_FS=m\nCONFIG_OVERLAY_FS=m\nCONFIG_FS_VERITY=y\n";
const DEP: &str = "kernel/fs/erofs/erofs.ko:\nkernel/fs/overlayfs/overlay.ko:\n\
     kernel/fs/ext4/ext4.ko:\nkernel/drivers/block/virtio_blk.ko:\nkernel/fs/fat/vfat.ko:\n";

fn profile(registry: &Registry, version: &str, layers: &str) -> Value {
    let host = &registry.host;
    let layers = layers.replace("REG", host);
    let document = format!(
        "apiVersion: burin/v1\nkind: Profile\nmetadata: {{ name: edge, version: {version} }}\n\
         layers:\n{layers}"
    );
    json!({ "document": document })
}

const OS_ONLY: &str = "  - os: { image: REG/os/debian:13 }\n";

async fn listed(site: &Site) -> Registry {
    let registry = Registry::start().await;
    let entry = json!({ "host": registry.host, "plain_http": true });
    site.post("/api/v1/registries", entry).await;
    registry
}

async fn publish(site: &Site, body: Value) -> (u16, Value) {
    site.ask(Method::POST, "/api/v1/profiles", Some(body)).await
}

fn detail(answer: &(u16, Value)) -> String {
    format!("{} {}", answer.1["detail"], answer.1["errors"])
}

#[tokio::test]
async fn a_host_gets_digests_and_the_devices_that_nothing_drives() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let registry = listed(&site).await;
    let layer = os(GOOD);
    let manifest = registry.push("os/debian", "13", std::slice::from_ref(&layer));
    site.post("/api/v1/profiles", profile(&registry, "1.0.0", OS_ONLY))
        .await;

    let token = site.token(json!({ "profile": "edge" })).await;
    let mut host = Host::boot(&site, "S1", "b").await;
    host.evidence.modaliases = vec![
        "virtio:d00000002v00001AF4".to_owned(),
        "pci:v0000DEADd0000BEEF".to_owned(),
    ];
    let uid = host.join(&site, &token).await;
    host.open(&site, &uid).await.unwrap();
    let body = host.sync_body(Phase::Waiting);
    let answer = host.sync(&site, &body).await.unwrap();
    let desired = answer.desired.unwrap();
    assert_eq!(desired.assignment, 1);
    assert_eq!(desired.unserved, ["pci:v0000DEADd0000BEEF"]);
    let os = &desired.release.layers[0];
    assert_eq!(os.manifest, manifest);
    assert_eq!(os.blobs[0].unpacked, layer.len() as u64);
    assert_eq!(os.blobs[0].entries, 8);
    assert_eq!(os.facts.kernel.as_deref(), Some("6.12.1-test"));
    assert_eq!(os.facts.os, "debian 13");
    assert!(os.facts.module_aliases.is_empty());
    assert_eq!(desired.release.registries[0].host, registry.host);

    // The same etag again brings nothing.
    let mut body = host.sync_body(Phase::Waiting);
    body.etag = answer.etag.clone();
    let again = host.sync(&site, &body).await.unwrap();
    assert_eq!((again.etag, again.desired), (answer.etag, None));
}

#[tokio::test]
async fn a_registry_without_tls_is_told_before_anything_is_repeated() {
    let site = Site::start().await;
    let registry = Registry::start().await;
    registry.push("os/debian", "13", &[os(GOOD)]);
    site.post("/api/v1/registries", json!({ "host": registry.host }))
        .await;
    let asked = publish(&site, profile(&registry, "1.0.0", OS_ONLY));
    // All repetitions together would take twice this.
    let refused = tokio::time::timeout(Duration::from_secs(15), asked).await;
    let refused = refused.unwrap();
    assert_eq!(refused.0, 502, "{refused:?}");
    assert!(
        detail(&refused).contains("list it so: `--plain-http`"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_version_never_changes_and_a_tag_is_resolved_once() {
    let site = Site::start().await;
    let registry = listed(&site).await;
    registry.push("os/debian", "13", &[os(GOOD)]);
    let first = publish(&site, profile(&registry, "1.0.0", OS_ONLY)).await;
    assert_eq!(first.0, 201, "{first:?}");
    let digest =
        site.get("/api/v1/profiles/edge/1.0.0").await["release"]["layers"][0]["manifest"].clone();
    // The tag moves; the version does not.
    registry.push("os/debian", "13", &[os(&format!("{GOOD}CONFIG_X=y\n"))]);
    let again = publish(&site, profile(&registry, "1.0.0", OS_ONLY)).await;
    assert_eq!(again, first);
    assert_eq!(
        site.get("/api/v1/profiles/edge/1.0.0").await["release"]["layers"][0]["manifest"],
        digest
    );
    let other = format!("{OS_ONLY}cmdline: quiet\n");
    let changed = publish(&site, profile(&registry, "1.0.0", &other)).await;
    assert_eq!(changed.0, 409, "{changed:?}");
    let next = publish(&site, profile(&registry, "1.1.0", OS_ONLY)).await;
    assert_eq!(next.0, 201, "{next:?}");
    assert_ne!(
        site.get("/api/v1/profiles/edge/1.1.0").await["release"]["layers"][0]["manifest"],
        digest
    );
}

#[tokio::test]
async fn an_image_that_no_host_can_boot_is_refused_with_what_is_missing() {
    let site = Site::start().await;
    let registry = listed(&site).await;
    let without = |option: &str| {
        let lines: Vec<&str> = GOOD
            .lines()
            .filter(|line| !line.starts_with(option))
            .collect();
        os(&lines.join("\n"))
    };
    for (case, layer, named) in [
        ("erofs", without("CONFIG_EROFS_FS"), "CONFIG_EROFS_FS"),
        (
            "overlayfs",
            without("CONFIG_OVERLAY_FS"),
            "CONFIG_OVERLAY_FS",
        ),
        ("fs-verity", without("CONFIG_FS_VERITY"), "CONFIG_FS_VERITY"),
        ("kernel", tar(&[("usr/lib/systemd/systemd", "x")]), "kernel"),
        (
            "systemd",
            tar(&[
                ("boot/vmlinuz-6.12.1-test", "kernel"),
                (&format!("{MODULES}/modules.dep"), DEP),
            ]),
            "systemd",
        ),
        (
            "modules that nobody can unpack",
            tar(&[
                ("boot/vmlinuz-6.12.1-test", "kernel"),
                ("boot/config-6.12.1-test", GOOD),
                (
                    &format!("{MODULES}/modules.dep"),
                    &DEP.replace(".ko:", ".ko.xz:"),
                ),
                ("usr/lib/systemd/systemd", "systemd"),
            ]),
            "virtio_blk.ko.xz",
        ),
    ] {
        registry.push("os/debian", "13", &[layer]);
        let answer = publish(&site, profile(&registry, "1.0.0", OS_ONLY)).await;
        assert_eq!(answer.0, 409, "{case}: {answer:?}");
        assert!(detail(&answer).contains(named), "{case}: {answer:?}");
    }
    assert_eq!(site.get("/api/v1/profiles").await, json!([]));
}

#[tokio::test]
async fn an_unlisted_registry_is_never_asked() {
    let site = Site::start().await;
    let registry = Registry::start().await;
    registry.push("os/debian", "13", &[os(GOOD)]);
    let answer = publish(&site, profile(&registry, "1.0.0", OS_ONLY)).await;
    assert_eq!(answer.0, 409, "{answer:?}");
    assert!(detail(&answer).contains("not listed"), "{answer:?}");
    assert_eq!(registry.requests(), 0);
}

#[tokio::test]
async fn damage_and_absence_name_the_layer() {
    let site = Site::start().await;
    let registry = listed(&site).await;
    let answer = publish(&site, profile(&registry, "1.0.0", OS_ONLY)).await;
    assert_eq!(answer.0, 502, "{answer:?}");
    assert!(detail(&answer).contains("os/debian:13"), "{answer:?}");
    let layer = os(GOOD);
    registry.push("os/debian", "13", std::slice::from_ref(&layer));
    registry.damage("os/debian", &layer);
    let answer = publish(&site, profile(&registry, "1.0.0", OS_ONLY)).await;
    assert_eq!(answer.0, 502, "{answer:?}");
    assert!(detail(&answer).contains("sha256:"), "{answer:?}");
}

#[tokio::test]
async fn images_that_do_not_merge_are_refused() {
    let site = Site::start().await;
    let registry = listed(&site).await;
    registry.push("os/debian", "13", &[os(GOOD)]);
    registry.push("extra", "1", &[tar(&[("usr/lib/systemd/systemd", "mine")])]);
    let layers = format!("{OS_ONLY}  - image: {{ name: extra, image: REG/extra:1 }}\n");
    let answer = publish(&site, profile(&registry, "1.0.0", &layers)).await;
    assert_eq!(answer.0, 409, "{answer:?}");
    assert!(
        detail(&answer).contains("usr/lib/systemd/systemd"),
        "{answer:?}"
    );

    registry.push("k3s", "1", &[tar(&[("bin/k3s", "k3s")])]);
    let kubernetes = |file: &str| {
        format!(
            "{OS_ONLY}  - kubernetes: {{ distribution: k3s, version: v1.33.4+k3s1, image: REG/k3s:1, \
             files: {{ /usr/local/bin/k3s: {file} }}, config: {{ flannel-backend: vxlan }} }}\n"
        )
    };
    let answer = publish(
        &site,
        profile(&registry, "1.0.0", &kubernetes("/bin/kubelet")),
    )
    .await;
    assert_eq!(answer.0, 409, "{answer:?}");
    assert!(detail(&answer).contains("/bin/kubelet"), "{answer:?}");
    let answer = publish(&site, profile(&registry, "1.0.0", &kubernetes("/bin/k3s"))).await;
    assert_eq!(answer.0, 201, "{answer:?}");
}

#[tokio::test]
async fn kubernetes_without_a_network_is_refused_at_its_line() {
    let site = Site::start().await;
    let registry = listed(&site).await;
    let layers = format!(
        "{OS_ONLY}  - kubernetes: {{ distribution: k3s, version: v1.33.4+k3s1, image: REG/k3s:1 }}\n"
    );
    let answer = publish(&site, profile(&registry, "1.0.0", &layers)).await;
    assert_eq!(answer.0, 422, "{answer:?}");
    let error = answer.1["errors"][0].as_str().unwrap();
    assert!(
        error.starts_with("6:") && error.contains("network"),
        "{error}"
    );
}

#[tokio::test]
async fn an_assignment_wakes_a_waiting_host() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let registry = listed(&site).await;
    registry.push("os/debian", "13", &[os(GOOD)]);
    site.post("/api/v1/profiles", profile(&registry, "1.0.0", OS_ONLY))
        .await;
    let token = site.token(json!({})).await;
    let mut host = Host::boot(&site, "S1", "b").await;
    let uid = host.join(&site, &token).await;
    host.open(&site, &uid).await.unwrap();
    let mut body = host.sync_body(Phase::Waiting);
    body.wait = 25;
    let assign = async {
        // The host's sync is in the hub when its phase is seen there.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while site.get(&format!("/api/v1/hosts/{uid}")).await["phase"] != "waiting" {
            assert!(
                tokio::time::Instant::now() < deadline,
                "the sync never arrives"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let disk = json!({ "serial": "D1", "wipe": true, "reinstall": false });
        let body = json!({ "profile": "edge@1.0.0", "disk": disk });
        site.post("/api/v1/hosts/ID-S1/assignment", body).await
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        tokio::join!(host.sync(&site, &body), assign)
    });
    let (answer, assigned) = waited.await.expect("the long poll is not woken");
    assert_eq!(assigned["generation"], 1);
    let desired = answer.unwrap().desired.unwrap();
    assert_eq!(desired.disk.unwrap().serial, "D1");

    let missing = json!({ "profile": "edge@9.9.9" });
    let path = format!("/api/v1/hosts/{uid}/assignment");
    assert_eq!(site.ask(Method::POST, &path, Some(missing)).await.0, 404);
}
