//! Published profiles.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use burin_api::desired::{Layer, LayerKind, Release};
use burin_core::display::counted;
use serde::Deserialize;

use super::page::{self, Fields, Frame, Named};
use crate::admin::auth::Actor;
use crate::admin::problem::Problem;
use crate::admin::profiles::published;
use crate::db::profiles::ProfileName;
use crate::db::{self, from_json};
use crate::publish::{self, progress::Teller};
use crate::release::store;
use crate::state::Hub;

#[derive(Debug, Template)]
#[template(path = "profiles.html")]
struct ProfilesPage {
    frame: Frame,
    rows: Vec<ProfileName>,
    document: String,
    error: String,
    problems: Vec<String>,
}

#[derive(Debug)]
struct LayerRow {
    name: String,
    kind: &'static str,
    image: String,
    digest: String,
    size: String,
    holds: String,
}

#[derive(Debug, Template)]
#[template(path = "profile.html")]
struct ProfilePage {
    frame: Frame,
    name: String,
    version: String,
    published: String,
    layers: Vec<LayerRow>,
    document: String,
    signature: Signature,
}

/// What a page says of a version's signature. No class and no text where nobody asks for one.
#[derive(Debug, Default)]
pub(super) struct Signature {
    pub(super) class: &'static str,
    pub(super) word: &'static str,
    /// Whose signature, and until when.
    pub(super) detail: String,
}

/// Who signed a version, and whether hosts take it.
pub(super) async fn signature(hub: &Hub, name: &str, version: &str) -> Result<Signature, Problem> {
    let mut conn = hub.db.reader().acquire().await?;
    let Some(signed) = store::of_version(hub, &mut conn, name, version).await? else {
        return Ok(match hub.keys.wants_signatures() {
            false => Signature::default(),
            true => Signature {
                class: "bad",
                word: "not signed: hosts refuse it",
                detail: String::new(),
            },
        });
    };
    let (class, word) = match signed.state.as_str() {
        "good" => ("good", "signed"),
        "ending" => ("warn", "signed, ends soon: sign it again"),
        "expired" => (
            "bad",
            "its signature has ended: hosts begin no installation",
        ),
        _ => ("bad", "signed by a key that is not listed: hosts refuse it"),
    };
    Ok(Signature {
        class,
        word,
        detail: format!(
            "counter {}, good until {}, key {}",
            signed.counter,
            page::time(signed.expires_at),
            signed.signer
        ),
    })
}

#[derive(Debug, Deserialize)]
pub(super) struct PublishForm {
    document: String,
    #[serde(default)]
    project: String,
}

async fn page_of(hub: &Hub, actor: &Actor) -> Result<ProfilesPage, Problem> {
    let rows = db::profiles::list(&hub.db, &actor.scope.sees)
        .await?
        .into_iter()
        .rev();
    Ok(ProfilesPage {
        frame: Frame::new(hub, actor, "/profiles").choosing(actor),
        rows: rows.collect(),
        document: String::new(),
        error: String::new(),
        problems: Vec::new(),
    })
}

pub(super) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Problem> {
    page::draw(&page_of(&hub, &actor).await?)
}

/// A document that is refused comes back into its field, so that nobody types it twice.
pub(super) async fn publish(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(form): Fields<PublishForm>,
) -> Result<Response, Problem> {
    // Browsers end lines with CR LF.
    let document = form.document.replace("\r\n", "\n");
    let teller = Teller::default();
    match publish::publish(&hub, &actor, &document, Some(&form.project), &teller).await {
        Ok(row) => Ok(page::go(&format!("/profiles/{}/{}", row.name, row.version))),
        Err(problem) => {
            let page = ProfilesPage {
                document,
                error: page::sentence(&problem.detail),
                problems: problem.errors,
                ..page_of(&hub, &actor).await?
            };
            let status = StatusCode::from_u16(problem.status);
            page::draw_as(status.unwrap_or(StatusCode::UNPROCESSABLE_ENTITY), &page)
        }
    }
}

pub(super) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Named((name, version)): Named<(String, String)>,
) -> Result<Response, Problem> {
    let mut conn = hub.db.reader().acquire().await?;
    let row = published(&mut conn, &actor, &name, &version).await?;
    drop(conn);
    let release: Release = from_json(&row.release)?;
    page::draw(&ProfilePage {
        frame: Frame::new(&hub, &actor, "/profiles"),
        published: page::time(row.published_at),
        signature: signature(&hub, &name, &version).await?,
        layers: release.layers.iter().map(layer).collect(),
        document: row.document,
        name,
        version,
    })
}

fn layer(layer: &Layer) -> LayerRow {
    let bytes = layer.blobs.iter().map(|blob| blob.size).sum::<u64>();
    let facts = &layer.facts;
    let parts = [
        facts.os.clone(),
        facts.kernel.clone().unwrap_or_default(),
        match facts.files {
            0 => String::new(),
            files => counted(files, "file", "files"),
        },
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    LayerRow {
        name: layer.name.clone(),
        kind: match layer.kind {
            LayerKind::Os => "operating system",
            LayerKind::Kubernetes => "Kubernetes",
            LayerKind::Image => "image",
            LayerKind::Manifests => "manifests",
        },
        image: match layer.registry.as_str() {
            "" => "in the profile itself".to_owned(),
            registry => format!("{registry}/{} {}", layer.repository, layer.reference),
        },
        digest: layer.manifest.clone(),
        size: if bytes == 0 {
            String::new()
        } else {
            page::size(bytes)
        },
        holds: parts.join(", "),
    }
}
