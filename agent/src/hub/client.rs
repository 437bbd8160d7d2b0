//! The four calls of the host API. Every answer is verified under a root that the host knows.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use burin_api::dsse::{DsseError, Envelope, MAX_ANSWER, Payload, PublicKey};
use burin_api::message::{Hello, HelloAnswer, PROTOCOL, Refusal, RootDocument};
use burin_api::root::{self, Anchor};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::problem::Problem;
use super::settings::HubSettings;
use super::tls::{self, Dates};
use crate::machine::clock::Clock;

/// A long poll is held for 25 s at most; the rest is a slow line.
const ANSWER_TIME: Duration = Duration::from_secs(60);
const CONNECT_TIME: Duration = Duration::from_secs(20);

/// The connection to one hub.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    clock: Arc<dyn Clock>,
    /// Newest time that the hub confirmed, milliseconds since 1970.
    floor: u64,
}

/// What a client needs to know of its host.
#[derive(Debug)]
pub(super) struct Here<'a> {
    pub(super) settings: &'a HubSettings,
    /// `/`, where the system's certificate authorities are found.
    pub(super) root: &'a Path,
    pub(super) clock: &'a Arc<dyn Clock>,
    /// Newest time that the hub confirmed, milliseconds since 1970.
    pub(super) floor: u64,
}

/// What a hello brought, verified.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) answer: HelloAnswer,
    pub(super) root: RootDocument,
}

impl Client {
    /// For the hub at `address`.
    ///
    /// # Errors
    /// [`Problem::Settings`] when the address or the certificates cannot be used.
    pub(super) fn new(here: &Here<'_>, address: &str, dates: Dates) -> Result<Self, Problem> {
        let settings = here.settings;
        let wrong = |why: String| Problem::Settings {
            url: address.to_owned(),
            why,
        };
        let url = reqwest::Url::parse(address).map_err(|err| wrong(err.to_string()))?;
        if url.scheme() != "https" || url.host_str().is_none() {
            return Err(wrong("it must be https:// and a host".to_owned()));
        }
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(settings, here.root, dates, here.clock)?)
            .http1_only()
            .no_proxy()
            .referer(false)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIME)
            .timeout(ANSWER_TIME)
            .user_agent(concat!("burin/", env!("CARGO_PKG_VERSION")));
        if let Some(proxy) = &settings.proxy
            && let Some(address) = &proxy.https
        {
            let made = reqwest::Proxy::https(address).map_err(|err| {
                wrong(format!(
                    "the proxy's address is wrong: {}",
                    err.without_url()
                ))
            })?;
            builder = builder.proxy(made.no_proxy(reqwest::NoProxy::from_string(&proxy.except)));
        }
        Ok(Self {
            http: builder.build().map_err(|err| wrong(err.to_string()))?,
            base: address.trim_end_matches('/').to_owned(),
            clock: Arc::clone(here.clock),
            floor: here.floor,
        })
    }

    /// Says hello and finds out who may sign for the hub.
    ///
    /// # Errors
    /// Every [`Problem`].
    pub(super) async fn hello(&self, anchor: Anchor<'_>) -> Result<Greeting, Problem> {
        let mut nonce = [0; 32];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| Problem::Answer("this host has no random bytes yet".to_owned()))?;
        let hello = Hello {
            host_nonce: hex::encode(nonce),
            protocols: vec![PROTOCOL],
            root_version: match anchor {
                Anchor::Held(document) => document.version,
                Anchor::Pinned(_) | Anchor::FirstContact => 0,
            },
        };
        let body = serde_json::to_vec(&hello).map_err(|err| Problem::Answer(err.to_string()))?;
        let (ok, envelope) = self.call("hello", body).await?;
        if !ok {
            // Nothing says yet whose refusal this is; it is shown, and only delays.
            let refusal: Refusal = envelope.peek().map_err(Problem::Signature)?;
            return Err(Problem::Refused(refusal));
        }
        let peeked: HelloAnswer = envelope.peek().map_err(Problem::Signature)?;
        let root = root::follow(anchor, &peeked.root).map_err(Problem::Root)?;
        let key = self.signer(&envelope, &root)?;
        let answer: HelloAnswer = envelope.open(&[key]).map_err(Problem::Signature)?;
        if answer.host_nonce != hello.host_nonce {
            return Err(Problem::Answer(
                "it is an answer to another hello".to_owned(),
            ));
        }
        if answer.hub_id != root.hub_id {
            return Err(Problem::Answer("it is of another hub".to_owned()));
        }
        Ok(Greeting { answer, root })
    }

    /// Sends a signed body and verifies the answer under `root`.
    ///
    /// # Errors
    /// Every [`Problem`].
    pub(super) async fn send<A: Payload>(
        &self,
        path: &str,
        body: &Envelope,
        root: &RootDocument,
    ) -> Result<A, Problem> {
        let bytes = serde_json::to_vec(body).map_err(|err| Problem::Answer(err.to_string()))?;
        let (ok, envelope) = self.call(path, bytes).await?;
        let key = self.signer(&envelope, root)?;
        if ok {
            return envelope.open_answer(key, body).map_err(Problem::Signature);
        }
        let refusal = envelope.open_refusal(key, body);
        Err(Problem::Refused(refusal.map_err(Problem::Signature)?))
    }

    /// The one of the keys that speak for the hub now which an answer says it is signed by.
    fn signer<'a>(
        &self,
        envelope: &Envelope,
        root: &'a RootDocument,
    ) -> Result<&'a PublicKey, Problem> {
        let signed_by = |key: &&PublicKey| {
            key.thumbprint()
                .is_ok_and(|id| envelope.signatures.iter().any(|it| it.keyid == id))
        };
        root.speakers(self.clock.now().max(self.floor))
            .into_iter()
            .find(signed_by)
            .ok_or_else(|| Problem::Signature(DsseError::Missing("of the hub's own".to_owned())))
    }

    async fn call(&self, path: &str, body: Vec<u8>) -> Result<(bool, Envelope), Problem> {
        let request = self
            .http
            .post(format!("{}/h/1/{path}", self.base))
            .header("content-type", "application/json")
            .body(body);
        let mut answer = request.send().await.map_err(|err| Problem::of_http(&err))?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|err| Problem::of_http(&err))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER {
                return Err(Problem::Answer(format!(
                    "it is longer than {MAX_ANSWER} bytes"
                )));
            }
        }
        let envelope = serde_json::from_slice(&bytes)
            .map_err(|_| Problem::Answer(format!("status {status}, and not what a hub says")))?;
        Ok((status.is_success(), envelope))
    }
}
