//! What publishing reads, for whoever waits for its answer.

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::admin::problem::Problem;
use crate::admin::types::ProfileInfo;

/// The image that is being read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Reading {
    /// Name of its layer in the profile.
    pub(crate) layer: String,
    /// Its place among the images of the profile, from 1.
    pub(crate) number: usize,
    /// Images of the profile.
    pub(crate) images: usize,
    /// Bytes of its blobs that arrived, packed as they are.
    pub(crate) done: u64,
    /// Bytes of its blobs that will be read; 0 until its manifest was.
    pub(crate) total: u64,
}

/// One line of an answer that tells how it goes on. The last one is no `reading`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PublishLine {
    Reading(Reading),
    Published(ProfileInfo),
    Problem(Problem),
}

/// Where publishing says what it reads; nobody has to listen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Teller(watch::Sender<Option<Reading>>);

impl Teller {
    /// What is said from now on.
    pub(crate) fn listen(&self) -> watch::Receiver<Option<Reading>> {
        self.0.subscribe()
    }

    /// Begins with another image.
    pub(super) fn image(&self, layer: &str, number: usize, images: usize) {
        self.0.send_replace(Some(Reading {
            layer: layer.to_owned(),
            number,
            images,
            ..Reading::default()
        }));
    }

    /// How much of the image will be read.
    pub(super) fn total(&self, total: u64) {
        self.alter(|reading| reading.total = total);
    }

    /// How much of the image is here.
    pub(super) fn done(&self, done: u64) {
        self.alter(|reading| reading.done = done);
    }

    fn alter(&self, how: impl FnOnce(&mut Reading)) {
        self.0.send_modify(|reading| {
            if let Some(reading) = reading {
                how(reading);
            }
        });
    }
}
