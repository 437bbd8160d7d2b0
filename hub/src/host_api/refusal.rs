//! Refusals: a machine code, a sentence, and when to come back.

use axum::http::StatusCode;
use burin_api::message::Refusal;

/// Why a request of a host was refused.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) body: Refusal,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            body: Refusal {
                code: code.to_owned(),
                message: message.into(),
                retry_after: None,
            },
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(crate) fn signature(err: &burin_api::dsse::DsseError) -> Self {
        let message = format!("the request is not signed as it must be: {err}");
        Self::new(StatusCode::FORBIDDEN, "bad_signature", message)
    }

    pub(crate) fn limited(seconds: u32) -> Self {
        let message = format!("too many requests; come back in {seconds} s");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "limited", message).after(seconds)
    }

    /// The list of those who wait has no place left.
    pub(crate) fn full(message: String) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "limited", message).after(300)
    }

    pub(crate) fn session_unknown() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "session_unknown",
            "the session is over or was never opened; open a new one",
        )
        .after(0)
    }

    pub(crate) fn database(err: &sqlx::Error) -> Self {
        if crate::db::passes(err) {
            tracing::warn!("a host's request found the database busy: {err}");
            let message = "the hub's database is busy or away; try again";
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).after(5);
        }
        anyhow::anyhow!("using the database: {err}").into()
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
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message).after(10)
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
        Self::new(StatusCode::FORBIDDEN, "bad_nonce", err.to_string()).after(0)
    }
}
