//! Registries: credentials, roots, and where their content is taken from instead.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;

use super::burin::certificates;
use super::{Mapping, RegistryCredentials, Secret, UserData};
use crate::oci::Reference;
use crate::yaml::{Map, Node, Problem, Reader};

/// `burin.registries` and `burin.registry_mapping`.
pub(super) fn read(map: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    for node in reader.list(map, "registries") {
        if let Some(item) = reader.map(node, "burin.registries") {
            let own = registry(item, node, reader);
            add(own, data);
        }
    }
    mapping(map, "registry_mapping", data, reader);
}

/// A later entry for a host replaces an earlier one.
fn add(registry: RegistryCredentials, data: &mut UserData) {
    data.registries.retain(|old| old.host != registry.host);
    data.registries.push(registry);
}

fn registry(mut item: Map<'_>, node: &Node, reader: &mut Reader) -> RegistryCredentials {
    let mut out = RegistryCredentials {
        host: reader.text(&mut item, "host").unwrap_or_default(),
        username: reader.text(&mut item, "username"),
        password: reader.text(&mut item, "password").map(Secret),
        plain_http: reader.boolean(&mut item, "plain_http").unwrap_or(false),
        ca: certificates(&mut item, "ca", reader),
        token_realm: None,
    };
    if let Some(realm) = item.get("token_realm")
        && let Some(text) = reader.text_of(realm, "burin.registries.token_realm")
    {
        if text.starts_with("https://") || (out.plain_http && text.starts_with("http://")) {
            out.token_realm = Some(text);
        } else {
            reader.error(
                realm,
                "`burin.registries.token_realm` is not safe",
                "an https:// URL",
            );
        }
    }
    if format!("{}/x", out.host)
        .parse::<crate::oci::Reference>()
        .is_err()
    {
        reader.error(
            node,
            "`burin.registries.host` is missing or not a host",
            "`host: registry.example:5000`",
        );
    }
    if out.username.is_some() != out.password.is_some() {
        reader.error(
            node,
            "a registry has a username without a password or the other way round",
            "both or none",
        );
    }
    if out.plain_http && out.password.is_some() {
        reader.error(
            node,
            "a password would go over the network for everybody to read",
            "`plain_http: false`, or no password",
        );
    }
    item.finish(reader);
    out
}

/// `stylus.registryCredentials`, one of `stylus.externalRegistries.registries`, or
/// `providerCredentials`: `host` is the key with the registry, which may have a path behind it.
pub(super) fn external(
    node: &Node,
    name: &str,
    host: &'static str,
    data: &mut UserData,
    reader: &mut Reader,
) {
    let Some(mut map) = reader.map(node, name) else {
        return;
    };
    let domain = reader.text(&mut map, host).unwrap_or_default();
    let bare = domain.trim_start_matches("https://");
    let username = reader
        .text(&mut map, "username")
        .filter(|name| !name.is_empty());
    let password = password(&mut map, reader);
    let ca = certificates(&mut map, "certificates", reader);
    if let Some(at) = map.get("insecure")
        && at.text() != Some("false")
    {
        let instead = "the registry's certificate is checked; add its root to `certificates`";
        reader.warn(at, format!("`{name}.insecure` has no effect: {instead}"));
    }
    map.idle(
        &[("repositoryName", "the profile names the repositories")],
        reader,
    );
    map.finish_foreign(reader);
    let Some((host, _)) = host_and_path(bare) else {
        reader.error(
            node,
            format!("`{name}.{host}` is missing or not a registry"),
            "`registry.example:5000`, perhaps with a path behind it",
        );
        return;
    };
    if username.is_some() != password.is_some() {
        reader.warn(
            node,
            format!(
                "`{name}` has a user name without a password or the other way round: none is sent"
            ),
        );
    }
    let both = username.zip(password);
    add(
        RegistryCredentials {
            host: host.to_owned(),
            username: both.as_ref().map(|(name, _)| name.clone()),
            password: both.map(|(_, password)| password),
            ca,
            ..RegistryCredentials::default()
        },
        data,
    );
}

/// The password, taken out of its base64 where `encodedPassword` says so. Never in a message.
fn password(map: &mut Map<'_>, reader: &mut Reader) -> Option<Secret> {
    let encoded = reader.boolean(map, "encodedPassword").unwrap_or(false);
    let node = map.get("password")?;
    let text = reader.text_of(node, &map.name("password"))?;
    if text.is_empty() {
        return None;
    }
    if !encoded {
        return Some(Secret::new(text));
    }
    let bytes = BASE64.decode(text.trim()).ok();
    match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(text) => Some(Secret::new(text)),
        None => {
            let name = map.name("password");
            reader.error(
                node,
                format!("`{name}` is not base64, and `encodedPassword` says so"),
                "what `base64` prints, or `encodedPassword: false`",
            );
            None
        }
    }
}

/// Rules that take content from another place: `registry[/path]: registry[/path]`.
pub(super) fn mapping(
    map: &mut Map<'_>,
    key: &'static str,
    data: &mut UserData,
    reader: &mut Reader,
) {
    let Some(rules) = reader.map_at(map, key) else {
        return;
    };
    for entry in rules.entries() {
        let name = rules.name(&entry.key);
        let Some(to) = reader.text_of(&entry.value, &name) else {
            continue;
        };
        let from = entry.key.trim_end_matches('/');
        let to = to.trim_end_matches('/');
        if host_and_path(from).is_none() {
            let message = format!("`{name}` does not begin with a registry");
            reader.push(
                Problem::error(entry.line, entry.column, message)
                    .expected("`registry.example` or `registry.example/path`"),
            );
        } else if host_and_path(to).is_none() {
            reader.error(
                &entry.value,
                format!("`{to}` is not a registry"),
                "`mirror.example` or `mirror.example/path`",
            );
        } else {
            data.mapping.retain(|rule| rule.from != from);
            data.mapping.push(Mapping {
                from: from.to_owned(),
                to: to.to_owned(),
            });
        }
    }
}

impl UserData {
    /// Where the content of a repository is taken from, as registry and repository: by the rule that
    /// says most, or from where it is.
    #[must_use]
    pub fn mapped(&self, registry: &str, repository: &str) -> (String, String) {
        let whole = format!("{registry}/{repository}");
        let matching = self.mapping.iter().filter_map(|rule| {
            let rest = whole.strip_prefix(&rule.from)?;
            let at_a_border = rest.is_empty() || rest.starts_with('/');
            at_a_border
                .then(|| format!("{}{rest}", rule.to))
                .map(|to| (rule.from.len(), to))
        });
        let mapped = matching.max().map_or(whole, |(_, to)| to);
        match mapped.split_once('/') {
            Some((registry, repository)) => (registry.to_owned(), repository.to_owned()),
            // A rule for one repository that names only a registry: its content keeps its name there.
            None => (mapped, repository.to_owned()),
        }
    }
}

/// A registry and the path behind it, by the rules of image references.
fn host_and_path(text: &str) -> Option<(&str, &str)> {
    let (host, path) = text.split_once('/').unwrap_or((text, ""));
    let whole = format!("{host}/{}", if path.is_empty() { "x" } else { path });
    let reference: Reference = whole.parse().ok()?;
    (reference.tag.is_none() && reference.digest.is_none()).then_some((host, path))
}
