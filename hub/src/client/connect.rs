//! The way to the hub: whose certificate, whose rights.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use reqwest::{Method, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Connection;
use super::isos::Piece;
use super::pin;
use super::unreachable::unreachable;
use crate::admin::problem::Problem;
use crate::admin::types::{LoginAnswer, LoginRequest};
use crate::secret::Secret;
use crate::serve::{ADMIN_FILE, AdminFile};

/// Publishing streams whole images before it answers.
const LONGEST: Duration = Duration::from_secs(3600);
/// Far above what a version or a problem needs.
const LONGEST_LINE: usize = 1 << 20;
const CONNECT: Duration = Duration::from_secs(10);
const UNKNOWN: &str = "the hub does not know the key that was sent, or no longer; look at BURIN_HUB_TOKEN, or \
     with --data at admin.json there: the hub makes that anew when it starts";
const CODE_NEEDED: &str =
    "this account has one-time codes: give the code of this moment in BURIN_HUB_CODE";

/// Why a command did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The arguments or a file are wrong.
    #[error("{0}")]
    Input(String),
    /// The hub said no.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// The hub was not reached, or said something else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl Failure {
    /// 2 for what the caller wrote, 1 for the rest.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Refused(problem) if problem.code == "bad_input" => 2,
            Self::Refused(_) | Self::Other(_) => 1,
        }
    }

    /// Of a request with a key or a login: what to do when the hub knows none.
    fn of_key(mut self) -> Self {
        if let Self::Refused(problem) = &mut self
            && problem.code == "unauthorized"
        {
            UNKNOWN.clone_into(&mut problem.detail);
        }
        self
    }

    /// Puts the file's name before what is wrong in it.
    pub(crate) fn naming(self, file: &Path) -> Self {
        match self {
            Self::Refused(mut problem) => {
                for error in &mut problem.errors {
                    *error = format!("{}:{error}", file.display());
                }
                Self::Refused(problem)
            }
            other => other,
        }
    }
}

/// A client with an admin's rights.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    bearer: Secret,
}

impl Client {
    pub(crate) async fn open(connection: &Connection) -> Result<Self, Failure> {
        if let (Some(folder), None) = (&connection.data, &connection.hub) {
            return Self::beside(folder);
        }
        let url = connection.hub.as_deref().ok_or_else(|| {
            Failure::Input(
                "say where the hub is: --data DIR on its machine, or --hub URL".to_owned(),
            )
        })?;
        let url = url.trim_end_matches('/').to_owned();
        if !url.starts_with("https://") {
            return Err(Failure::Input(format!(
                "--hub `{url}` must begin with https://"
            )));
        }
        let http = match (&connection.ca, &connection.fingerprint) {
            (Some(file), _) => {
                let pem = std::fs::read_to_string(file)
                    .map_err(|err| Failure::Input(format!("reading {}: {err}", file.display())))?;
                trusting(&pem)?
            }
            (None, Some(fingerprint)) => pin::client(builder(), fingerprint)?,
            (None, None) => {
                let text =
                    "say whom to trust: --ca FILE or --fingerprint HEX, as the hub printed them";
                return Err(Failure::Input(text.to_owned()));
            }
        };
        let bearer = bearer(&http, &url).await?;
        Ok(Self { http, url, bearer })
    }

    fn beside(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(ADMIN_FILE);
        let text = std::fs::read_to_string(&path).map_err(|err| {
            let advice = match err.kind() {
                ErrorKind::PermissionDenied => {
                    "it is for the user who runs the hub alone: become that user, or use --hub URL \
                     with a login of your own"
                }
                _ => "start the hub once with this --data, or use --hub URL",
            };
            Failure::Input(format!("reading {}: {err}; {advice}", path.display()))
        })?;
        let file: AdminFile = serde_json::from_str(&text)
            .map_err(|err| Failure::Input(format!("reading {}: {err}", path.display())))?;
        Ok(Self {
            http: trusting(&file.ca)?,
            url: file.url,
            bearer: file.api_key,
        })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.send::<(), T>(Method::GET, path, None).await
    }

    pub(crate) async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// A body up, nothing down.
    pub(crate) async fn post_only<B: Serialize>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<(), Failure> {
        self.bytes(Method::POST, path, Some(body)).await.map(drop)
    }

