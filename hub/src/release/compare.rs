//! Whether a hub's statement is what an engineer's own profile document says.

use std::collections::BTreeMap;

use burin_api::desired::{Layer, Release};
use burin_core::profile::{LayerDocument, LayerSource, ProfileDocument};

/// Everything that differs; nothing when the statement is the document with its tags resolved.
pub(super) fn differences(own: &ProfileDocument, found: &Release) -> Vec<String> {
    let mut out = Vec::new();
    let mut hold = |what: &str, same: bool| {
        if !same {
            out.push(format!("{what} differs"));
        }
    };
    hold("the name", own.name == found.name);
    hold("the version", own.version == found.version);
    hold("Kubernetes", own.kubernetes == found.kubernetes);
    hold("health", own.health == found.health);
    hold("the kernel's arguments", own.cmdline == found.cmdline);
    hold(
        "the number of layers",
        own.layers.len() == found.layers.len(),
    );
    for (own, found) in own.layers.iter().zip(&found.layers) {
        hold(&format!("layer {}", own.name), is_same(own, found));
    }
    out
}

fn is_same(own: &LayerDocument, found: &Layer) -> bool {
    let none = BTreeMap::new();
    let (image, inline) = match &own.source {
        LayerSource::Image(reference) => (Some(reference), &none),
        LayerSource::Inline(inline) => (None, inline),
    };
    let from = image.map_or_else(Default::default, |it| {
        (it.registry.as_str(), it.repository.as_str(), it.to_string())
    });
    own.kind == found.kind
        && own.name == found.name
        && own.files == found.files
        && own.replaces_system == found.replaces_system
        && own.verify == found.verify
        && *inline == found.inline
        && from
            == (
                found.registry.as_str(),
                found.repository.as_str(),
                found.reference.clone(),
            )
}
