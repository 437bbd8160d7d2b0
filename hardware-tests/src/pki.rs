//! A certificate authority made for one run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// The names by which guest and build host reach a rig on this machine.
pub const NAMES: [&str; 3] = ["10.0.2.2", "127.0.0.1", "localhost"];

/// Certificate and key files of a server, and the authority that signed them.
#[derive(Debug, Clone)]
pub struct ServerFiles {
    /// PEM of the authority, alone in its folder as the tools for images want it.
    pub ca: PathBuf,
    /// PEM of the server's certificate.
    pub certificate: PathBuf,
    /// PEM of the server's key.
    pub key: PathBuf,
}

/// The folder of the authority's certificate.
const AUTHORITY: &str = "authority";

impl ServerFiles {
    /// Where [`make`] puts them below `folder`.
    pub fn of(folder: &Path) -> Self {
        Self {
            ca: folder.join(AUTHORITY).join("ca.crt"),
            certificate: folder.join("server.pem"),
            key: folder.join("server.key"),
        }
    }
}

/// Makes an authority and a server certificate for [`NAMES`] in `folder`; the authority's key is forgotten.
///
/// # Errors
/// When a key cannot be made or a file not be written.
pub fn make(folder: &Path) -> Result<ServerFiles> {
    let ca_key = KeyPair::generate().context("making the authority's key")?;
    let mut ca = CertificateParams::new(Vec::new()).context("naming the authority")?;
    ca.distinguished_name = named("burin test authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_certificate = ca
        .self_signed(&ca_key)
        .context("making the authority's certificate")?;
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate().context("making the server's key")?;
    let mut server =
        CertificateParams::new(NAMES.map(String::from)).context("naming the server")?;
    server.distinguished_name = named("burin test server");
    let certificate = server
        .signed_by(&key, &issuer)
        .context("making the server's certificate")?;

    let files = ServerFiles::of(folder);
    let authority = folder.join(AUTHORITY);
    fs::create_dir_all(&authority).with_context(|| format!("creating {}", authority.display()))?;
    for (path, text) in [
        (&files.ca, ca_certificate.pem()),
        (&files.certificate, certificate.pem()),
        (&files.key, key.serialize_pem()),
    ] {
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(files)
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
