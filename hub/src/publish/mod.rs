//! Publishing a profile version: tags become digests, each blob is streamed once for its facts,
//! and what cannot work on any host is refused here. The hub keeps facts, never blobs.

mod examine;
pub(crate) mod progress;
mod signed;
mod source;
mod verdict;

use axum::http::StatusCode;
use burin_api::desired::{Layer, LayerFacts, LayerKind, Release};
use burin_core::profile::{self, LayerDocument, LayerSource, ProfileDocument};

use crate::admin::problem::Problem;
use crate::clock;
use crate::codes::ProblemCode;
use crate::db::profiles::{self, ProfileName, ProfileRow};
use crate::db::{audit, to_json};
use crate::people::Actor;
use crate::projects;
use crate::secret::sha256;
use crate::state::Hub;

use examine::{Stack, Subject};
use progress::Teller;
use source::Sources;

/// Architecture of the images; the one that this version installs.
const ARCH: &str = "amd64";
/// Largest release that fits into an answer: when it is signed, base 64 adds a third twice, and the
/// host's own part and the signature need room.
const LARGEST_RELEASE: usize = 128 * 1024;

/// Publishes a version. The same document again is no error and reads nothing anew. A name that is
/// new becomes one of `project`, and stays there. `teller` hears what is read.
pub(crate) async fn publish(
    hub: &Hub,
    actor: &Actor,
    document: &str,
    project: Option<&str>,
    teller: &Teller,
) -> Result<ProfileName, Problem> {
    let parsed = profile::parse(document).map_err(|problems| {
        let errors = problems.iter().map(ToString::to_string).collect();
        Problem::bad_input("the profile has mistakes").with_errors(errors)
    })?;
    let project = owner(hub, actor, &parsed.name, project).await?;
    if let Some(known) = published(hub, &parsed, document).await? {
        return Ok(known);
    }
    let mut release = resolve(hub, &parsed, teller).await?;
    verdict::check(&release)?;
    let module_aliases = strip_aliases(&mut release);
    let release = to_json(&release)?;
    if release.len() > LARGEST_RELEASE {
        let detail = format!(
            "the release has {} bytes, a host reads at most {LARGEST_RELEASE}; put inline manifests \
             into an image",
            release.len()
        );
        return Err(Problem::bad_input(detail));
    }
    let now = clock::now_ms();
    let row = ProfileRow {
        name: parsed.name,
        version: parsed.version,
        published_at: now,
        digest: format!(
            "sha256:{}",
            sha256(format!("{document}\0{release}").as_bytes())
        ),
        document: document.to_owned(),
        release,
        module_aliases: to_json(&module_aliases)?,
        project,
    };
    let mut tx = hub.db.begin().await?;
    projects::hold(&mut tx, &row.project, None).await?;
    if !profiles::insert(&mut tx, &row).await? {
        return Err(taken(&row.name, &row.version));
    }
    let object = format!("{}@{} {}", row.name, row.version, row.digest);
    audit::record(&mut tx, &actor.name, "profile.publish", &object, now).await?;
    tx.commit().await?;
    Ok(ProfileName {
        name: row.name,
        version: row.version,
        published_at: row.published_at,
        digest: row.digest,
        project: row.project,
    })
}

/// The project that a profile of this name is of, or becomes one of.
async fn owner(
    hub: &Hub,
    actor: &Actor,
    name: &str,
    asked: Option<&str>,
) -> Result<String, Problem> {
    let mut conn = hub.db.reader().acquire().await?;
    let Some(owner) = profiles::project_of(&mut conn, name).await? else {
        return actor.scope.place(asked);
    };
    let taken = || {
        Problem::refused(format!(
            "the name `{name}` is taken in another project; names of profiles are used once on a hub"
        ))
    };
    actor.scope.admit(&owner, taken)?;
    match asked.filter(|asked| !asked.is_empty() && *asked != owner) {
        None => Ok(owner),
        Some(_) => Err(Problem::refused(format!(
            "the profile `{name}` is of the project `{owner}`"
        ))),
    }
}

/// The version, when this very document was published before.
async fn published(
    hub: &Hub,
    parsed: &ProfileDocument,
    document: &str,
) -> Result<Option<ProfileName>, Problem> {
    let mut conn = hub.db.reader().acquire().await?;
    match profiles::get(&mut conn, &parsed.name, &parsed.version).await? {
        None => Ok(None),
        Some(row) if row.document == document => Ok(Some(ProfileName {
            name: row.name,
            version: row.version,
            published_at: row.published_at,
            digest: row.digest,
            project: row.project,
        })),
        Some(row) => Err(taken(&row.name, &row.version)),
    }
}

fn taken(name: &str, version: &str) -> Problem {
    Problem::refused(format!(
        "{name}@{version} is published with another content; a version never changes, raise it"
    ))
}

