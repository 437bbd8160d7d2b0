//! `registry/repository:tag@digest`.

use std::fmt;
use std::str::FromStr;

use super::Digest;

/// An image reference. The registry is always named: a default would send a host to a registry
/// that nobody listed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Host name or address, and port when it is not the default.
    pub registry: String,
    pub repository: String,
    pub tag: Option<String>,
    pub digest: Option<Digest>,
}

/// Why a text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error(
        "an image is written registry/repository:tag or registry/repository@sha256:...; `{0}` names no registry"
    )]
    NoRegistry(String),
    #[error("an image is written without `{0}`")]
    Scheme(&'static str),
    #[error("`{0}` is not the name of a registry")]
    Registry(String),
    #[error(
        "`{0}` is not the name of a repository: lower-case letters, digits and single . _ - between them"
    )]
    Repository(String),
    #[error("`{0}` is not a tag")]
    Tag(String),
    #[error(transparent)]
    Digest(#[from] super::DigestError),
    #[error("an image reference has at most 512 characters")]
    Length,
}

impl Reference {
    /// Tag or digest to ask the registry for: the digest when there is one.
    pub fn wanted(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.len() > 512 {
            return Err(ReferenceError::Length);
        }
        for scheme in ["https://", "http://", "oci://", "docker://"] {
            if text.starts_with(scheme) {
                return Err(ReferenceError::Scheme(scheme));
            }
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let (registry, path) = rest
            .split_once('/')
            .filter(|(first, _)| looks_like_a_registry(first))
            .ok_or_else(|| ReferenceError::NoRegistry(text.to_owned()))?;
        if !is_registry(registry) {
            return Err(ReferenceError::Registry(registry.to_owned()));
        }
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        if !is_repository(repository) {
            return Err(ReferenceError::Repository(repository.to_owned()));
        }
        if let Some(tag) = tag.filter(|t| !is_tag(t)) {
            return Err(ReferenceError::Tag(tag.to_owned()));
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// The rule of all clients: the first part is a registry when it has a dot or a port or is
/// `localhost`; else it is part of a repository of a default registry.
fn looks_like_a_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

/// Whether a text is host name or address with an optional port.
fn is_registry(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        return address.parse::<std::net::Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(is_label)
        && port.is_none_or(is_port)
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|p| p != 0) && !text.starts_with('+')
}

/// Repository names of the distribution specification:
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` joined by slashes.
fn is_repository(text: &str) -> bool {
    text.len() <= 255 && text.split('/').all(is_repository_part)
}

fn is_repository_part(part: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = |b: Option<&u8>| b.is_some_and(|b| alphanumeric(*b));
    ends(bytes.first())
        && ends(bytes.last())
        && bytes
            .split(|b| alphanumeric(*b))
            .all(|s| matches!(s, b"" | b"." | b"_" | b"__") || s.iter().all(|b| *b == b'-'))
}

fn is_tag(text: &str) -> bool {
    text.len() <= 128
        && text.bytes().enumerate().all(|(i, b)| {
            b.is_ascii_alphanumeric() || b == b'_' || (i > 0 && matches!(b, b'.' | b'-'))
        })
        && !text.is_empty()
}
