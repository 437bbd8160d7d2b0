//! K3s: its files and its configuration, with the defaults of the edge practice.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Where the program may lie in the image, in this order.
pub const PROGRAMS: [&str; 2] = ["/usr/local/bin/k3s", "/usr/bin/k3s"];
/// The configuration file that K3s reads by itself.
pub const CONFIG: &str = "/etc/rancher/k3s/config.yaml";
/// The cluster's token, kept on the system partition and rendered here.
pub const TOKEN: &str = "/etc/rancher/k3s/token";
/// Credentials of the administrator, written by K3s once its API is up.
pub const KUBECONFIG: &str = "/etc/rancher/k3s/k3s.yaml";
/// K3s applies every file that lies here.
pub const MANIFESTS: &str = "/var/lib/rancher/k3s/server/manifests";
/// The datastore: its presence says that K3s ran here before.
pub const DATASTORE: &str = "/var/lib/rancher/k3s/server/db";
/// Name of the service.
pub const UNIT: &str = "k3s.service";
/// Where the unit is rendered: made anew at every boot, above what the image has.
pub const UNIT_PATH: &str = "/run/systemd/system/k3s.service";

/// What the edge practice turns off: the network, the ingress, the storage and the metrics are layers.
const DISABLED: [&str; 4] = ["traefik", "servicelb", "local-storage", "metrics-server"];

/// The configuration: defaults, above them what the profile says, key by key.
///
/// A profile turns something on by giving the key itself: `disable: []`, `flannel-backend: vxlan`.
/// With K3s' own network on, its own network policies are on as well unless the profile says so.
#[must_use]
pub fn config(node_name: &str, profile: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut config = BTreeMap::from([
        ("disable".to_owned(), json!(DISABLED)),
        ("flannel-backend".to_owned(), json!("none")),
        ("node-name".to_owned(), json!(node_name)),
        ("write-kubeconfig-mode".to_owned(), json!("0600")),
    ]);
    if !built_in_network(profile) {
        config.insert("disable-network-policy".to_owned(), json!(true));
    }
    if !profile.contains_key("token") {
        config.insert("token-file".to_owned(), json!(TOKEN));
    }
    for (key, value) in profile {
        config.insert(key.clone(), value.clone());
    }
    config
}

/// Whether the profile turns K3s' own network on.
#[must_use]
pub fn built_in_network(profile: &BTreeMap<String, Value>) -> bool {
    profile
        .get("flannel-backend")
        .and_then(Value::as_str)
        .is_some_and(|backend| backend != "none")
}

/// The file's text. Values are JSON, which every YAML reader takes; one key a line.
#[must_use]
pub fn render_config(config: &BTreeMap<String, Value>) -> String {
    let mut text = String::from("# Rendered by burin at every boot; changes are lost.\n");
    for (key, value) in config {
        text.push_str(&format!("{}: {value}\n", json!(key)));
    }
    text
}

/// The service. It is not enabled: burin starts it once the configuration is rendered, so that it
/// never comes up with the settings of another generation.
#[must_use]
pub fn unit(program: &str) -> String {
    format!(
        "[Unit]\n\
         Description=Kubernetes (K3s)\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         Type=notify\n\
         ExecStart={program} server --config {CONFIG}\n\
         KillMode=process\n\
         Delegate=yes\n\
         LimitNOFILE=1048576\n\
         LimitNPROC=infinity\n\
         LimitCORE=infinity\n\
         TasksMax=infinity\n\
         TimeoutStartSec=0\n\
         Restart=always\n\
         RestartSec=5s\n"
    )
}

/// Name under which a manifest of a layer is laid down: the layer's name keeps two layers apart,
/// the prefix says whose file it is.
#[must_use]
pub fn manifest_name(layer: &str, file: &str) -> String {
    let flat = |text: &str| -> String {
        text.chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || ".-_".contains(c) {
                    c
                } else {
                    '-'
                }
            })
            .collect()
    };
    format!("burin-{}-{}", flat(layer), flat(file))
}

/// Whether K3s applies a file of this name.
#[must_use]
pub fn is_manifest(name: &str) -> bool {
    !name.starts_with('.')
        && [".yaml", ".yml", ".json"]
            .iter()
            .any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_edge() {
        let text = render_config(&config("edge-1", &BTreeMap::new()));
        assert_eq!(
            text,
            "# Rendered by burin at every boot; changes are lost.\n\
             \"disable\": [\"traefik\",\"servicelb\",\"local-storage\",\"metrics-server\"]\n\
             \"disable-network-policy\": true\n\
             \"flannel-backend\": \"none\"\n\
             \"node-name\": \"edge-1\"\n\
             \"token-file\": \"/etc/rancher/k3s/token\"\n\
             \"write-kubeconfig-mode\": \"0600\"\n"
        );
    }

    #[test]
    fn a_profile_turns_things_on_key_by_key() {
        let profile = BTreeMap::from([
            ("disable".to_owned(), json!([])),
            ("flannel-backend".to_owned(), json!("vxlan")),
            ("node-label".to_owned(), json!(["tier=edge"])),
            ("token".to_owned(), json!("t")),
        ]);
        let merged = config("edge-1", &profile);
        assert_eq!(merged["disable"], json!([]));
        assert_eq!(merged["flannel-backend"], json!("vxlan"));
        assert_eq!(merged["node-label"], json!(["tier=edge"]));
        assert!(!merged.contains_key("disable-network-policy"));
        assert!(!merged.contains_key("token-file"));
    }

    #[test]
    fn a_value_cannot_add_a_line() {
        let profile = BTreeMap::from([("x".to_owned(), json!("a\nflannel-backend: vxlan"))]);
        let text = render_config(&config("n", &profile));
        assert_eq!(text.lines().count(), 8);
    }

    #[test]
    fn the_unit_runs_the_program_of_the_image() {
        let text = unit("/usr/local/bin/k3s");
        assert!(text.contains(
            "ExecStart=/usr/local/bin/k3s server --config /etc/rancher/k3s/config.yaml\n"
        ));
        assert!(!text.contains("[Install]"), "burin starts it, nothing else");
    }

    #[test]
    fn manifests_of_two_layers_do_not_collide_and_stay_in_their_folder() {
        assert_eq!(manifest_name("cni", "a.yaml"), "burin-cni-a.yaml");
        assert_ne!(manifest_name("a", "x.yaml"), manifest_name("b", "x.yaml"));
        assert!(!manifest_name("../x", "../../etc/y.yaml").contains('/'));
        for (name, want) in [
            ("a.yaml", true),
            ("a.json", true),
            ("README", false),
            (".a.yaml", false),
        ] {
            assert_eq!(is_manifest(name), want, "{name}");
        }
    }
}
