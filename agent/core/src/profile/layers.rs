//! The list of layers.

use std::collections::{BTreeMap, BTreeSet};

use burin_api::desired::LayerKind;

use super::kubernetes::kubernetes;
use super::{LayerDocument, LayerSource, ProfileDocument, is_name, single};
use crate::merge::normalize;
use crate::oci::Reference;
use crate::yaml::{Map, Node, Problem, Reader, Value, nearest};

const KINDS: [&str; 5] = ["os", "kubernetes", "image", "manifests", "chart"];
/// Most keys that a layer names.
const MOST_KEYS: usize = 16;
/// The largest text of inline manifests of one layer: the answer to a host has to hold it.
const MAX_INLINE: usize = 64 * 1024;

pub(super) fn read(
    top: &mut Map<'_>,
    root: &Node,
    profile: &mut ProfileDocument,
    reader: &mut Reader,
) {
    for node in reader.list(top, "layers") {
        let Some(entry) = single(node) else {
            reader.error(
                node,
                "a layer has exactly one key, its kind",
                KINDS.join(", "),
            );
            continue;
        };
        let kind = match entry.key.as_str() {
            "os" => LayerKind::Os,
            "kubernetes" => LayerKind::Kubernetes,
            "image" => LayerKind::Image,
            "manifests" => LayerKind::Manifests,
            "chart" => {
                reader.push(
                    Problem::error(
                        entry.line,
                        entry.column,
                        "`chart` layers are not supported yet".to_owned(),
                    )
                    .expected("a `manifests` layer with what `helm template` prints"),
                );
                continue;
            }
            other => {
                let expected = nearest(other, KINDS)
                    .map_or_else(|| KINDS.join(", "), |w| format!("`{w}`, perhaps"));
                reader.push(
                    Problem::error(
                        entry.line,
                        entry.column,
                        format!("no kind of layer is called `{other}`"),
                    )
                    .expected(expected),
                );
                continue;
            }
        };
        if let Some(map) = reader.map(&entry.value, &format!("layers.{}", entry.key)) {
            layer(map, kind, node, profile, reader);
        }
    }
    check_stack(root, profile, reader);
}

fn layer(
    mut map: Map<'_>,
    kind: LayerKind,
    node: &Node,
    profile: &mut ProfileDocument,
    reader: &mut Reader,
) {
    let mut out = LayerDocument {
        kind,
        name: name(&mut map, kind, node, reader),
        source: LayerSource::Inline(BTreeMap::new()),
        files: files(&mut map, reader),
        replaces_system: false,
        verify: verify(&mut map, reader),
        line: node.line,
        column: node.column,
    };
    if kind == LayerKind::Image {
        out.replaces_system = reader.boolean(&mut map, "replaces_system").unwrap_or(false);
    }
    if kind == LayerKind::Kubernetes
        && let Some(kubernetes) = kubernetes(&mut map, node, reader)
    {
        if profile.kubernetes.is_some() {
            reader.error(node, "a profile has one Kubernetes layer", "one");
        }
        profile.kubernetes = Some(kubernetes);
    }
    if let Some(source) = source(&mut map, &out, node, reader) {
        out.source = source;
    }
    for (key, instead) in [
        ("url", "`inline:` with the text, or `image:` with the files"),
        ("cmdline", "`cmdline` of the profile"),
    ] {
        if let Some(entry) = map.entry(key) {
            map.get(key);
            let message = format!("`{}` is not supported yet", map.name(key));
            reader.push(Problem::error(entry.line, entry.column, message).expected(instead));
        }
    }
    map.finish(reader);
    profile.layers.push(out);
}

/// Image or inline text: exactly one of them.
fn source(
    map: &mut Map<'_>,
    layer: &LayerDocument,
    node: &Node,
    reader: &mut Reader,
) -> Option<LayerSource> {
    let is_manifests = layer.kind == LayerKind::Manifests;
    let inline = is_manifests.then(|| map.get("inline")).flatten();
    match (map.get("image"), inline) {
        (Some(image), None) => {
            let text = reader.text_of(image, &map.name("image"))?;
            match text.parse::<Reference>() {
                Ok(reference) => return Some(LayerSource::Image(reference)),
                Err(err) => {
                    reader.error(image, err.to_string(), "registry.example/os/debian:13");
                }
            }
        }
        (None, Some(inline)) => {
            return Some(LayerSource::Inline(manifests(inline, &layer.name, reader)));
        }
        (Some(image), Some(_)) => {
            reader.error(
                image,
                "`image` and `inline` exclude each other",
                "one of them",
            );
        }
        // Told with the other keys that are not supported yet.
        (None, None) if map.entry("url").is_some() => {}
        (None, None) => {
            let expected = if is_manifests {
                "`image: ...` or `inline: ...`"
            } else {
                "`image: registry/repository:tag`"
            };
            reader.error(node, "the layer has no content", expected);
        }
    }
    None
}

fn name(map: &mut Map<'_>, kind: LayerKind, node: &Node, reader: &mut Reader) -> String {
    let given = map.get("name");
    match (given.and_then(Node::text), kind) {
        (Some(text), _) if is_name(text) => text.to_owned(),
        (None, LayerKind::Os) if given.is_none() => "os".to_owned(),
        (None, LayerKind::Kubernetes) if given.is_none() => "kubernetes".to_owned(),
        _ => {
            reader.error(
                given.unwrap_or(node),
                "the layer has no name, or not a valid one",
                "`name: ...`, at most 63 small letters, digits and `-`",
            );
            String::new()
        }
    }
}

