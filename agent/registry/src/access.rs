use std::fmt;
use std::sync::Arc;

use reqwest::Url;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::error::{Cause, Error};

/// Where Debian, Ubuntu, openSUSE (by link) and our initramfs keep the public roots.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How one registry is reached.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Host name and port as image references name it.
    pub host: String,
    /// Another URL under which this machine reaches it.
    pub endpoint: Option<String>,
    /// Speaks plain HTTP; then credentials stay unused.
    pub plain_http: bool,
    /// PEM of roots for its certificate, besides those of the system.
    pub ca: Vec<String>,
    /// The one token service outside the registry that may see the credentials.
    pub token_realm: Option<String>,
    /// Sent to the registry and its token service only, over TLS only.
    pub credentials: Option<Credentials>,
    /// The way out of a closed network.
    pub proxy: Option<Proxy>,
}

/// User name and password of a registry.
#[derive(Clone)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}

/// Proxies by scheme of the target.
#[derive(Clone, Default)]
pub struct Proxy {
    pub http: Option<String>,
    pub https: Option<String>,
    /// Hosts, domains and networks that are reached directly, separated by commas.
    pub except: String,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's URL may carry a password.
        f.write_str("Proxy(<hidden>)")
    }
}

impl Access {
    /// The registry's base URL; its path ends in a slash.
    pub(crate) fn base(&self) -> Result<Url, Error> {
        let scheme = if self.plain_http { "http" } else { "https" };
        let text = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            // The name of the biggest registry is not the name of its server.
            None if self.host == "docker.io" => "https://registry-1.docker.io".to_string(),
            None => format!("{scheme}://{}", self.host),
        };
        let wrong = |why: &str| {
            Error::new(
                format!("reading the settings of registry {}", self.host),
                Cause::Settings(format!("{text:?} is not a usable address: {why}")),
            )
        };
        let mut url = Url::parse(&text).map_err(|e| wrong(&e.to_string()))?;
        match url.scheme() {
            "https" => {}
            "http" if self.plain_http => {}
            _ => {
                return Err(wrong(
                    "it must be https, or the registry must be listed as plain HTTP",
                ));
            }
        }
        if url.host_str().is_none() || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it must name a host and carry no user"));
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(url)
    }

    /// The HTTP client: own roots and ring, no redirect followed, no proxy from the environment.
    pub(crate) fn client(&self) -> Result<reqwest::Client, Error> {
        let settings = |why: String| {
            Error::new(
                format!("preparing the connection to registry {}", self.host),
                Cause::Settings(why),
            )
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| settings(e.to_string()))?
            .with_root_certificates(self.roots()?)
            .with_no_client_auth();
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            .referer(false)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(std::time::Duration::from_secs(20))
            .user_agent(concat!("burin/", env!("CARGO_PKG_VERSION")));
        if let Some(proxy) = &self.proxy {
            let except = reqwest::NoProxy::from_string(&proxy.except);
            let unusable = |e: reqwest::Error| {
                settings(format!("the proxy's address is wrong: {}", e.without_url()))
            };
            if let Some(url) = &proxy.http {
                let made = reqwest::Proxy::http(url).map_err(unusable)?;
                builder = builder.proxy(made.no_proxy(except.clone()));
            }
            if let Some(url) = &proxy.https {
                let made = reqwest::Proxy::https(url).map_err(unusable)?;
                builder = builder.proxy(made.no_proxy(except));
            }
        }
        builder.build().map_err(|e| settings(e.to_string()))
    }

    fn roots(&self) -> Result<rustls::RootCertStore, Error> {
        let mut roots = rustls::RootCertStore::empty();
        if self.plain_http {
            return Ok(roots);
        }
        match CertificateDer::pem_file_iter(SYSTEM_ROOTS) {
            Ok(certificates) => {
                // One odd certificate in the system's list must not cost all others.
                let (_, ignored) =
                    roots.add_parsable_certificates(certificates.filter_map(Result::ok));
                tracing::debug!(ignored, "system roots");
            }
            Err(error) => tracing::debug!(%error, "no system roots"),
        }
        for pem in &self.ca {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                certificate
                    .map_err(|e| e.to_string())
                    .and_then(|c| roots.add(c).map_err(|e| e.to_string()))
                    .map_err(|e| {
                        Error::new(
                            format!("reading the roots of registry {}", self.host),
                            Cause::Settings(format!("not a PEM certificate: {e}")),
                        )
                    })?;
            }
        }
        Ok(roots)
    }
}