    /// A body up, and down one JSON document a line, handed on as it comes; `accept` names their kind.
    pub(crate) async fn lines<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        accept: &str,
        mut take: impl FnMut(T),
    ) -> Result<(), Failure> {
        let request = self.http.post(format!("{}{path}", self.url));
        let request = request.header(header::ACCEPT, accept).json(body);
        let request = request.bearer_auth(self.bearer.reveal());
        let lost = |err| unreachable(&self.url, err);
        let mut answer = request.send().await.map_err(lost)?;
        let status = answer.status();
        if !status.is_success() {
            let bytes = answer.bytes().await.map_err(lost)?;
            return Err(refused(&self.url, status, &bytes).of_key());
        }
        let mut line = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(lost)? {
            for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
                if line.len() + piece.len() > LONGEST_LINE {
                    let text = format!("the hub's answer to {path} has a line without end");
                    return Err(Failure::Other(anyhow::anyhow!(text)));
                }
                line.extend_from_slice(piece);
                if line.ends_with(b"\n") {
                    take(parse(path, &std::mem::take(&mut line))?);
                }
            }
        }
        // The one document of a hub that had nothing to tell has no line feed.
        if !line.is_empty() {
            take(parse(path, &line)?);
        }
        Ok(())
    }

    /// A body up that replaces what was there, nothing down.
    pub(crate) async fn put_only<B: Serialize>(&self, path: &str, body: &B) -> Result<(), Failure> {
        self.bytes(Method::PUT, path, Some(body)).await.map(drop)
    }

    /// For answers without a body.
    pub(crate) async fn act(&self, method: Method, path: &str) -> Result<(), Failure> {
        let bytes = self.bytes::<()>(method, path, None).await?;
        drop(bytes);
        Ok(())
    }

    /// Fetches a file, or the rest of one, and hands every chunk on as it comes.
    pub(crate) async fn fetch(
        &self,
        path: &str,
        piece: &Piece<'_>,
        mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let mut request = self.http.get(format!("{}{path}", self.url));
        if piece.from > 0 {
            request = request
                .header(header::RANGE, format!("bytes={}-", piece.from))
                .header(header::IF_RANGE, piece.tag);
        }
        let request = request.bearer_auth(self.bearer.reveal());
        let lost = |err| unreachable(&self.url, err);
        let mut answer = request.send().await.map_err(lost)?;
        let status = answer.status();
        if !status.is_success() {
            let bytes = answer.bytes().await.map_err(lost)?;
            return Err(refused(&self.url, status, &bytes).of_key());
        }
        if !piece.follows(status) {
            let text = "the hub has another file than the one whose rest is missing; begin anew";
            return Err(Failure::Input(text.to_owned()));
        }
        while let Some(chunk) = answer.chunk().await.map_err(lost)? {
            take(&chunk).map_err(|err| Failure::Input(format!("writing what came: {err}")))?;
        }
        Ok(())
    }

    async fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, Failure> {
        parse(path, &self.bytes(method, path, body).await?)
    }

    async fn bytes<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<Vec<u8>, Failure> {
        let request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(self.bearer.reveal());
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let bytes = answer(&self.url, request).await;
        bytes.map_err(Failure::of_key)
    }
}

fn parse<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|err| {
        Failure::Other(anyhow::anyhow!(
            "the hub's answer to {path} does not parse: {err}"
        ))
    })
}

/// Sends and gives the body of a 2xx answer.
async fn answer(url: &str, request: reqwest::RequestBuilder) -> Result<Vec<u8>, Failure> {
    let answer = request.send().await.map_err(|err| unreachable(url, err))?;
    let status = answer.status();
    let bytes = answer.bytes().await.map_err(|err| unreachable(url, err))?;
    if status.is_success() {
        return Ok(bytes.to_vec());
    }
    Err(refused(url, status, &bytes))
}

fn refused(url: &str, status: reqwest::StatusCode, bytes: &[u8]) -> Failure {
    match serde_json::from_slice::<Problem>(bytes) {
        Ok(mut problem) => {
            // What the hub says of it is for programs that speak to it themselves.
            if problem.code == "code_needed" {
                CODE_NEEDED.clone_into(&mut problem.detail);
            }
            Failure::Refused(Box::new(problem))
        }
        Err(_) => Failure::Other(anyhow::anyhow!(
            "the hub at {url} answered {status}; is this a burin hub of the same version?"
        )),
    }
}

/// An API key from the environment, or a login with the password from there.
async fn bearer(http: &reqwest::Client, url: &str) -> Result<Secret, Failure> {
    if let Ok(key) = std::env::var("BURIN_HUB_TOKEN") {
        return Ok(Secret::new(key.trim().to_owned()));
    }
    let Ok(password) = std::env::var("BURIN_HUB_PASSWORD") else {
        let text = "set BURIN_HUB_TOKEN (an API key) or BURIN_HUB_PASSWORD (a person's)";
        return Err(Failure::Input(text.to_owned()));
    };
    let request = http
        .request(Method::POST, format!("{url}/api/v1/login"))
        .json(&LoginRequest {
            name: std::env::var("BURIN_HUB_USER").ok(),
            password: Secret::new(password),
            code: std::env::var("BURIN_HUB_CODE").ok().map(Secret::new),
        });
    let bytes = answer(url, request).await?;
    let login: LoginAnswer = serde_json::from_slice(&bytes)
        .map_err(|err| anyhow::anyhow!("the hub's answer to the login does not parse: {err}"))?;
    Ok(login.bearer)
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .timeout(LONGEST)
        .redirect(reqwest::redirect::Policy::none())
        // The hub is named outright; a proxy of the environment would not know it.
        .no_proxy()
}

fn trusting(pem: &str) -> Result<reqwest::Client, Failure> {
    let roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
        .map_err(|err| Failure::Input(format!("the CA file holds no certificate in PEM: {err}")))?;
    if roots.is_empty() {
        let text =
            "the CA file holds no certificate in PEM; the hub names the right file when it starts";
        return Err(Failure::Input(text.to_owned()));
    }
    builder()
        .tls_certs_only(roots)
        .build()
        .map_err(|err| Failure::Other(anyhow::Error::from(err).context("preparing TLS")))
}
