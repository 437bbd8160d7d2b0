//! TLS towards the hub: rustls with ring, the system's roots and those of user-data.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use super::problem::Problem;
use super::settings::HubSettings;
use crate::machine::clock::Clock;

/// Where Debian, Ubuntu and our initramfs keep the public roots.
const SYSTEM_ROOTS: &str = "etc/ssl/certs/ca-certificates.crt";

/// Whether a certificate's dates count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dates {
    Checked,
    /// Chain and name are checked, dates are not: for one hello of a host without a clock, whose
    /// answer must be signed by a key under a root that the host already knows.
    Waived,
}

/// The host's clock, as rustls asks for it.
#[derive(Debug)]
struct Time(Arc<dyn Clock>);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let now = Duration::from_millis(self.0.now());
        Some(UnixTime::since_unix_epoch(now))
    }
}

pub(super) fn config(
    settings: &HubSettings,
    root: &Path,
    dates: Dates,
    clock: &Arc<dyn Clock>,
) -> Result<ClientConfig, Problem> {
    let wrong = |why: String| Problem::Settings {
        url: settings.url.clone(),
        why,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(roots(settings, root).map_err(wrong)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|err| wrong(format!("no certificate authority can be used: {err}")))?;
    let verifier: Arc<dyn ServerCertVerifier> = match dates {
        Dates::Checked => verifier,
        Dates::Waived => Arc::new(AnyDate(verifier)),
    };
    let time = Arc::new(Time(Arc::clone(clock)));
    let config = ClientConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()
        .map_err(|err| wrong(err.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(config)
}

fn roots(settings: &HubSettings, root: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if let Ok(certificates) = CertificateDer::pem_file_iter(root.join(SYSTEM_ROOTS)) {
        // One odd certificate in the system's list must not cost all others.
        roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    }
    for pem in &settings.ca {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            certificate
                .map_err(|err| err.to_string())
                .and_then(|it| roots.add(it).map_err(|err| err.to_string()))
                .map_err(|err| format!("burin.hub.ca is not a PEM certificate: {err}"))?;
        }
    }
    if roots.is_empty() {
        return Err(
            "there is no certificate authority, neither of the system nor in burin.hub.ca"
                .to_owned(),
        );
    }
    Ok(roots)
}

/// Checks everything but the dates: asks again at a time at which the certificate was valid.
#[derive(Debug)]
struct AnyDate(Arc<WebPkiServerVerifier>);

/// Certificates of one chain may have dates that do not overlap at the first guess.
const GUESSES: usize = 8;

impl ServerCertVerifier for AnyDate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut at = now;
        let mut result = Err(rustls::Error::General("not verified".to_owned()));
        for _ in 0..GUESSES {
            result = self.0.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                at,
            );
            at = match &result {
                Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
                    not_before,
                    ..
                })) => after(*not_before),
                Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
                    not_after,
                    ..
                })) => before(*not_after),
                _ => return result,
            };
        }
        result
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn after(time: UnixTime) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(time.as_secs().saturating_add(1)))
}

fn before(time: UnixTime) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(time.as_secs().saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Valid from 2020 to 2022; made with openssl, its key thrown away.
    const AUTHORITY: &str = include_str!("../../fixtures/hub-authority-2020.pem");
    /// For `hub.example`, valid from January to June 2021, by that authority.
    const HUB: &str = include_str!("../../fixtures/hub-2021.pem");

    fn verify(authority: &str, name: &str, now: u64) -> Result<(), rustls::Error> {
        let root = tempfile::tempdir().unwrap();
        let settings = HubSettings {
            url: "https://hub.example".to_owned(),
            ca: vec![authority.to_owned()],
            ..HubSettings::default()
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(roots(&settings, root.path()).unwrap());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .unwrap();
        let any = AnyDate(verifier);
        let hub = CertificateDer::from_pem_slice(HUB.as_bytes()).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        any.verify_server_cert(&hub, &[], &name, &[], now)
            .map(|_| ())
    }

    #[test]
    fn a_lost_clock_is_no_reason_to_refuse_when_dates_are_waived() {
        for now in [0, 1_612_000_000, 1_790_000_000, 4_000_000_000] {
            verify(AUTHORITY, "hub.example", now).unwrap();
        }
    }

    #[test]
    fn name_and_chain_are_checked_even_when_dates_are_waived() {
        for now in [0, 1_612_000_000, 1_790_000_000] {
            let name = verify(AUTHORITY, "other.example", now).unwrap_err();
            assert!(
                matches!(
                    name,
                    rustls::Error::InvalidCertificate(
                        CertificateError::NotValidForName
                            | CertificateError::NotValidForNameContext { .. }
                    )
                ),
                "{name:?}"
            );
            // The hub's own certificate as the only authority: nobody signed it.
            assert!(verify(HUB, "hub.example", now).is_err());
        }
    }

    #[test]
    fn settings_without_any_authority_or_with_a_broken_one_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let mut settings = HubSettings::default();
        assert!(roots(&settings, root.path()).is_err());
        settings.ca =
            vec!["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned()];
        assert!(roots(&settings, root.path()).is_err());
    }
}