/// `verify: { keys: [name] }`. The keys themselves are no part of a profile: whoever can change it
/// would change them, too.
fn verify(map: &mut Map<'_>, reader: &mut Reader) -> Vec<String> {
    let Some(entry) = map.entry("verify") else {
        return Vec::new();
    };
    let expected = "names of keys which the hub's root document or the user-data lists";
    let mut out = Vec::new();
    let mut wrong = false;
    if let Some(mut verify) = reader.map_at(map, "verify") {
        for (name, node) in reader.texts(&mut verify, "keys") {
            if is_name(&name) {
                out.push(name);
            } else {
                wrong = true;
                reader.error(node, "this is not the name of a key", expected);
            }
        }
        verify.finish(reader);
    }
    if (out.is_empty() && !wrong) || out.len() > MOST_KEYS {
        let message = format!(
            "`{}` names no keys, or more than {MOST_KEYS}",
            map.name("verify")
        );
        reader.push(Problem::error(entry.line, entry.column, message).expected(expected));
    }
    out
}

/// `target: source`, both absolute paths.
fn files(map: &mut Map<'_>, reader: &mut Reader) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let Some(files) = reader.map_at(map, "files") else {
        return out;
    };
    for entry in files.entries() {
        let source = reader.text_of(&entry.value, &files.name(&entry.key));
        let Some(source) = source else { continue };
        let clean = |path: &str| {
            path.starts_with('/')
                && normalize(path.as_bytes())
                    .is_ok_and(|n| !n.is_empty() && format!("/{n}") == path)
        };
        if clean(&entry.key) && clean(&source) {
            out.insert(entry.key.clone(), source);
        } else {
            reader.push(
                Problem::error(
                    entry.line,
                    entry.column,
                    format!("`{}: {source}` is not a pair of paths", entry.key),
                )
                .expected("`/usr/local/bin/k3s: /bin/k3s`, target first, both absolute"),
            );
        }
    }
    out
}

/// Inline manifests: one text, or a mapping of file names to texts.
fn manifests(node: &Node, layer: &str, reader: &mut Reader) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    match &node.value {
        Value::Scalar { text, .. } => {
            check_manifest(node, text, reader);
            out.insert(format!("{layer}.yaml"), text.clone());
        }
        Value::Mapping(entries) => {
            for entry in entries {
                let stem = entry
                    .key
                    .strip_suffix(".yaml")
                    .or(entry.key.strip_suffix(".yml"));
                match (stem.filter(|s| is_name(s)), entry.value.text()) {
                    (Some(_), Some(text)) => {
                        check_manifest(&entry.value, text, reader);
                        out.insert(entry.key.clone(), text.to_owned());
                    }
                    _ => reader.push(
                        Problem::error(
                            entry.line,
                            entry.column,
                            format!("`{}` is not a file of manifests", entry.key),
                        )
                        .expected("a name ending with .yaml, and its text after `|`"),
                    ),
                }
            }
        }
        Value::Sequence(_) => reader.error(
            node,
            "`inline` is a list",
            "the text after `|`, or file names with texts",
        ),
    }
    if out.values().map(String::len).sum::<usize>() > MAX_INLINE {
        reader.error(
            node,
            "the inline manifests are too long",
            format!("at most {MAX_INLINE} bytes; put them in an image"),
        );
    }
    out
}

/// Each document of a manifest must be YAML; what Kubernetes makes of it is Kubernetes' business.
fn check_manifest(node: &Node, text: &str, reader: &mut Reader) {
    let mut line = 0;
    let mut start = 0;
    let mut document = String::new();
    for (number, text) in text.lines().chain(["---"]).enumerate() {
        if text.trim_end() != "---" {
            document.push_str(text);
            document.push('\n');
            continue;
        }
        if let Err(problem) = crate::yaml::parse(&document) {
            line = start + problem.line;
            reader.error(
                node,
                format!("line {line} of the manifest: {}", problem.message),
                problem.expected,
            );
        }
        document.clear();
        start = number + 1;
    }
    if line == 0 && text.trim().is_empty() {
        reader.error(node, "the manifest is empty", "its YAML text");
    }
}

/// What must hold for the stack as a whole.
fn check_stack(root: &Node, profile: &ProfileDocument, reader: &mut Reader) {
    let mut names = BTreeSet::new();
    for layer in &profile.layers {
        let at = |message: String, expected: &str| {
            Problem::error(layer.line, layer.column, message).expected(expected)
        };
        if !layer.name.is_empty() && !names.insert(layer.name.as_str()) {
            reader.push(at(
                format!("two layers are called `{}`", layer.name),
                "each name once",
            ));
        }
        if layer.kind == LayerKind::Os && !layer.files.is_empty() {
            reader.push(at(
                "an OS image is taken whole".to_owned(),
                "no `files` here",
            ));
        }
        if matches!(layer.source, LayerSource::Inline(_)) && !layer.verify.is_empty() {
            reader.push(at(
                "`verify` is about an image, and there is none".to_owned(),
                "`image: ...`, or sign the release",
            ));
        }
        if matches!(layer.source, LayerSource::Inline(_)) && !layer.files.is_empty() {
            reader.push(at(
                "`files` picks out of an image, and there is none".to_owned(),
                "`image: ...`",
            ));
        }
    }
    let systems = profile
        .layers
        .iter()
        .filter(|l| l.kind == LayerKind::Os)
        .count();
    match profile.layers.first() {
        None => reader.error(
            root,
            "the profile has no layers",
            "`layers:` with an `os` layer first",
        ),
        Some(first) if first.kind != LayerKind::Os || systems != 1 => reader.push(
            Problem::error(
                first.line,
                first.column,
                format!("the profile has {systems} `os` layers or another layer before it"),
            )
            .expected("one `os` layer, the first"),
        ),
        Some(_) => {}
    }
}
