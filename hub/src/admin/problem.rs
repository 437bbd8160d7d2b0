//! Errors of the admin API as RFC 9457 problem details.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::codes::ProblemCode;

/// What went wrong, for programs and people.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Problem {
    /// Machine code, for example `not_found`.
    #[serde(rename = "type")]
    pub(crate) code: String,
    pub(crate) title: String,
    pub(crate) status: u16,
    pub(crate) detail: String,
    /// What is wrong with a document, place by place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            code: code.name().to_owned(),
            title: status.canonical_reason().unwrap_or("error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// The request itself is wrong.
    pub(crate) fn bad_input(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            ProblemCode::BadInput,
            detail,
        )
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ProblemCode::NotFound, detail)
    }

    /// The request is right, but the state of the hub forbids it.
    pub(crate) fn refused(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, ProblemCode::Refused, detail)
    }

    pub(crate) fn with_errors(mut self, errors: Vec<String>) -> Self {
        self.errors = errors;
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = (header::CONTENT_TYPE, "application/problem+json");
        match serde_json::to_vec(&self) {
            Ok(body) => {
                let mut answer = (status, [kind], body).into_response();
                // For browsers it is drawn as a page.
                answer.extensions_mut().insert(self);
                answer
            }
            Err(err) => {
                tracing::error!("a problem does not serialize: {err}");
                status.into_response()
            }
        }
    }
}

impl From<anyhow::Error> for Problem {
    fn from(err: anyhow::Error) -> Self {
        if err
            .chain()
            .filter_map(|cause| cause.downcast_ref())
            .any(crate::db::is_unkeepable)
        {
            let detail = "a text in the request holds a character that cannot be kept (U+0000)";
            return Self::bad_input(detail);
        }
        tracing::error!("an admin's request failed: {err:#}");
        let detail = "the hub could not do it; its log says why";
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ProblemCode::Internal,
            detail,
        )
    }
}

impl From<sqlx::Error> for Problem {
    fn from(err: sqlx::Error) -> Self {
        if crate::db::passes(&err) {
            tracing::warn!("an admin's request found the database busy: {err}");
            let detail = "the hub's database is busy or away; try again";
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Busy, detail);
        }
        anyhow::Error::from(err)
            .context("using the database")
            .into()
    }
}
