//! `burin.image_keys`: whose signatures this site wants on images.

use super::UserData;
use crate::cosign::Key;
use crate::oci::Reference;
use crate::profile::is_name;
use crate::yaml::{Map, Node, Reader};

/// Most keys of a site.
const MOST: usize = 16;

/// A key that signs images, named by the owner of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteKey {
    /// By which profiles ask for it.
    pub name: String,
    pub key: Key,
    /// `registry[/path]`: images from there need a signature by this key, or by another one that
    /// names the place, whatever the profile says.
    pub images: Vec<String>,
}

pub(super) fn read(map: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    for node in reader.list(map, "image_keys") {
        let Some(item) = reader.map(node, "burin.image_keys") else {
            continue;
        };
        let Some(key) = one(item, node, reader) else {
            continue;
        };
        if data.image_keys.iter().any(|held| held.name == key.name) {
            reader.error(node, "two image keys have this name", "each name once");
        } else if data.image_keys.len() == MOST {
            reader.error(
                node,
                "there are too many image keys",
                format!("at most {MOST}"),
            );
        } else {
            data.image_keys.push(key);
        }
    }
}

fn one(mut item: Map<'_>, node: &Node, reader: &mut Reader) -> Option<SiteKey> {
    let name = reader.text(&mut item, "name").filter(|name| is_name(name));
    if name.is_none() {
        reader.error(
            node,
            "an image key has no name, or not a valid one",
            "`name: ...`, at most 63 small letters, digits and `-`",
        );
    }
    let key = match reader.text(&mut item, "key").map(|pem| Key::parse(&pem)) {
        Some(Ok(key)) => Some(key),
        // The text never goes into a message: it may be the wrong half.
        Some(Err(err)) => {
            let message = format!("`burin.image_keys.key` is no key: {err}");
            reader.error(
                node,
                message,
                "`-----BEGIN PUBLIC KEY-----...` after `key: |`",
            );
            None
        }
        None => {
            reader.error(
                node,
                "an image key has no `key`",
                "its PEM text after `key: |`",
            );
            None
        }
    };
    let mut images = Vec::new();
    for (text, at) in reader.texts(&mut item, "images") {
        let place = text.trim_end_matches('/');
        let (host, path) = place.split_once('/').unwrap_or((place, "x"));
        match format!("{host}/{path}").parse::<Reference>() {
            Ok(it) if it.tag.is_none() && it.digest.is_none() => images.push(place.to_owned()),
            _ => reader.error(
                at,
                format!("`{text}` is not a place of images"),
                "`registry.example` or `registry.example/path`",
            ),
        }
    }
    item.finish(reader);
    Some(SiteKey {
        name: name?,
        key: key?,
        images,
    })
}
