//! Which images have to be signed, and by whose keys.

use burin_api::desired::Layer;
use burin_api::message::ImageKey;

use super::Key;
use crate::userdata::SiteKey;

/// One of these keys has to have signed the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Names of the keys, for people.
    pub names: Vec<String>,
    pub keys: Vec<Key>,
}

/// A layer asks for a signature by keys of which none is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it has to be signed by `{}`, and neither the hub's root document nor the user-data lists such a key",
    .0.join("` or `")
)]
pub struct PolicyError(pub Vec<String>);

/// What an image has to fulfil: what the profile asks for, by keys that the profile itself cannot
/// bring, and what the owner of the host asks for wherever the profile takes the image from. All of
/// it must hold.
///
/// `listed` are the keys of the hub's root document. They come before those of the site: a stick in a
/// new host must not put another key behind a name.
///
/// # Errors
/// When no key that the profile names is known.
pub fn demands(
    layer: &Layer,
    listed: &[ImageKey],
    site: &[SiteKey],
) -> Result<Vec<Demand>, PolicyError> {
    let mut out = Vec::new();
    if !layer.verify.is_empty() {
        let known = layer
            .verify
            .iter()
            .filter_map(|name| Some((name.clone(), find(name, listed, site)?)));
        let (names, keys): (Vec<_>, Vec<_>) = known.unzip();
        if keys.is_empty() {
            return Err(PolicyError(layer.verify.clone()));
        }
        out.push(Demand { names, keys });
    }
    let image = format!("{}/{}", layer.registry, layer.repository);
    let below = |place: &String| {
        let rest = image.strip_prefix(place.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let asked = site.iter().filter(|key| key.images.iter().any(below));
    let (names, keys): (Vec<_>, Vec<_>) = asked.map(|it| (it.name.clone(), it.key.clone())).unzip();
    if !keys.is_empty() && !layer.registry.is_empty() {
        out.push(Demand { names, keys });
    }
    Ok(out)
}

fn find(name: &str, listed: &[ImageKey], site: &[SiteKey]) -> Option<Key> {
    if let Some(listed) = listed.iter().find(|it| it.name == name) {
        return Key::parse(&listed.key).ok();
    }
    let own = site.iter().find(|it| it.name == name)?;
    Some(own.key.clone())
}
