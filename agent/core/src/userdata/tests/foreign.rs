//! Keys of Palette and Kairos, and several sources.

use proptest::prelude::*;

use super::super::*;
use super::told;

const EXTERNAL: &str = "#cloud-config
stylus:
  registryCredentials:
    domain: 192.0.2.5:8000/edge/images
    username: edge
    password: czNjcmV0
    encodedPassword: true
    insecure: true
  externalRegistries:
    registries:
      - { domain: mirror.example/all, username: someone, password: ~, repositoryName: all }
    registryMappingRules:
      registry.example/os: mirror.example/all/os
      docker.example: mirror.example/hub/
providerCredentials: { registry: https://third.example, username: a, password: b }
";

#[test]
fn registries_of_palette_are_read() {
    let data = parse(EXTERNAL).unwrap();
    let hosts: Vec<_> = data.registries.iter().map(|r| r.host.as_str()).collect();
    assert_eq!(hosts, ["192.0.2.5:8000", "mirror.example", "third.example"]);
    let first = &data.registries[0];
    assert_eq!(first.password.as_ref().unwrap().expose(), "s3cret");
    assert!(!first.plain_http);
    assert_eq!(data.registries[1].username, None);
    let rules: Vec<_> = data
        .mapping
        .iter()
        .map(|m| (m.from.as_str(), m.to.as_str()))
        .collect();
    assert_eq!(
        rules,
        [
            ("registry.example/os", "mirror.example/all/os"),
            ("docker.example", "mirror.example/hub")
        ]
    );
    let told: Vec<String> = data.warnings.iter().map(Problem::to_string).collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    for (from, to, want) in [
        (
            "192.0.2.5:8000/edge",
            "not a host/edge",
            "4:5: error: `stylus.registryCredentials.domain` is missing",
        ),
        ("czNjcmV0", "s3cret!", "is not base64"),
        (
            "docker.example",
            "docker.example:1/x:tag",
            "does not begin with a registry",
        ),
        (
            "mirror.example/hub/",
            "mirror example",
            "`mirror example` is not a registry",
        ),
    ] {
        let told = told_of(&EXTERNAL.replacen(from, to, 1));
        assert!(told.contains(want) && !told.contains("s3cret"), "{told}");
    }
}

#[test]
fn the_rule_that_says_most_decides_where_content_comes_from() {
    let text = "#cloud-config\nburin:\n  registry_mapping:\n    r.example: m.example/all\n    \
                r.example/os: n.example\n    r.example/os/debian: o.example:5000/deb\n";
    let data = parse(text).unwrap();
    for (from, want) in [
        (("r.example", "k8s/k3s"), ("m.example", "all/k8s/k3s")),
        (("r.example", "os/alpine"), ("n.example", "alpine")),
        (("r.example", "os"), ("n.example", "os")),
        (("r.example", "osx"), ("m.example", "all/osx")),
        (("r.example", "os/debian"), ("o.example:5000", "deb")),
        (("r.example.org", "os"), ("r.example.org", "os")),
        (("other.example", "os"), ("other.example", "os")),
    ] {
        let (registry, repository) = data.mapped(from.0, from.1);
        assert_eq!((registry.as_str(), repository.as_str()), want, "{from:?}");
    }
}

fn told_of(text: &str) -> String {
    told(text).join("\n")
}

#[test]
fn a_later_source_adds_but_takes_nobody_over() {
    let first = "#cloud-config
burin: { hub: { url: https://hub.example }, host: { labels: { city: oslo } }, network: { dns: [192.0.2.1] } }
users: [{ name: ops }]
";
    let second = "#cloud-config
stylus: { site: { paletteEndpoint: evil.example, tags: { rack: 7 } } }
burin: { hub: { url: https://evil.example }, host: { labels: { city: bergen } }, network: { dns: [192.0.2.2] } }
users: [{ name: evil }]
stages: { boot: [] }
";
    let texts = [first, second];
    let data = merge(&texts).unwrap();
    assert_eq!(data.hub.as_ref().unwrap().url, "https://hub.example");
    assert_eq!(data.host.labels["city"], "bergen");
    assert_eq!(data.host.labels["rack"], "7");
    assert_eq!(data.network.dns.len(), 2);
    let names: Vec<_> = data.users.iter().map(|u| u.name.as_str()).collect();
    assert_eq!(names, ["ops"]);
    let told = by_source(&texts, data.warnings.clone());
    let told: Vec<String> = told[1].iter().map(Problem::to_string).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(
        told[0],
        "2:19: warning: `stylus.site.paletteEndpoint` has no effect: an earlier source has decided the hub"
    );
    // The other way round the second has its say: nobody had decided.
    assert_eq!(merge(&[second, first]).unwrap().users[0].name, "evil");
}

#[test]
fn documents_of_one_file_are_one() {
    let data =
        parse("#cloud-config\n---\nhostname: a\n---\nhostname: b\nusers: [{name: x}]\n").unwrap();
    assert_eq!((data.hostname.as_deref(), data.users.len()), (Some("b"), 1));
    assert_eq!(
        told("#cloud-config\nusers: []\n---\nusers: 1\n"),
        ["4:8: error: `users` is a single value here and a list on line 2; expected a list"]
    );
}

#[test]
fn keys_of_the_field_that_nobody_knows_are_warned_about() {
    for (text, want) in [
        (
            "metallb: {}",
            "2:1: warning: unknown key `metallb`: it has no effect",
        ),
        (
            "k0s: { enabled: true }",
            "2:1: warning: `k0s` has no effect: the profile says which Kubernetes runs and how",
        ),
        (
            "stylus: { future: 1 }",
            "2:11: warning: unknown key `stylus.future`: it has no effect",
        ),
        (
            "hostname: metal-{{ trunc 4 .MachineID }}",
            "2:11: warning: `hostname` has no effect: templates are not filled in",
        ),
    ] {
        let told = told(&format!("#cloud-config\n{text}\n"));
        assert!(told.len() == 1 && told[0].starts_with(want), "{told:?}");
    }
}

#[test]
fn what_makes_a_host_safer_is_not_passed_over() {
    for (text, want) in [
        (
            "encrypted_partitions: [COS_PERSISTENT]",
            "2:34: error: `install.encrypted_partitions`: burin does not encrypt",
        ),
        (
            "ssh_hardening: true",
            "2:27: error: `install.ssh_hardening` is not done by burin",
        ),
    ] {
        let told = told(&format!("#cloud-config\ninstall: {{ {text} }}\n"));
        assert!(told.len() == 1 && told[0].starts_with(want), "{told:?}");
    }
    let fine = "#cloud-config\ninstall: { encrypted_partitions: [], ssh_hardening: false }\n";
    assert_eq!(told(fine), Vec::<String>::new());
}

#[test]
fn certificates_may_be_in_base64_once_more() {
    use base64::Engine as _;
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        "A".repeat(200)
    );
    let packed = base64::prelude::BASE64_STANDARD.encode(&pem);
    let data = parse(&format!(
        "#cloud-config\nstylus: {{ site: {{ caCerts: [{packed}] }} }}\n"
    ))
    .unwrap();
    assert_eq!(data.network.ca, [pem]);
}

proptest! {
    #[test]
    fn no_change_of_their_keys_makes_the_parser_panic(at in 0usize..600, with in "[ -~\n]{0,6}") {
        let mut text = EXTERNAL.to_owned();
        text.insert_str(at.min(text.len()), &with);
        let _ = merge(&[&text, EXTERNAL]);
    }
}

#[test]
fn a_profile_is_no_user_data() {
    for text in [
        "apiVersion: burin/v1\nkind: Profile\nmetadata: { name: a, version: 1.0.0 }\nlayers: []\n",
        "apiVersion: burin/v2\nmetadata: {}\n",
        "kind: Profile\n",
    ] {
        let told = told(text);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("1:1: error: this is a profile, not user-data; expected user-data"),
            "{told:?}"
        );
    }
    let behind = told("#cloud-config\nhostname: a\n---\nkind: Profile\n");
    assert!(
        behind[0].starts_with("4:1: error: this is a profile"),
        "{behind:?}"
    );
    // What other tools put at the top of their files changes nothing.
    parse("#cloud-config\napiVersion: v1\nkind: KairosConfig\nhostname: a\n").unwrap();
}
