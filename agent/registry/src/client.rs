use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode, Url};
use tokio::sync::Mutex;

use crate::access::Access;
use crate::auth::{Challenge, TokenAnswer, token_url};
use crate::connection;
use crate::error::{Cause, Error};
use crate::retry::Retry;

/// Most redirects that are followed for one request.
const MOST_REDIRECTS: usize = 5;
/// Longest answer of a token service, bytes.
const LONGEST_TOKEN_ANSWER: usize = 64 * 1024;

/// A registry, ready to be read. Cheap to clone; clones share connections and logins.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
    pub(crate) retry: Retry,
}

struct Inner {
    access: Access,
    base: Url,
    http: reqwest::Client,
    /// The `Authorization` value by repository, once one was needed.
    logins: Mutex<HashMap<String, HeaderValue>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("base", &self.inner.base.as_str())
            .finish_non_exhaustive()
    }
}

/// One GET below `/v2/<repository>/`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Get<'a> {
    pub(crate) repository: &'a str,
    pub(crate) path: &'a str,
    pub(crate) accept: &'a str,
    /// First byte that is wanted.
    pub(crate) from: u64,
}

impl Registry {
    /// Prepares the access; nothing is sent yet.
    ///
    /// # Errors
    /// [`Cause::Settings`] when address, roots or proxy are unusable.
    pub fn new(access: Access) -> Result<Self, Error> {
        let base = access.base()?;
        let http = access.client()?;
        Ok(Self {
            inner: Arc::new(Inner {
                access,
                base,
                http,
                logins: Mutex::default(),
            }),
            retry: Retry::default(),
        })
    }

