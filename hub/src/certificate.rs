//! TLS of a hub that nobody gave a certificate: an authority of its own, whose certificate is what
//! hosts and clients pin, and a server certificate that is made anew when the addresses change.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::files::{self, Readers};
use crate::secret::sha256;

/// Where the authority's certificate lies: for `--ca` of clients and `ca:` of user-data.
pub(crate) const CA: &str = "ca.pem";
const CA_KEY: &str = "ca.key";
const SERVER: &str = "server.pem";
const SERVER_KEY: &str = "server.key";
const NAMES: &str = "server.names";

/// What the TLS listener needs and what others pin.
#[derive(Debug)]
pub(crate) struct Tls {
    /// Server certificate followed by the authority's.
    pub(crate) chain_pem: String,
    pub(crate) key_pem: crate::secret::Secret,
    pub(crate) ca_pem: String,
    /// SHA-256 of the authority's certificate (DER), hex.
    pub(crate) fingerprint: String,
}

/// Reads or makes the certificates for `names` (host names and addresses).
pub(crate) fn load_or_create(folder: &Path, names: &BTreeSet<String>) -> anyhow::Result<Tls> {
    let ca_file = folder.join(CA);
    if files::read(&ca_file)?.is_none() {
        create_authority(folder)?;
    }
    let ca_pem = text(&ca_file)?;
    let listed = names.iter().cloned().collect::<Vec<_>>().join("\n");
    let same = files::read(&folder.join(NAMES))?.is_some_and(|old| old == listed.as_bytes());
    if !same {
        create_server(folder, names)?;
        files::replace(&folder.join(NAMES), listed.as_bytes(), Readers::Everybody)?;
    }
    let server = text(&folder.join(SERVER))?;
    Ok(Tls {
        chain_pem: format!("{server}{ca_pem}"),
        key_pem: crate::secret::Secret::new(text(&folder.join(SERVER_KEY))?),
        fingerprint: fingerprint(&ca_pem)?,
        ca_pem,
    })
}

/// The names that a server certificate must carry.
pub(crate) fn names(public_url: &str, listen: SocketAddr) -> anyhow::Result<BTreeSet<String>> {
    let url = reqwest::Url::parse(public_url).with_context(|| {
        format!("reading --public-url `{public_url}`: expected https://HOST:PORT")
    })?;
    anyhow::ensure!(
        url.scheme() == "https",
        "--public-url `{public_url}` must begin with https://"
    );
    let host = url
        .host_str()
        .with_context(|| format!("--public-url `{public_url}` names no host"))?;
    let mut names = BTreeSet::from(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    names.insert(host.trim_matches(['[', ']']).to_owned());
    match listen.ip() {
        ip if ip.is_unspecified() => {}
        IpAddr::V4(ip) => {
            names.insert(ip.to_string());
        }
        IpAddr::V6(ip) => {
            names.insert(ip.to_string());
        }
    }
    Ok(names)
}

/// SHA-256 of the first certificate in a PEM text.
pub(crate) fn fingerprint(pem: &str) -> anyhow::Result<String> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let der = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|err| anyhow::anyhow!("not a certificate in PEM: {err}"))?;
    Ok(sha256(&der))
}

fn text(file: &Path) -> anyhow::Result<String> {
    let bytes = files::read(file)?.with_context(|| format!("{} is missing", file.display()))?;
    String::from_utf8(bytes).with_context(|| format!("reading {}", file.display()))
}

/// Always the same, so that the authority can sign again from its key alone.
fn authority() -> anyhow::Result<CertificateParams> {
    let mut params = dated(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params
        .distinguished_name
        .push(DnType::CommonName, "burin hub authority");
    params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    Ok(params)
}

fn create_authority(folder: &Path) -> anyhow::Result<()> {
    let key = KeyPair::generate().context("making the authority's key")?;
    let cert = authority()?
        .self_signed(&key)
        .context("making the authority's certificate")?;
    files::replace(
        &folder.join(CA_KEY),
        key.serialize_pem().as_bytes(),
        Readers::Owner,
    )?;
    files::replace(&folder.join(CA), cert.pem().as_bytes(), Readers::Everybody)
}

fn create_server(folder: &Path, names: &BTreeSet<String>) -> anyhow::Result<()> {
    let ca_key = KeyPair::from_pem(&text(&folder.join(CA_KEY))?)
        .with_context(|| format!("reading {}", folder.join(CA_KEY).display()))?;
    let issuer = Issuer::new(authority()?, ca_key);
    let mut params = dated(names.iter().cloned().collect())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "burin hub");
    params.use_authority_key_identifier_extension = true;
    params.key_usages.push(KeyUsagePurpose::DigitalSignature);
    params
        .extended_key_usages
        .push(ExtendedKeyUsagePurpose::ServerAuth);
    let key = KeyPair::generate().context("making the server's key")?;
    let cert = params
        .signed_by(&key, &issuer)
        .context("making the server's certificate")?;
    files::replace(
        &folder.join(SERVER_KEY),
        key.serialize_pem().as_bytes(),
        Readers::Owner,
    )?;
    files::replace(
        &folder.join(SERVER),
        cert.pem().as_bytes(),
        Readers::Everybody,
    )
}

/// Fixed dates, far apart: a host whose clock is years behind must still be able to call.
fn dated(names: Vec<String>) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(names).context("reading the hub's names")?;
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    Ok(params)
}

/// A certificate that the operator brings. What others pin is its last certificate: the authority
/// nearest to the root that the file holds.
pub(crate) fn given(cert: &Path, key: &Path) -> anyhow::Result<Tls> {
    let chain_pem = text(cert)?;
    let last = chain_pem
        .rfind("-----BEGIN CERTIFICATE-----")
        .with_context(|| format!("{} holds no certificate in PEM", cert.display()))?;
    let ca_pem = chain_pem[last..].to_owned();
    Ok(Tls {
        fingerprint: fingerprint(&ca_pem)?,
        ca_pem,
        chain_pem,
        key_pem: crate::secret::Secret::new(text(key)?),
    })
}
