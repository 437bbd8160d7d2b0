//! What a failed HTTP request really was: the kernel's and the TLS library's words are deep inside.

use std::error::Error;
use std::io::{self, ErrorKind};

use reqwest::Url;
use rustls::{AlertDescription, CertificateError, InvalidMessage};

use crate::error::Cause;

/// How the kernel and rustls name the end of a connection that its other side broke off.
const BROKEN_OFF: [ErrorKind; 4] = [
    ErrorKind::UnexpectedEof,
    ErrorKind::ConnectionReset,
    ErrorKind::ConnectionAborted,
    ErrorKind::BrokenPipe,
];

/// How hyper names it.
const EARLY: &str = "connection closed before message completed";

/// Tells a TLS that cannot work with this registry from a connection that may work a little later.
pub(crate) fn cause(error: reqwest::Error) -> Cause {
    let who = error.url().map(server).unwrap_or_default();
    let error = error.without_url();
    // Once TLS is set up the same words mean bytes that were damaged on the way: a new connection
    // mends that.
    let tls = causes(&error)
        .filter(|_| error.is_connect())
        .find_map(|it| it.downcast_ref::<rustls::Error>());
    if let Some(why) = tls.and_then(|error| mismatch(error, &who)) {
        return Cause::Tls(why);
    }
    Cause::Connection(match is_broken_off(&error) {
        true => "it closed the connection too early".to_owned(),
        false => chain(&error),
    })
}

/// The server of an address, without user, path and query.
fn server(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Why no repetition will bring TLS with this server about, and what to do; `None` for all that may
/// pass.
fn mismatch(error: &rustls::Error, who: &str) -> Option<String> {
    use rustls::Error::{AlertReceived, InvalidCertificate, PeerIncompatible};
    let why = match error {
        // The first byte of an answer in plain HTTP is no type of a TLS record.
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "does not speak TLS; if it is meant to speak plain HTTP, list it so: `--plain-http` \
             of `burin-hub registry add`, `plain_http` in the user-data of a host"
        }
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "has a certificate that is signed by nobody who is trusted here; give its authority: `--ca` of \
             `burin-hub registry add`, `ca` in the user-data of a host"
        }
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            "has a certificate for another name; use one that it lists, or give the registry \
             another certificate"
        }
        InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => {
            "has a certificate that is not valid at the time of this machine; renew it, or set the \
             clock here"
        }
        InvalidCertificate(other) => return Some(format!("{who} has a bad certificate: {other}")),
        PeerIncompatible(_)
        | AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure) => {
            "speaks no TLS that burin does; let it offer TLS 1.2 or 1.3"
        }
        _ => return None,
    };
    Some(format!("{who} {why}"))
}

/// Whether the other side ended the connection before its time. The words of the libraries for that
/// are for their users, with addresses of their manuals.
#[must_use]
pub fn is_broken_off(error: &reqwest::Error) -> bool {
    causes(error).any(|it| match it.downcast_ref::<io::Error>() {
        Some(it) => BROKEN_OFF.contains(&it.kind()),
        // A close by the rules of TLS is one that only HTTP finds too early.
        None => it.source().is_none() && it.to_string() == EARLY,
    })
}

/// What led to an error, from the outside to the innermost.
pub fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&it| {
        // An I/O error hides what it carries from `source`.
        let inner = it.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match inner {
            Some(inner) => Some(inner),
            None => it.source(),
        }
    })
}

/// The error and its sources on one line; reqwest's own text leaves the sources out.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
