//! Published versions of profiles.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::watch;

use super::auth::Actor;
use super::problem::Problem;
use super::types::{InProject, ProfileDetail, ProfileInfo, PublishRequest};
use super::{Body, read};
use crate::db::profiles::{ProfileName, ProfileRow};
use crate::db::{self, Connection, from_json};
use crate::publish;
use crate::publish::progress::{PublishLine, Reading, Teller};
use crate::release::store;
use crate::state::Hub;

/// The answer that tells how it goes on: one JSON document a line.
pub(crate) const LINES: &str = "application/x-ndjson";
/// Between two lines.
const BETWEEN: Duration = Duration::from_secs(1);

fn info(row: ProfileName) -> ProfileInfo {
    ProfileInfo {
        name: row.name,
        version: row.version,
        published_at: row.published_at,
        digest: row.digest,
        project: row.project,
    }
}

#[utoipa::path(get, path = "/api/v1/profiles", params(("project" = Option<String>, Query)),
    responses((status = 200, body = Vec<ProfileInfo>), (status = 404, body = Problem)))]
pub(crate) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Query(InProject { project }): Query<InProject>,
) -> Result<Json<Vec<ProfileInfo>>, Problem> {
    let within = actor.scope.narrowed(Some(&project))?;
    let rows = db::profiles::list(&hub.db, &within).await?;
    Ok(Json(rows.into_iter().map(info).collect()))
}

/// A version that the caller may reach; pages use it too.
pub(crate) async fn published(
    conn: &mut Connection,
    actor: &Actor,
    name: &str,
    version: &str,
) -> Result<ProfileRow, Problem> {
    let missing = || Problem::not_found(format!("{name}@{version} was never published"));
    let row = db::profiles::get(conn, name, version).await?;
    let row = row.ok_or_else(missing)?;
    actor.scope.admit(&row.project, missing)?;
    Ok(row)
}

/// One version: its document and what it was resolved to.
#[utoipa::path(get, path = "/api/v1/profiles/{name}/{version}",
    params(("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = ProfileDetail), (status = 404, body = Problem)))]
pub(crate) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<ProfileDetail>, Problem> {
    let mut conn = hub.db.reader().acquire().await?;
    let row = published(&mut conn, &actor, &name, &version).await?;
    let signature = store::of_version(&hub, &mut conn, &name, &version).await?;
    Ok(Json(ProfileDetail {
        signature,
        release: from_json(&row.release)?,
        document: row.document,
        info: ProfileInfo {
            name: row.name,
            version: row.version,
            published_at: row.published_at,
            digest: row.digest,
            project: row.project,
        },
    }))
}

/// Publishes a version: resolves every tag to a digest and looks through each layer once. The
/// answer comes when all layers were read. The same document again is no error. Who accepts
/// `application/x-ndjson` gets a line with what is being read every second, once anything is, and in the last
/// one the version or the problem.
#[utoipa::path(post, path = "/api/v1/profiles", request_body = PublishRequest,
    responses((status = 201, body = ProfileInfo),
        (status = 200, body = PublishLine, content_type = "application/x-ndjson"), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn publish(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
    body: Body<PublishRequest>,
) -> Result<Response, Problem> {
    let PublishRequest { document, project } = read(body)?;
    let teller = Teller::default();
    let mut news = teller.listen();
    let mut work: Work = Box::pin(async move {
        let row = publish::publish(&hub, &actor, &document, project.as_deref(), &teller).await?;
        Ok(info(row))
    });
    if wants_lines(&headers) {
        // Before anything is read there is nothing to tell: the answer keeps its status.
        tokio::select! {
            biased;
            done = &mut work => return done.map(created),
            _ = news.changed() => return Ok(lines(work, news)),
        }
    }
    work.await.map(created)
}

type Work = Pin<Box<dyn Future<Output = Result<ProfileInfo, Problem>> + Send>>;

fn created(info: ProfileInfo) -> Response {
    (StatusCode::CREATED, Json(info)).into_response()
}

fn wants_lines(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains(LINES))
}

/// Tells what is read until the work is done. Who leaves ends the work, as without lines.
fn lines(work: Work, news: watch::Receiver<Option<Reading>>) -> Response {
    let first = line_of(&news);
    let rest = stream::unfold(Some((work, news)), async |state| {
        let (mut work, news) = state?;
        Some(tokio::select! {
            biased;
            done = &mut work => {
                let last = done.map_or_else(PublishLine::Problem, PublishLine::Published);
                (Some(last), None)
            }
            // Also when nothing came: a proxy between shall not take the connection for dead.
            () = tokio::time::sleep(BETWEEN) => (line_of(&news), Some((work, news))),
        })
    });
    let all = stream::once(async { first }).chain(rest);
    let bytes = all.filter_map(async |line| line).map(|line| {
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        Ok::<_, serde_json::Error>(bytes)
    });
    let kind = [(header::CONTENT_TYPE, LINES)];
    (kind, axum::body::Body::from_stream(bytes)).into_response()
}

fn line_of(news: &watch::Receiver<Option<Reading>>) -> Option<PublishLine> {
    news.borrow().clone().map(PublishLine::Reading)
}
