//! Why no answer came from the hub, and what to do: the libraries' words are for their users.

use std::io::{self, ErrorKind};

use anyhow::anyhow;
use burin_registry::{causes, is_broken_off};
use rustls::{CertificateError, InvalidMessage};

use super::connect::Failure;

pub(super) fn unreachable(url: &str, err: reqwest::Error) -> Failure {
    let asking = format!("asking the hub at {url}");
    match why(&err) {
        Some(why) => Failure::Other(anyhow!("{asking}: {why}")),
        None => Failure::Other(anyhow::Error::from(err.without_url()).context(asking)),
    }
}

/// A sentence for what can be told apart.
fn why(err: &reqwest::Error) -> Option<String> {
    let tls = causes(err).find_map(|it| it.downcast_ref::<rustls::Error>());
    if let Some(why) = tls.filter(|_| err.is_connect()).and_then(of_tls) {
        return Some(why);
    }
    if is_broken_off(err) {
        let when = match err.is_connect() {
            true => "TLS was set up; is this the port of a hub?",
            false => "its answer was complete; its log may say why",
        };
        return Some(format!("it closed the connection before {when}"));
    }
    let mut kernel = causes(err).filter_map(|it| it.downcast_ref::<io::Error>());
    if kernel.any(|it| it.kind() == ErrorKind::ConnectionRefused) {
        return Some("nothing listens there; does it run, and is this its port?".to_owned());
    }
    if err.is_timeout() {
        return Some(
            "no answer in time; is this its address, and does a firewall let it through?"
                .to_owned(),
        );
    }
    let innermost = causes(err).last().filter(|_| err.is_connect())?;
    Some(format!("no connection: {innermost}; is this its address?"))
}

fn of_tls(err: &rustls::Error) -> Option<String> {
    use rustls::Error::{General, InvalidCertificate};
    let why = match err {
        // The first byte of an answer in plain HTTP is no type of a TLS record.
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS; is this the port of a hub?"
        }
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate is signed by nobody who is trusted here; give --ca FILE or --fingerprint HEX as \
             the hub printed them"
        }
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for another name; call it by one that it has",
        InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => {
            "its certificate is not valid at the time of this machine; look at the clock here and there"
        }
        InvalidCertificate(other) => return Some(format!("its certificate is bad: {other}")),
        // What the check of a fingerprint says.
        General(why) => why,
        _ => return None,
    };
    Some(why.to_owned())
}
