//! The four calls of the host API. Every answer is verified under a root that the host knows.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use burin_api::dsse::{Envelope, MAX_ANSWER, Payload};
use burin_api::message::{Hello, PROTOCOL, RootDocument};
use burin_api::root::Anchor;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::problem::Problem;
use super::settings::HubSettings;
use super::tls::{self, Dates};
use super::verify::{self, Greeting, Said};
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
        let said = self.call("hello", body).await?;
        verify::greeting(anchor, &hello, &said, self.now())
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
        let said = self.call(path, bytes).await?;
        verify::answer(body, &said, root, self.now())
    }

    /// The latest time that this host knows of, milliseconds since 1970.
    fn now(&self) -> u64 {
        self.clock.now().max(self.floor)
    }

    async fn call(&self, path: &str, body: Vec<u8>) -> Result<Said, Problem> {
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
        Ok(Said {
            status: status.as_u16(),
            body: bytes,
        })
    }
}

#[cfg(test)]
mod tests;
