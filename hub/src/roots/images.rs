//! Keys that sign images, listed in the root document.

use std::path::Path;

use anyhow::{Context as _, ensure};
use burin_api::message::ImageKey;
use burin_core::cosign::Key;
use burin_core::profile::is_name;
use clap::Args;

use crate::files;

/// Most image keys of a root document: a host reads all of them at every hello.
const MOST_KEYS: usize = 16;

/// How `root rotate` changes the list of image keys.
#[derive(Debug, Default, Args)]
pub(crate) struct ImageKeys {
    /// Let profiles ask for signatures by this key (`verify` of a layer): a name, and the file of its
    /// public half, as `cosign generate-key-pair` writes it (cosign.pub).
    #[arg(long, value_name = "NAME=FILE")]
    pub(crate) add_image_key: Vec<String>,
    /// Take an image key away by its name.
    #[arg(long, value_name = "NAME")]
    pub(crate) remove_image_key: Vec<String>,
}

impl ImageKeys {
    /// Whether anything is to change.
    pub(crate) fn is_some(&self) -> bool {
        !self.add_image_key.is_empty() || !self.remove_image_key.is_empty()
    }

    /// The list after the change. A name that is added again gets the key named now.
    pub(crate) fn apply(&self, held: &[ImageKey]) -> anyhow::Result<Vec<ImageKey>> {
        let mut keys = held.to_vec();
        for name in &self.remove_image_key {
            let before = keys.len();
            keys.retain(|held| held.name != *name);
            ensure!(
                keys.len() < before,
                "{name} is not among the image keys; see `root show`"
            );
        }
        for text in &self.add_image_key {
            let key = read(text)?;
            keys.retain(|held| held.name != key.name);
            keys.push(key);
        }
        ensure!(
            keys.len() <= MOST_KEYS,
            "a root document lists at most {MOST_KEYS} image keys"
        );
        Ok(keys)
    }
}

fn read(text: &str) -> anyhow::Result<ImageKey> {
    let (name, file) = text
        .split_once('=')
        .with_context(|| format!("{text} is not NAME=FILE, like vendor=cosign.pub"))?;
    ensure!(
        is_name(name),
        "{name:?} is no name for a key: at most 63 small letters, digits and `-`"
    );
    let bytes = files::read(Path::new(file))?.with_context(|| format!("{file} is missing"))?;
    let pem = String::from_utf8(bytes).with_context(|| format!("reading {file}"))?;
    Key::parse(&pem).with_context(|| format!("reading {file}"))?;
    Ok(ImageKey {
        name: name.to_owned(),
        key: pem,
    })
}
