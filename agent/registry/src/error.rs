use std::time::Duration;

/// A read from a registry that failed: what was being done, and why it did not work.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {cause}")]
pub struct Error {
    /// What was being done, with the object.
    pub doing: String,
    /// Why it failed; callers branch on it.
    pub cause: Cause,
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The registry's settings cannot work. Repeating does not help.
    #[error("{0}")]
    Settings(String),
    /// No connection, or it broke.
    #[error("no usable connection: {0}")]
    Connection(String),
    /// It speaks no TLS, or one that is not trusted; says what to do. Repeating does not help.
    #[error("no secure connection: {0}")]
    Tls(String),
    /// Nothing arrived for this long.
    #[error("no data for {} s", .0.as_secs())]
    Stalled(Duration),
    /// 401 or 403 after every login that is allowed.
    #[error("access denied: {0}")]
    Denied(String),
    /// 404.
    #[error("the registry does not have it")]
    NotFound,
    /// 429, with the pause it asks for.
    #[error("the registry asks for fewer requests")]
    Busy(Option<Duration>),
    /// 5xx, with the pause it asks for.
    #[error("the registry answers {0}")]
    Server(u16, Option<Duration>),
    /// The registry asks for something burin never does, or breaks the protocol.
    #[error("refused: {0}")]
    Refused(String),
    /// The bytes are not those that were asked for.
    #[error("wrong content: {0}")]
    Content(String),
    /// No good signature of an image that needs one.
    #[error("{0}")]
    Signature(burin_core::cosign::Refusal),
}

impl Error {
    pub(crate) fn new(doing: impl Into<String>, cause: Cause) -> Self {
        Self {
            doing: doing.into(),
            cause,
        }
    }

    /// Whether the same request may work a little later, without any change by a person.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self.cause,
            Cause::Connection(_) | Cause::Stalled(_) | Cause::Busy(_) | Cause::Server(..)
        )
    }

    /// The pause that the registry asked for.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        match self.cause {
            Cause::Busy(pause) | Cause::Server(_, pause) => pause,
            _ => None,
        }
    }
}
