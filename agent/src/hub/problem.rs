//! What can go wrong between host and hub, said so that a person in front of the box can act.

use std::error::Error;
use std::time::Duration;

use burin_api::dsse::DsseError;
use burin_api::message::Refusal;
use burin_api::root::RootError;
use burin_core::backoff::Class;
use burin_registry::{causes, is_broken_off};
use rustls::CertificateError;

/// Why a call to the hub failed.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("the hub's address {url:?} cannot be used: {why}")]
    Settings { url: String, why: String },
    #[error("the hub's name cannot be resolved: {0}")]
    Name(String),
    #[error("the hub does not answer: {0}")]
    Unreachable(String),
    #[error("the hub's certificate is signed by nobody this host trusts")]
    UnknownCertificate,
    #[error("the hub's certificate is for another name")]
    OtherName,
    #[error("the hub's certificate is not valid at this host's time")]
    Dates,
    #[error("the TLS connection failed: {0}")]
    Tls(String),
    #[error("the hub cannot prove that it is the hub")]
    Root(#[source] RootError),
    #[error("the hub's answer is not signed as it must be")]
    Signature(#[source] DsseError),
    #[error("the hub's answer makes no sense: {0}")]
    Answer(String),
    #[error("the hub refused: {}", .0.message)]
    Refused(Refusal),
    /// A refusal of `hello`: whose it is cannot be known yet, nor of which day.
    #[error("whoever answers as the hub refused: {}", .0.message)]
    Unproven(Refusal),
    /// The hub's, about bytes that it could not read.
    #[error("the hub could not read what arrived there: {0}")]
    Unread(String),
}

/// The longest pause that somebody who proved nothing can ask for.
const UNPROVEN: Duration = Duration::from_secs(60);

impl Problem {
    /// What a person can do.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Settings { .. } => "Correct burin.hub in the user-data.",
            Self::Name(_) => "Check burin.hub.url, the DNS server and the network cable.",
            Self::Unreachable(_) => {
                "Check that the hub runs, and the network, firewall and proxy on the way to it."
            }
            Self::UnknownCertificate => {
                "Put the certificate authority of the hub into burin.hub.ca, or check for a proxy \
                 that opens TLS."
            }
            Self::OtherName => "Use a name in burin.hub.url that the hub's certificate lists.",
            Self::Dates => "Set the clock in the firmware setup, or renew the hub's certificate.",
            Self::Tls(_) => "Check that burin.hub.url points at a hub and not at another service.",
            Self::Root(_) => {
                "Compare burin.hub.root with `burin-hub user-data`; if they differ, this is another \
                 hub or somebody is between."
            }
            Self::Signature(_) | Self::Answer(_) => {
                "Check for a proxy that changes answers, and that hub and agent fit together."
            }
            Self::Refused(refusal) | Self::Unproven(refusal) => advice_on(&refusal.code),
            Self::Unread(_) => {
                "Check for a proxy that changes requests, and that hub and agent fit together."
            }
        }
    }

    /// What trying again can bring. A host never ends trying: what cannot help by itself is tried
    /// at the longest pause, because the hub's admin may have put it right. What a proxy can bring about
    /// by changing a bit is like a cut: when the proxy is gone the host shall be back soon.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Refused(refusal) => match refusal.retry_after {
                Some(seconds) => Class::After(Duration::from_secs(seconds.max(1).into())),
                None if refusal.code == "bad_signature" => Class::Again,
                None => Class::Never,
            },
            Self::Unproven(refusal) => match refusal.retry_after {
                Some(seconds) => {
                    let asked = Duration::from_secs(seconds.max(1).into());
                    Class::After(asked.min(UNPROVEN))
                }
                None => Class::Again,
            },
            Self::Settings { .. } => Class::Never,
            _ => Class::Again,
        }
    }

    /// The machine code of a refusal, empty for everything else.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(refusal) => &refusal.code,
            _ => "",
        }
    }

    /// One text for the console: what, why, and what to do.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.to_string();
        if let Some(source) = self.source() {
            text.push_str(": ");
            text.push_str(&source.to_string());
        }
        let advice = self.advice();
        if !advice.is_empty() {
            text.push_str(". ");
            text.push_str(advice);
        }
        text
    }

    /// What an HTTP error really is: the kernel's and the TLS library's words are deep inside.
    #[must_use]
    pub fn of_http(error: &reqwest::Error) -> Self {
        if let Some(tls) = find_tls(error) {
            return of_tls(&tls);
        }
        if let Some(words) = broken_off(error) {
            return Self::Unreachable(words.to_owned());
        }
        let words = innermost(error);
        if error.is_timeout() {
            return Self::Unreachable("no answer in time".to_owned());
        }
        if words.contains("dns") || words.contains("no record found") || words.contains("resolv") {
            return Self::Name(words);
        }
        if words.contains("head is too large") || words.starts_with("invalid HTTP") {
            return Self::Answer(words);
        }
        if error.is_connect() || error.is_request() || error.is_body() {
            return Self::Unreachable(words);
        }
        Self::Answer(words)
    }
}

