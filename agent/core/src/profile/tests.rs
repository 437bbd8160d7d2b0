use proptest::prelude::*;

use super::*;

const GOOD: &str = "\
apiVersion: burin/v1
kind: Profile
metadata: { name: retail, version: 1.4.0 }
layers:
  - os: { image: registry.example/os/debian:13 }
  - kubernetes:
      distribution: k3s
      version: v1.33.4+k3s1
      image: registry.example/k8s/k3s:v1.33.4
      files: { /usr/local/bin/k3s: /bin/k3s }
      config: { node-label: [tier=edge], write-kubeconfig-mode: '0600' }
  - image: { name: gpu, image: registry.example/drivers/nvidia:580, replaces_system: true }
  - manifests: { name: cni-calico, image: registry.example/cni/calico:3.30 }
  - manifests:
      name: extra
      inline: |
        kind: Namespace
        ---
        kind: ConfigMap
health: { deadline: 15m, soak: 90s, checks: [ { http: https://127.0.0.1:8443/healthz }, { command: [/usr/bin/true] } ] }
cmdline: [ nomodeset, 'mitigations=off' ]
selinux: off
";

fn told(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(profile) => profile.warnings.iter().map(Problem::to_string).collect(),
        Err(problems) => problems.iter().map(Problem::to_string).collect(),
    }
}

#[test]
fn a_whole_profile_is_read() {
    let got = parse(GOOD).unwrap();
    assert_eq!(
        (got.name.as_str(), got.version.as_str()),
        ("retail", "1.4.0")
    );
    let kinds: Vec<_> = got
        .layers
        .iter()
        .map(|l| (l.kind, l.name.as_str()))
        .collect();
    assert_eq!(
        kinds,
        [
            (LayerKind::Os, "os"),
            (LayerKind::Kubernetes, "kubernetes"),
            (LayerKind::Image, "gpu"),
            (LayerKind::Manifests, "cni-calico"),
            (LayerKind::Manifests, "extra"),
        ]
    );
    assert_eq!(got.layers[1].files["/usr/local/bin/k3s"], "/bin/k3s");
    assert!(got.layers[2].replaces_system);
    let LayerSource::Inline(files) = &got.layers[4].source else {
        panic!()
    };
    assert!(files["extra.yaml"].starts_with("kind: Namespace\n---"));
    let kubernetes = got.kubernetes.unwrap();
    assert_eq!(
        kubernetes.config["node-label"],
        serde_json::json!(["tier=edge"])
    );
    assert_eq!(
        kubernetes.config["write-kubeconfig-mode"],
        serde_json::json!("0600")
    );
    assert_eq!(
        (
            got.health.deadline,
            got.health.soak,
            got.health.checks.len()
        ),
        (900, 90, 2)
    );
    assert_eq!(got.cmdline, ["nomodeset", "mitigations=off", "selinux=0"]);
}

#[test]
fn a_layer_names_the_keys_that_sign_it_and_brings_none() {
    let with = |verify: &str| {
        let text = "{ name: gpu, image: registry.example/drivers/nvidia:580, ";
        GOOD.replace(text, &format!("{text}verify: {verify}, "))
    };
    let got = parse(&with("{ keys: [vendor, nvidia] }")).unwrap();
    assert_eq!(got.layers[2].verify, ["vendor", "nvidia"]);
    assert!(got.layers[0].verify.is_empty());
    for wrong in [
        "{ keys: [] }",
        "{}",
        "yes",
        "{ keys: ['-----BEGIN PUBLIC KEY-----'] }",
        "{ keys: [vendor], key: x }",
    ] {
        assert!(parse(&with(wrong)).is_err(), "{wrong}");
    }
    let inline = GOOD.replace(
        "      name: extra\n",
        "      name: extra\n      verify: { keys: [a] }\n",
    );
    let said = told(&inline).join("\n");
    assert!(said.contains("`verify` is about an image"), "{said}");
}

/// A text of [`GOOD`], what it is replaced by, and what is said then.
const MISTAKES: [(&str, &str, &str); 18] = [
    (
        "burin/v1",
        "burin/v2",
        "1:13: error: `apiVersion` is not known; expected `apiVersion: burin/v1`",
    ),
    (
        "kind: Profile",
        "kind: Cluster",
        "2:7: error: `kind` is not known; expected `kind: Profile`",
    ),
    (
        "1.4.0",
        "1.4",
        "3:36: error: `metadata.version` is missing or not a version; expected three numbers, like `1.4.0`",
    ),
    (
        "name: retail",
        "name: Retail",
        "3:19: error: `metadata.name` is missing or not a name; expected at most 63 small letters, digits and `-`",
    ),
    (
        "registry.example/os/debian:13",
        "debian:13",
        "5:18: error: an image is written registry/repository:tag or registry/repository@sha256:...; `debian:13` names no registry; expected registry.example/os/debian:13",
    ),
    (
        "- os:",
        "- oss:",
        "5:5: error: no kind of layer is called `oss`; expected `os`, perhaps",
    ),
    (
        "distribution: k3s",
        "distribution: rke2",
        "7:21: error: `rke2` is not supported yet; expected `k3s`",
    ),
    (
        "v1.33.4+k3s1",
        "v1.25.0+k3s1",
        "8:16: error: this is not a supported version of Kubernetes; expected 1.26 or later, like `v1.33.4+k3s1`",
    ),
    (
        "/bin/k3s }",
        "../k3s }",
        "10:16: error: `/usr/local/bin/k3s: ../k3s` is not a pair of paths; expected `/usr/local/bin/k3s: /bin/k3s`, target first, both absolute",
    ),
    (
        "node-label:",
        "data-dir:",
        "11:17: error: `layers.kubernetes.config.data-dir` is set by burin alone; expected a profile without it",
    ),
    (
        "- image: { name: gpu",
        "- chart: { name: gpu",
        "12:5: error: `chart` layers are not supported yet; expected a `manifests` layer with what `helm template` prints",
    ),
    (
        "replaces_system",
        "replace_system",
        "12:69: error: unknown key `layers.image.replace_system`; expected `replaces_system`, perhaps",
    ),
    (
        "name: extra",
        "name: gpu",
        "14:5: error: two layers are called `gpu`; expected each name once",
    ),
    (
        "kind: ConfigMap",
        "a: [1",
        "17:9: error: line 4 of the manifest: not valid YAML: while parsing a flow sequence, expected ',' or ']'",
    ),
    (
        "15m",
        "soon",
        "20:21: error: `health.deadline` is not a duration; expected 10s to 86400s, for example `15m`",
    ),
    (
        "nomodeset",
        "init=/bin/sh",
        "21:12: error: `init=/bin/sh` is set by burin alone; expected another argument, or none",
    ),
    (
        "selinux: off",
        "selinux: on",
        "22:10: error: `selinux` can only be turned off; expected `off`, or leave it out",
    ),
    (
        "selinux: off",
        "verify: {}",
        "22:1: error: unknown key `verify`; expected one of: apiVersion, kind, metadata, layers, health, cmdline, selinux",
    ),
];

#[test]
fn every_mistake_is_told_with_its_place() {
    for (from, to, want) in MISTAKES {
        assert!(GOOD.contains(from), "{from}");
        let told = told(&GOOD.replacen(from, to, 1));
        assert!(told.iter().any(|t| t == want), "{from} -> {to}\n{told:#?}");
    }
}

#[test]
fn kubernetes_without_any_network_is_refused() {
    let without: String = GOOD.split("  - manifests").next().unwrap().to_owned();
    assert!(
        told(&without)[0].starts_with("6:5: error: Kubernetes has no network"),
        "{:?}",
        told(&without)
    );
    for (backend, fine) in [("vxlan", true), ("host-gw", true), ("none", false)] {
        let text = without.replace(
            "config: { ",
            &format!("config: {{ flannel-backend: {backend}, "),
        );
        assert_eq!(parse(&text).is_ok(), fine, "{backend}");
    }
}

#[test]
fn the_os_comes_first_and_once() {
    let swapped = "apiVersion: burin/v1\nkind: Profile\nmetadata: {name: a, version: 1.0.0}\nlayers:\n  - image: {name: x, image: r.example/x:1}\n  - os: {image: r.example/o:1}\n";
    assert!(told(swapped)[0].contains("one `os` layer, the first"));
    assert!(
        told("apiVersion: burin/v1\nkind: Profile\nmetadata: {name: a, version: 1.0.0}\n")[0]
            .contains("no layers")
    );
    assert!(told("")[0].contains("the profile is empty"));
    let only = "apiVersion: burin/v1\nkind: Profile\nmetadata: {name: a, version: 1.0.0}\nlayers: [{os: {image: r.example/o:1}}]\n";
    assert_eq!(parse(only).unwrap().kubernetes, None);
}

#[test]
fn arguments_that_choose_root_or_init_are_refused() {
    for (argument, fine) in [
        ("quiet", true),
        ("console=ttyS0,115200n8", true),
        ("rootwait", true),
        ("initcall_blacklist=foo", true),
        ("init=/bin/sh", false),
        ("rdinit=/x", false),
        ("root=/dev/sda1", false),
        ("composefs.digest=x", false),
        ("composefs=x", false),
        ("burin.agent=x", false),
        ("systemd.debug-shell", false),
        ("systemd.debug_shell=1", false),
        ("\"init=/bin/sh\"", false),
        ("--", false),
        ("a\nb", false),
        ("", false),
    ] {
        assert_eq!(check_argument(argument).is_ok(), fine, "{argument:?}");
    }
}

#[test]
fn durations_have_units() {
    for (text, want) in [
        ("15m", Some(900)),
        ("1h30m", Some(5400)),
        ("2d", Some(172_800)),
        ("0s", Some(0)),
        ("15", None),
        ("m", None),
        ("1x", None),
        ("", None),
        ("99999999999999999999s", None),
        ("18446744073709551615d", None),
    ] {
        assert_eq!(duration(text), want, "{text}");
    }
}

proptest! {
    #[test]
    fn no_change_makes_the_parser_panic(at in 0usize..1300, with in "[ -~\n]{0,6}") {
        let mut text = GOOD.to_owned();
        let at = at.min(text.len());
        text.insert_str(at, &with);
        let _ = parse(&text);
    }
}
