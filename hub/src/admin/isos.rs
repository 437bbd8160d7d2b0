//! ISOs that the hub makes for people, and how they are sent.

use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::body::{Body as Sent, Bytes};
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, http::HeaderValue};
use futures_util::Stream;

use super::auth::Actor;
use super::problem::Problem;
use super::types::{IsoBase, IsoMade, IsoRequest};
use super::{Body, read};
use crate::isos::{self, Ready};
use crate::state::Hub;

/// Bytes that are read at once.
const CHUNK: u64 = 256 * 1024;

/// The ISOs that this hub can make others of.
#[utoipa::path(get, path = "/api/v1/isos", responses((status = 200, body = Vec<IsoBase>)))]
pub(crate) async fn list(State(hub): State<Arc<Hub>>) -> Json<Vec<IsoBase>> {
    Json(hub.isos.bases())
}

/// Makes an ISO with this hub's address and root in it, and a token where that is asked for. It can
/// be fetched for a day, by its maker alone.
#[utoipa::path(post, path = "/api/v1/isos", request_body = IsoRequest,
    responses((status = 201, body = IsoMade), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn create(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    body: Body<IsoRequest>,
) -> Result<(StatusCode, Json<IsoMade>), Problem> {
    let made = isos::make(&hub, &actor, read(body)?).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Sends a made ISO, or the part that the header `Range` asks for.
#[utoipa::path(get, path = "/api/v1/isos/{id}", params(("id" = String, Path)),
    responses((status = 200), (status = 206), (status = 404, body = Problem), (status = 416)))]
pub(crate) async fn fetch(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    send(&hub, &actor, &id, &headers).await
}

/// What of a file is sent.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Piece(RangeInclusive<u64>),
    /// The reader has it already.
    Nothing,
    /// Behind the end.
    Outside,
}

/// What a request asks for, by RFC 9110: sections 13.1.2, 13.1.5 and 14.2. Several ranges, and what
/// is no range, may be answered with the whole.
fn part(headers: &HeaderMap, tag: &str, length: u64) -> Part {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let same = |list: &str| {
        list.split(',')
            .any(|one| matches!(one.trim(), "*") || one.trim() == tag)
    };
    if text(header::IF_NONE_MATCH).is_some_and(same) {
        return Part::Nothing;
    }
    // Another ISO than the one whose rest is wanted: from the beginning.
    if text(header::IF_RANGE).is_some_and(|wanted| wanted != tag) {
        return Part::Whole;
    }
    let Some(Ok(ranges)) = text(header::RANGE).map(http_range_header::parse_range_header) else {
        return Part::Whole;
    };
    match ranges.validate(length) {
        Err(_) => Part::Outside,
        Ok(mut ranges) if ranges.len() == 1 => ranges.pop().map_or(Part::Whole, Part::Piece),
        Ok(_) => Part::Whole,
    }
}

/// Sends what `actor` had made; pages use it too.
pub(crate) async fn send(
    hub: &Hub,
    actor: &Actor,
    id: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let ready = isos::find(hub, actor, id).await?;
    let length = ready.about.bytes;
    let tag = format!("\"{}\"", ready.about.sha256);
    let (status, range) = match part(headers, &tag, length) {
        Part::Nothing => {
            return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
        }
        Part::Outside => {
            let range = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, range).into_response());
        }
        Part::Whole => (StatusCode::OK, 0..=length.saturating_sub(1)),
        Part::Piece(range) => (StatusCode::PARTIAL_CONTENT, range),
    };
    if *range.start() == 0 {
        isos::note(hub, actor, id).await?;
    }
    let (from, to) = (*range.start(), *range.end());
    let name = format!("attachment; filename=\"{}\"", ready.about.file);
    let mut answer = Response::new(Sent::from_stream(chunks(ready, from, to + 1)));
    *answer.status_mut() = status;
    let part = (status == StatusCode::PARTIAL_CONTENT)
        .then(|| (header::CONTENT_RANGE, format!("bytes {from}-{to}/{length}")));
    let all = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::CONTENT_LENGTH, (to - from + 1).to_string()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::ETAG, tag),
    ];
    for (name, value) in all.into_iter().chain(part) {
        let value = HeaderValue::from_str(&value).map_err(anyhow::Error::from)?;
        answer.headers_mut().insert(name, value);
    }
    Ok(answer)
}

/// The bytes from `at` to before `end`, read as the reader takes them.
fn chunks(ready: Ready, at: u64, end: u64) -> impl Stream<Item = std::io::Result<Bytes>> {
    let ready = Arc::new(ready);
    futures_util::stream::unfold((ready, at), move |(ready, at)| async move {
        if at >= end {
            return None;
        }
        let reader = ready.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; usize::try_from((end - at).min(CHUNK)).unwrap_or(0)];
            let count = reader.base.read(&reader.filling, at, &mut bytes)?;
            bytes.truncate(count);
            Ok(Bytes::from(bytes))
        });
        let bytes = read
            .await
            .unwrap_or_else(|err| Err(std::io::Error::other(err)));
        // A reader must see the connection break rather than a file that is too short.
        let bytes = bytes.and_then(|bytes| match bytes.is_empty() {
            true => Err(std::io::ErrorKind::UnexpectedEof.into()),
            false => Ok(bytes),
        });
        let next = match &bytes {
            Ok(bytes) => at + bytes.len() as u64,
            Err(err) => {
                tracing::error!("sending an ISO: {err}");
                end
            }
        };
        Some((bytes, (ready, next)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_sent_of_the_same_iso_only() {
        for (headers, want) in [
            (&[][..], Part::Whole),
            (&[("range", "bytes=0-9")], Part::Piece(0..=9)),
            (&[("range", "bytes=90-")], Part::Piece(90..=99)),
            (&[("range", "bytes=90-500")], Part::Piece(90..=99)),
            (&[("range", "bytes=-10")], Part::Piece(90..=99)),
            (&[("range", "bytes=100-")], Part::Outside),
            (&[("range", "bytes=9-3")], Part::Outside),
            (&[("range", "lines=1-2")], Part::Whole),
            (&[("range", "bytes=0-1,5-6")], Part::Whole),
            (
                &[("range", "bytes=5-"), ("if-range", "\"a\"")],
                Part::Piece(5..=99),
            ),
            (&[("range", "bytes=5-"), ("if-range", "\"b\"")], Part::Whole),
            (&[("if-none-match", "\"b\", \"a\"")], Part::Nothing),
            (&[("if-none-match", "\"b\"")], Part::Whole),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(part(&map, "\"a\"", 100), want, "{headers:?}");
        }
    }
}