fn advice_on(code: &str) -> &'static str {
    match code {
        "token_unknown" => {
            "Make a token with `burin-hub token create` and put it into burin.token."
        }
        "token_expired" => "The token is too old: make a new one with `burin-hub token create`.",
        "token_used" => {
            "The token has no uses left: make one with more uses, or approve the host in the hub."
        }
        "token_revoked" => "An admin revoked the token: ask for another one.",
        "revoked" => "An admin revoked this host: ask the hub's admin.",
        "limited" => "Nothing to do: the host waits its turn.",
        _ => "",
    }
}

fn of_tls(error: &rustls::Error) -> Problem {
    match error {
        rustls::Error::InvalidCertificate(why) => match why {
            // Two hubs name their authorities alike: the name fits and the signature does not.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Problem::UnknownCertificate
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Problem::OtherName
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Problem::Dates,
            other => Problem::Tls(other.to_string()),
        },
        other => Problem::Tls(other.to_string()),
    }
}

fn find_tls(error: &reqwest::Error) -> Option<rustls::Error> {
    causes(error).find_map(|it| it.downcast_ref::<rustls::Error>().cloned())
}

/// What to say of a connection that ended before its time.
fn broken_off(error: &reqwest::Error) -> Option<&'static str> {
    is_broken_off(error).then(|| match error.is_connect() {
        true => "it closed the connection before TLS was set up",
        false => "it closed the connection before its answer was complete",
    })
}

fn innermost(error: &dyn Error) -> String {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, retry_after: Option<u32>) -> Problem {
        Problem::Refused(Refusal {
            code: code.to_owned(),
            message: "the token has expired".to_owned(),
            retry_after,
        })
    }

    #[test]
    fn a_refusal_says_why_and_what_to_do() {
        let text = refused("token_expired", None).text();
        assert!(text.contains("the token has expired"), "{text}");
        assert!(text.contains("burin-hub token create"), "{text}");
    }

    #[test]
    fn the_hub_decides_when_a_refused_host_comes_back() {
        assert_eq!(
            refused("limited", Some(7)).class(),
            Class::After(Duration::from_secs(7))
        );
        assert_eq!(refused("revoked", None).class(), Class::Never);
        // Whoever is between can flip a bit of a signature.
        assert_eq!(refused("bad_signature", None).class(), Class::Again);
        assert_eq!(Problem::UnknownCertificate.class(), Class::Again);
    }

    #[test]
    fn who_proved_nothing_decides_for_a_minute_at_most() {
        let unproven = |retry_after| match refused("limited", retry_after) {
            Problem::Refused(refusal) => Problem::Unproven(refusal).class(),
            other => other.class(),
        };
        let minute = Duration::from_secs(60);
        assert_eq!(unproven(Some(u32::MAX)), Class::After(minute));
        assert_eq!(unproven(Some(2)), Class::After(Duration::from_secs(2)));
        assert_eq!(unproven(None), Class::Again);
        assert_eq!(Problem::Unread(String::new()).class(), Class::Again);
    }

    #[test]
    fn certificate_errors_are_told_apart() {
        let of = |error| of_tls(&rustls::Error::InvalidCertificate(error));
        assert!(matches!(
            of(CertificateError::UnknownIssuer),
            Problem::UnknownCertificate
        ));
        assert!(matches!(
            of(CertificateError::NotValidForName),
            Problem::OtherName
        ));
        assert!(matches!(of(CertificateError::Expired), Problem::Dates));
        assert!(matches!(of(CertificateError::NotValidYet), Problem::Dates));
        assert!(matches!(of(CertificateError::Revoked), Problem::Tls(_)));
    }
}