async fn resolve(hub: &Hub, parsed: &ProfileDocument, teller: &Teller) -> Result<Release, Problem> {
    let sources = Sources::load(hub).await?;
    // Before anything is read: a profile with one bad name shall not cost an hour.
    for layer in &parsed.layers {
        signed::keys(hub, layer).map_err(|why| at(layer, &why))?;
        if let LayerSource::Image(reference) = &layer.source {
            sources
                .listed(&reference.registry)
                .map_err(|why| at(layer, &why))?;
        }
    }
    let is_image = |layer: &&LayerDocument| matches!(layer.source, LayerSource::Image(_));
    let images = parsed.layers.iter().filter(is_image).count();
    let mut number = 0;
    let mut stack = Stack::default();
    let mut layers = Vec::new();
    for layer in &parsed.layers {
        layers.push(match &layer.source {
            LayerSource::Inline(inline) => Layer {
                inline: inline.clone(),
                ..empty(layer)
            },
            LayerSource::Image(_) => {
                number += 1;
                teller.image(&layer.name, number, images);
                image(hub, &sources, layer, &mut stack, teller).await?
            }
        });
    }
    let used = |host: &str| layers.iter().any(|layer| layer.registry == host);
    Ok(Release {
        name: parsed.name.clone(),
        version: parsed.version.clone(),
        registries: sources.for_hosts(used),
        layers,
        kubernetes: parsed.kubernetes.clone(),
        health: parsed.health.clone(),
        cmdline: parsed.cmdline.clone(),
    })
}

async fn image(
    hub: &Hub,
    sources: &Sources,
    layer: &LayerDocument,
    stack: &mut Stack,
    teller: &Teller,
) -> Result<Layer, Problem> {
    let LayerSource::Image(reference) = &layer.source else {
        return Ok(empty(layer));
    };
    let registry = sources
        .open(&reference.registry)
        .await
        .map_err(|why| at(layer, &why))?;
    let repository = &reference.repository;
    let digest = match &reference.digest {
        Some(digest) => digest.to_string(),
        None => registry
            .resolve(repository, &reference.wanted())
            .await
            .map_err(|err| unreadable(layer, &err))?,
    };
    let image = registry
        .image(repository, &digest, ARCH)
        .await
        .map_err(|err| unreadable(layer, &err))?;
    let manifests = [digest.as_str(), &image.manifest];
    signed::check(hub, layer, &registry, manifests)
        .await
        .map_err(|fault| match fault {
            signed::Fault::Registry(err) => unreadable(layer, &err),
            signed::Fault::Refused(why) => at(layer, &why),
        })?;
    tracing::info!(layer = layer.name, %digest, "looking through an image");
    let subject = Subject {
        registry: &registry,
        repository,
        image: &image,
    };
    let (blobs, facts) = examine::image(subject, layer, stack, teller)
        .await
        .map_err(|err| match err {
            examine::Fault::Registry(err) => unreadable(layer, &err),
            examine::Fault::Rules(why) => at(layer, &why),
            examine::Fault::Hub(err) => err.into(),
        })?;
    Ok(Layer {
        registry: reference.registry.clone(),
        repository: repository.clone(),
        reference: reference.to_string(),
        manifest: image.manifest,
        resolved: digest,
        blobs,
        facts,
        ..empty(layer)
    })
}

fn empty(layer: &LayerDocument) -> Layer {
    Layer {
        kind: layer.kind,
        name: layer.name.clone(),
        registry: String::new(),
        repository: String::new(),
        reference: String::new(),
        manifest: String::new(),
        resolved: String::new(),
        verify: layer.verify.clone(),
        blobs: Vec::new(),
        files: layer.files.clone(),
        inline: std::collections::BTreeMap::new(),
        replaces_system: layer.replaces_system,
        facts: LayerFacts::default(),
    }
}

/// The hub alone needs the patterns: hosts are told which of their devices none of them serves.
fn strip_aliases(release: &mut Release) -> Vec<String> {
    let mut all = Vec::new();
    for layer in &mut release.layers {
        let aliases = std::mem::take(&mut layer.facts.module_aliases);
        if layer.kind == LayerKind::Os {
            all.extend(aliases);
        }
    }
    all
}

/// A refusal that names the layer and its place in the document.
fn at(layer: &LayerDocument, why: &str) -> Problem {
    let place = format!("{}:{}: error: {why}", layer.line, layer.column);
    let detail = format!("layer `{}` cannot be published", layer.name);
    Problem::refused(detail).with_errors(vec![place])
}

fn unreadable(layer: &LayerDocument, err: &burin_registry::Error) -> Problem {
    let detail = format!("layer `{}`: {err}", layer.name);
    Problem::new(StatusCode::BAD_GATEWAY, ProblemCode::Registry, detail)
}
