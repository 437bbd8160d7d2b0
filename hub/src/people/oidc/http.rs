//! HTTP to the identity provider, by the hub's own client: no redirection, short, bounded.

use std::time::Duration;

use anyhow::Context as _;
use openidconnect::{HttpRequest, HttpResponse};

/// Bytes; the largest answer is a set of keys.
const LONGEST: usize = 1 << 20;
const WITHIN: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It was not reached, or broke off.
    #[error("asking the provider")]
    Http(#[from] reqwest::Error),
    /// More than anything it should say.
    #[error("the provider's answer has more than {LONGEST} bytes")]
    TooLong,
}

/// `ca`: PEM texts of the authorities that vouch for the provider, instead of the system's.
pub(super) fn client(ca: Option<&[u8]>) -> anyhow::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .timeout(WITHIN)
        .redirect(reqwest::redirect::Policy::none());
    if let Some(pem) = ca {
        let roots = reqwest::Certificate::from_pem_bundle(pem)
            .context("reading the provider's authorities")?;
        builder = builder.tls_certs_only(roots);
    }
    builder.build().context("preparing HTTP to the provider")
}

/// Sends one request of the protocol's library.
pub(super) async fn send(
    http: reqwest::Client,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let (parts, body) = request.into_parts();
    let mut answer = http
        .request(parts.method, parts.uri.to_string())
        .headers(parts.headers)
        .body(body)
        .send()
        .await?;
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await? {
        if bytes.len() + part.len() > LONGEST {
            return Err(Failure::TooLong);
        }
        bytes.extend_from_slice(&part);
    }
    let mut response = HttpResponse::new(bytes);
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    Ok(response)
}