    /// The same registry with another patience.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    pub(crate) fn host(&self) -> &str {
        &self.inner.access.host
    }

    /// One request with login and redirects; the answer is 200 or 206.
    pub(crate) async fn get(&self, get: Get<'_>) -> Result<Response, Cause> {
        let url = self.url(get)?;
        let login = self.inner.logins.lock().await.get(get.repository).cloned();
        let mut response = self.send(url.clone(), get, login).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let login = self.login(get.repository, response.headers()).await?;
            response = self.send(url, get, Some(login)).await?;
        }
        let mut hops = 0;
        while is_redirect(response.status()) {
            hops += 1;
            if hops > MOST_REDIRECTS {
                return Err(Cause::Refused("it redirects without end".into()));
            }
            let target = redirect_target(&response)?;
            // Never with a credential: the target is a storage server with its own signed URL.
            response = self.send(target, get, None).await?;
        }
        check_status(&response)?;
        Ok(response)
    }

    fn url(&self, get: Get<'_>) -> Result<Url, Cause> {
        check_repository(get.repository)?;
        self.inner
            .base
            .join(&format!("v2/{}/{}", get.repository, get.path))
            .map_err(|e| Cause::Settings(e.to_string()))
    }

    async fn send(
        &self,
        url: Url,
        get: Get<'_>,
        login: Option<HeaderValue>,
    ) -> Result<Response, Cause> {
        let mut request = self
            .inner
            .http
            .get(url)
            .header(header::ACCEPT, get.accept)
            .header(header::ACCEPT_ENCODING, "identity");
        if get.from > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", get.from));
        }
        if let Some(login) = login {
            request = request.header(header::AUTHORIZATION, login);
        }
        self.patiently(request.send()).await
    }

    /// Waits no longer than the retry policy's patience.
    pub(crate) async fn patiently<T>(
        &self,
        work: impl Future<Output = reqwest::Result<T>>,
    ) -> Result<T, Cause> {
        match tokio::time::timeout(self.retry.stall, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(connection::cause(error)),
            Err(_) => Err(Cause::Stalled(self.retry.stall)),
        }
    }

    /// Answers a 401 and remembers how.
    async fn login(&self, repository: &str, headers: &HeaderMap) -> Result<HeaderValue, Cause> {
        // Another task may hold an older answer; the lock keeps it to one login at a time.
        let mut logins = self.inner.logins.lock().await;
        logins.remove(repository);
        let challenge = headers
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find_map(Challenge::parse)
            .ok_or_else(|| Cause::Denied("it asks for a login that burin does not know".into()))?;
        let value = match challenge {
            Challenge::Basic => self.basic()?,
            Challenge::Bearer { realm, service } => {
                self.bearer(&realm, service.as_deref(), repository).await?
            }
        };
        logins.insert(repository.to_string(), value.clone());
        Ok(value)
    }

    fn basic(&self) -> Result<HeaderValue, Cause> {
        let access = &self.inner.access;
        let Some(credentials) = &access.credentials else {
            return Err(Cause::Denied(
                "it asks for a user and password, and none are known for it; \
                 give them to the hub with `burin-hub registry add`, or to the host in its user-data"
                    .into(),
            ));
        };
        if self.inner.base.scheme() != "https" {
            return Err(Cause::Denied(
                "it asks for a password over plain HTTP, where burin never sends one; give it TLS"
                    .into(),
            ));
        }
        let pair = format!("{}:{}", credentials.username, credentials.password);
        sensitive(&format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(pair)
        ))
    }

    async fn bearer(
        &self,
        realm: &str,
        service: Option<&str>,
        repository: &str,
    ) -> Result<HeaderValue, Cause> {
        let access = &self.inner.access;
        let url = token_url(access, &self.inner.base, realm, service, repository)
            .map_err(Cause::Refused)?;
        let mut request = self.inner.http.get(url.clone());
        if let Some(credentials) = access
            .credentials
            .as_ref()
            .filter(|_| url.scheme() == "https")
        {
            request = request.basic_auth(&credentials.username, Some(&credentials.password));
        }
        let response = self.patiently(request.send()).await?;
        if response.status() == StatusCode::UNAUTHORIZED
            || response.status() == StatusCode::FORBIDDEN
        {
            return Err(Cause::Denied(
                "its token service does not accept the login".into(),
            ));
        }
        if response.status().is_redirection() {
            return Err(Cause::Refused("its token service redirects".into()));
        }
        check_status(&response)?;
        let body = self.read_small(response, LONGEST_TOKEN_ANSWER).await?;
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| {
            Cause::Refused("its token service answers something that is no token".into())
        })?;
        let token = answer
            .token
            .or(answer.access_token)
            .filter(|token| !token.is_empty())
            .ok_or_else(|| Cause::Refused("its token service answers without a token".into()))?;
        sensitive(&format!("Bearer {token}"))
    }

    /// Reads a whole body that may not be longer than `most`.
    pub(crate) async fn read_small(
        &self,
        mut response: Response,
        most: usize,
    ) -> Result<Vec<u8>, Cause> {
        let too_long = || Cause::Content(format!("the answer is longer than {most} bytes"));
        if response.content_length().is_some_and(|n| n > most as u64) {
            return Err(too_long());
        }
        let mut body = Vec::new();
        while let Some(chunk) = self.patiently(response.chunk()).await? {
            if body.len() + chunk.len() > most {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn sensitive(text: &str) -> Result<HeaderValue, Cause> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Cause::Settings("user, password or token cannot stand in a header".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn redirect_target(response: &Response) -> Result<Url, Cause> {
    let target = response
        .headers()
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| response.url().join(text).ok())
        .ok_or_else(|| Cause::Refused("it redirects to no readable address".into()))?;
    let downgrade = response.url().scheme() == "https" && target.scheme() != "https";
    if downgrade || !matches!(target.scheme(), "http" | "https") {
        return Err(Cause::Refused(format!(
            "it redirects from https to {}",
            target.scheme()
        )));
    }
    if !target.username().is_empty() || target.password().is_some() {
        return Err(Cause::Refused(
            "it redirects to an address with a user".into(),
        ));
    }
    Ok(target)
}

fn check_status(response: &Response) -> Result<(), Cause> {
    let status = response.status();
    let pause = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse().ok())
        .map(Duration::from_secs);
    match status.as_u16() {
        200 | 206 => Ok(()),
        401 | 403 => Err(Cause::Denied(format!("it answers {status}"))),
        404 => Err(Cause::NotFound),
        408 | 429 => Err(Cause::Busy(pause)),
        500..=599 => Err(Cause::Server(status.as_u16(), pause)),
        _ => Err(Cause::Refused(format!("it answers {status}"))),
    }
}

/// Holds a repository name to the grammar of the distribution specification, so that it cannot
/// reach another path of the server.
fn check_repository(name: &str) -> Result<(), Cause> {
    let part = |part: &str| {
        let edge =
            |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(part.chars().next())
            && edge(part.chars().last())
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
            && !part.contains("..")
    };
    if name.len() <= 255 && name.split('/').all(part) {
        return Ok(());
    }
    Err(Cause::Settings(format!("{name:?} is no repository name")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names_cannot_leave_their_place() {
        for (name, good) in [
            ("os/debian", true),
            ("a", true),
            ("a--b/c_d.e", true),
            ("", false),
            ("../x", false),
            ("a/../b", false),
            ("a//b", false),
            ("/a", false),
            ("a/", false),
            ("A", false),
            ("a?b", false),
            ("a%2fb", false),
            ("a..b", false),
        ] {
            assert_eq!(check_repository(name).is_ok(), good, "{name:?}");
        }
    }
}
