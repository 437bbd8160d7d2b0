//! What ties an answer of the hub to the one request that it answers.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::dsse::{DsseError, Envelope, Payload, PublicKey};
use crate::message::Refusal;

/// An answer and what it answers. A signature alone does not say to whom the hub spoke and when: a
/// proxy that opens TLS could keep the answer to one host, or one of last year, and give it to
/// another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer<T> {
    /// [`Envelope::digest`] of the request; empty in a refusal of what is no envelope.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request: String,
    /// The answer itself, in the same JSON object.
    #[serde(flatten)]
    pub body: T,
}

impl<T: Serialize + DeserializeOwned + Payload> Payload for Answer<T> {
    const TYPE: &'static str = T::TYPE;
}

impl Envelope {
    /// The body of an answer that `key` signed, and that was made for `request`.
    ///
    /// # Errors
    /// As [`Envelope::open`], and [`DsseError::OtherRequest`].
    pub fn open_answer<T: Payload>(&self, key: &PublicKey, request: &Self) -> Result<T, DsseError> {
        let answer: Answer<T> = self.open(&[key])?;
        if answer.request != request.digest()? {
            return Err(DsseError::OtherRequest);
        }
        Ok(answer.body)
    }

    /// As [`Self::open_answer`], of a refusal. A hub that could not read the request at all names
    /// none: that refusal is nobody's, and only `bad_request` can be one.
    ///
    /// # Errors
    /// As [`Self::open_answer`].
    pub fn open_refusal(&self, key: &PublicKey, request: &Self) -> Result<Refusal, DsseError> {
        let answer: Answer<Refusal> = self.open(&[key])?;
        let unread = answer.request.is_empty() && answer.body.code == "bad_request";
        if !unread && answer.request != request.digest()? {
            return Err(DsseError::OtherRequest);
        }
        Ok(answer.body)
    }
}
