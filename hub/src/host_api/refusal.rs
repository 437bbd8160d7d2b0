//! Refusals: a machine code, a sentence, and when to come back.

use axum::http::StatusCode;
use burin_api::message::Refusal;

use crate::codes::HostCode;

/// Why a request of a host was refused.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) code: HostCode,
    pub(crate) body: Refusal,
    /// uid of the host whose key signed the request; empty as long as that is not proven.
    pub(crate) about: String,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, code: HostCode, message: impl Into<String>) -> Self {
        Self {
            status,
            body: Refusal {
                code: code.name().to_owned(),
                message: message.into(),
                retry_after: None,
            },
            code,
            about: String::new(),
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, HostCode::BadRequest, message)
    }

    pub(crate) fn signature(err: &burin_api::dsse::DsseError) -> Self {
        let message = format!("the request is not signed as it must be: {err}");
        Self::new(StatusCode::FORBIDDEN, HostCode::BadSignature, message)
    }

    pub(crate) fn limited(seconds: u32) -> Self {
        let message = format!("too many requests; come back in {seconds} s");
        Self::new(StatusCode::TOO_MANY_REQUESTS, HostCode::Limited, message).after(seconds)
    }

    /// The list of those who wait has no place left.
    pub(crate) fn full(message: String) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, HostCode::Limited, message).after(300)
    }

    pub(crate) fn session_unknown() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            HostCode::SessionUnknown,
            "the session is over or was never opened; open a new one",
        )
        .after(0)
    }

    pub(crate) fn database(err: &sqlx::Error) -> Self {
        if crate::db::passes(err) {
            tracing::warn!("a host's request found the database busy: {err}");
            let message = "the hub's database is busy or away; try again";
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, HostCode::Busy, message).after(5);
        }
        anyhow::anyhow!("using the database: {err}").into()
    }

    /// The request was this host's: its key signed it.
    pub(crate) fn of(mut self, uid: &str) -> Self {
        uid.clone_into(&mut self.about);
        self
    }

    /// The host may try again after so many seconds.
    pub(crate) fn after(mut self, seconds: u32) -> Self {
        self.body.retry_after = Some(seconds);
        self
    }
}

impl From<anyhow::Error> for Refused {
    fn from(err: anyhow::Error) -> Self {
        tracing::error!("a host's request failed: {err:#}");
        let message = "the hub could not do it; its log says why";
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            HostCode::Internal,
            message,
        )
        .after(10)
    }
}

impl From<sqlx::Error> for Refused {
    fn from(err: sqlx::Error) -> Self {
        Self::database(&err)
    }
}

impl From<crate::nonce::NonceError> for Refused {
    fn from(err: crate::nonce::NonceError) -> Self {
        if err == crate::nonce::NonceError::Full {
            return Self::limited(5);
        }
        Self::new(StatusCode::FORBIDDEN, HostCode::BadNonce, err.to_string()).after(0)
    }
}
