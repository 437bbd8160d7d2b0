//! The server's own certificate authority and the kubeconfig with its client certificate.
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto::ring};

use crate::below;
use crate::config::Config;
use crate::node::{write_private, write_with_mode};

/// Where K3s writes the kubeconfig.
const KUBECONFIG: &str = "/etc/rancher/k3s/k3s.yaml";

/// The keys of a running server.
pub(crate) struct Keys {
    pub(crate) acceptor: Arc<TlsAcceptor>,
    authority: String,
    client: String,
    client_key: String,
}

/// Makes fresh certificates. K3s keeps its own over restarts; nobody pins the stand-in's.
pub(crate) fn ensure(root: &Path, config: &Config) -> Result<Keys> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "k3s-standin-ca");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)
        .context("making an authority")?;
    let names = [
        "127.0.0.1",
        "::1",
        "localhost",
        "kubernetes",
        "kubernetes.default",
    ];
    let server_key = KeyPair::generate()?;
    let server =
        CertificateParams::new(names.map(str::to_owned))?.signed_by(&server_key, &authority)?;
    let client_key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "system:admin");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "system:masters");
    let client = params.signed_by(&client_key, &authority)?;
    let mut roots = RootCertStore::empty();
    roots
        .add(authority.der().clone())
        .context("trusting the own authority")?;
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier = verifier
        .allow_unauthenticated()
        .build()
        .context("checking clients")?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
    let settings = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.der().clone()], key)?;
    let tls = below(root, &config.data_dir).join("server/tls");
    write_private(&tls.join("server-ca.crt"), &authority.pem())?;
    Ok(Keys {
        acceptor: Arc::new(TlsAcceptor::from(Arc::new(settings))),
        authority: authority.pem(),
        client: client.pem(),
        client_key: client_key.serialize_pem(),
    })
}

/// Writes the kubeconfig in the form in which K3s writes it.
pub(crate) fn write_kubeconfig(root: &Path, keys: &Keys, config: &Config) -> Result<()> {
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let text = format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    \
         server: https://127.0.0.1:{}\n  name: default\ncontexts:\n- context:\n    cluster: default\n    \
         user: default\n  name: default\ncurrent-context: default\nkind: Config\npreferences: {{}}\n\
         users:\n- name: default\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
        encode(&keys.authority),
        config.port,
        encode(&keys.client),
        encode(&keys.client_key),
    );
    write_with_mode(&below(root, KUBECONFIG), &text, config.kubeconfig_mode)
}
