//! The host that is written apart from the agent, over HTTP.

use std::ops::{Deref, DerefMut};

use burin_api::claim::{ClaimLink, KeyLabel};
use burin_api::dsse::{Envelope, Payload};
use burin_api::message::{Enroll, EnrollAnswer, Refusal, SessionAnswer, Sync, SyncAnswer};
use burin_api::token::Token;
use burin_fake_host::FakeHost;

use super::Site;

/// One boot of a machine, with a way to the hub.
pub(crate) struct Host {
    speaks: FakeHost,
    http: reqwest::Client,
}

impl Deref for Host {
    type Target = FakeHost;

    fn deref(&self) -> &FakeHost {
        &self.speaks
    }
}

impl DerefMut for Host {
    fn deref_mut(&mut self) -> &mut FakeHost {
        &mut self.speaks
    }
}

impl Host {
    /// A machine with a serial number; a new identity key in RAM.
    pub(crate) async fn boot(site: &Site, serial: &str, boot_id: &str) -> Self {
        Self::boot_over(site, serial, boot_id, site.http.clone()).await
    }

    /// The same over a connection of the caller's.
    pub(crate) async fn boot_over(
        site: &Site,
        serial: &str,
        boot_id: &str,
        http: reqwest::Client,
    ) -> Self {
        let mut host = Self::unplugged(serial, boot_id, http);
        let answer = host.raw_hello(site).await;
        host.learn(&answer, &site.running.ready.root).unwrap();
        host
    }

    /// Another machine that knows the hub already: it costs no call at the door.
    pub(crate) fn beside(&self, serial: &str, boot_id: &str) -> Self {
        let mut host = Self::unplugged(serial, boot_id, self.http.clone());
        host.trust_as(self);
        host
    }

    /// Calls over another connection from now on.
    pub(crate) fn call_over(&mut self, http: reqwest::Client) {
        self.http = http;
    }

    fn unplugged(serial: &str, boot_id: &str, http: reqwest::Client) -> Self {
        let speaks = FakeHost::new(serial, boot_id).unwrap();
        Self { speaks, http }
    }

    async fn raw_hello(&self, site: &Site) -> Envelope {
        let request = self
            .http
            .post(format!("{}/h/1/hello", site.url))
            .json(&self.hello());
        request.send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn nonce(&self, site: &Site) -> String {
        self.speaks.nonce(&self.raw_hello(site).await).unwrap()
    }

    /// Label of the identity key, 26 characters.
    pub(crate) fn label(&self) -> String {
        let print = self.public_key().thumbprint().unwrap();
        KeyLabel::of(&print).unwrap().compact()
    }

    /// The text of the QR code on its screen.
    pub(crate) fn link(&self, site: &Site) -> String {
        let link = ClaimLink {
            host_id: self.host_id.clone(),
            key: self.label().parse().unwrap(),
        };
        link.url(&site.url)
    }

    pub(crate) fn sign(&self, message: &[u8]) -> (String, Vec<u8>) {
        self.speaks.sign(message).unwrap()
    }

    pub(crate) fn sign_in_session(&self, message: &[u8]) -> (String, Vec<u8>) {
        self.speaks.sign_in_session(message)
    }

    /// The envelope of an enroll, signed by the identity and the token.
    pub(crate) fn seal_enroll(&self, body: &Enroll, token: Option<&Token>) -> Envelope {
        self.speaks.seal_enroll(body, token).unwrap()
    }

    pub(crate) fn seal_sync(&self, body: &Sync) -> Envelope {
        self.speaks.seal_sync(body).unwrap()
    }

    pub(crate) async fn enroll(
        &self,
        site: &Site,
        token: Option<&Token>,
    ) -> Result<EnrollAnswer, Refusal> {
        let body = self.enroll_body(self.nonce(site).await, token);
        self.send(site, "enroll", &self.seal_enroll(&body, token))
            .await
    }

    /// Enrolls without a token; the answer may be held while it is the one with this etag.
    pub(crate) async fn poll(
        &self,
        site: &Site,
        held: &Shown,
        wait: u32,
    ) -> Result<EnrollAnswer, Refusal> {
        let mut body = self.enroll_body(self.nonce(site).await, None);
        body.held = Some(held.etag.clone());
        body.wait = wait;
        self.send(site, "enroll", &self.seal_enroll(&body, None))
            .await
    }

    /// Enrolls without a token and must be pending: what its screen shows then.
    pub(crate) async fn shows(&self, site: &Site) -> Shown {
        shown(self.enroll(site, None).await.unwrap())
    }

    /// Enrolls and must be accepted.
    pub(crate) async fn join(&self, site: &Site, token: &Token) -> String {
        match self.enroll(site, Some(token)).await {
            Ok(EnrollAnswer::Accepted { host_uid }) => host_uid,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn open(&mut self, site: &Site, uid: &str) -> Result<SessionAnswer, Refusal> {
        let envelope = self.seal_session(self.nonce(site).await, uid).unwrap();
        let answer: SessionAnswer = self.send(site, "session", &envelope).await?;
        self.begin(&answer);
        Ok(answer)
    }

    pub(crate) async fn sync(&self, site: &Site, body: &Sync) -> Result<SyncAnswer, Refusal> {
        self.send(site, "sync", &self.seal_sync(body)).await
    }

    /// Sends an envelope; every answer must carry the hub's signature and be the one to this request.
    pub(crate) async fn send<T: Payload>(
        &self,
        site: &Site,
        message: &str,
        envelope: &Envelope,
    ) -> Result<T, Refusal> {
        let url = format!("{}/h/1/{message}", site.url);
        let answer = self.http.post(url).json(envelope).send().await.unwrap();
        let good = answer.status().is_success();
        let said: Envelope = answer.json().await.unwrap();
        self.read(envelope, good, &said).unwrap()
    }
}

/// What a pending answer puts on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) reason: String,
    pub(crate) code: String,
    pub(crate) number: u8,
    pub(crate) etag: String,
}

/// What the screen shows after an answer that must be pending.
pub(crate) fn shown(answer: EnrollAnswer) -> Shown {
    match answer {
        EnrollAnswer::Pending {
            reason,
            code,
            match_number,
            etag,
            ..
        } => Shown {
            reason,
            code: code.unwrap(),
            number: match_number.unwrap(),
            etag: etag.unwrap(),
        },
        other => panic!("{other:?}"),
    }
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    result.unwrap_err().code
}

/// `accepted`, or the reason of any other answer.
pub(crate) fn reason(answer: Result<EnrollAnswer, Refusal>) -> String {
    match answer.unwrap() {
        EnrollAnswer::Accepted { .. } => "accepted".to_owned(),
        EnrollAnswer::Pending { reason, .. } | EnrollAnswer::Rejected { reason, .. } => reason,
        EnrollAnswer::Unknown => "unknown".to_owned(),
    }
}
