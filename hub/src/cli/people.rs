//! Options of `serve` about how people log in.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use crate::people::Role;

/// How people log in.
#[derive(Debug, Clone, Default, Args)]
pub struct PeopleOptions {
    /// Whether admins have to use one-time codes. Without it they have to, unless the public URL
    /// leads to this machine alone.
    #[arg(long, value_enum, value_name = "WHEN")]
    pub admin_codes: Option<AdminCodes>,
    /// The identity provider.
    #[command(flatten)]
    pub oidc: OidcOptions,
}

/// An identity provider that speaks OpenID Connect.
#[derive(Debug, Clone, Default, Args)]
pub struct OidcOptions {
    /// Let people log in over this OpenID Connect provider.
    #[arg(long, value_name = "URL", requires = "oidc_client_id")]
    pub oidc_issuer: Option<String>,
    /// The hub's name at the provider.
    #[arg(long, value_name = "ID", requires = "oidc_issuer")]
    pub oidc_client_id: Option<String>,
    /// File with the hub's secret at the provider; none for a public client.
    #[arg(long, value_name = "FILE", requires = "oidc_issuer")]
    pub oidc_client_secret_file: Option<PathBuf>,
    /// File with the authorities that vouch for the provider, in PEM, instead of the system's.
    #[arg(long, value_name = "FILE", requires = "oidc_issuer")]
    pub oidc_ca: Option<PathBuf>,
    /// Claim of the ID token that gives the role; dots lead into objects.
    #[arg(long, value_name = "CLAIM", default_value = "groups")]
    pub oidc_role_claim: String,
    /// A role and the claim's value that gives it. May stand more than once; the highest role counts.
    #[arg(long, value_name = "ROLE=VALUE", requires = "oidc_issuer")]
    pub oidc_role: Vec<GivenRole>,
    /// What to ask the provider for, besides `openid`.
    #[arg(long, value_name = "SCOPE", default_value = "profile")]
    pub oidc_scope: Vec<String>,
    /// Only the account `admin` logs in with a password, for the time when the provider is away.
    #[arg(long, requires = "oidc_issuer")]
    pub no_local_accounts: bool,
}

/// A role, and the value of a claim that gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenRole {
    /// What the person becomes.
    pub role: Role,
    /// The value, a group's name most of the time.
    pub value: String,
}

impl FromStr for GivenRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (role, value) = text.split_once('=').unwrap_or((text, ""));
        let role = Role::parse(role)
            .ok_or("write ROLE=VALUE; the roles are admin, operator, technician, viewer")?;
        if value.is_empty() {
            return Err("the value after `=` is missing".to_owned());
        }
        let value = value.to_owned();
        Ok(Self { role, value })
    }
}

/// Whether admins have to use one-time codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AdminCodes {
    /// An admin without them sees nothing but the page that sets them up.
    Required,
    /// Each admin decides.
    Optional,
}

impl PeopleOptions {
    /// Whether admins of a hub with this public URL have to use one-time codes.
    pub(crate) fn admins_need_codes(&self, public_url: &str) -> bool {
        match self.admin_codes {
            Some(when) => when == AdminCodes::Required,
            None => !is_this_machine(public_url),
        }
    }
}

/// Whether a URL can be reached from the machine itself only.
pub(crate) fn is_this_machine(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admins_of_a_hub_that_others_reach_need_codes() {
        for (url, want) in [
            ("https://127.0.0.1:8443", false),
            ("https://127.8.0.1:8443", false),
            ("https://[::1]:8443", false),
            ("https://localhost:8443", false),
            ("https://localhost.example:8443", true),
            ("https://0.0.0.0:8443", true),
            ("https://10.0.2.2:8443", true),
            ("https://hub.example", true),
            ("nonsense", true),
        ] {
            let mut options = PeopleOptions::default();
            assert_eq!(options.admins_need_codes(url), want, "{url}");
            options.admin_codes = Some(AdminCodes::Required);
            assert!(options.admins_need_codes(url), "{url}");
            options.admin_codes = Some(AdminCodes::Optional);
            assert!(!options.admins_need_codes(url), "{url}");
        }
    }

    #[test]
    fn a_role_is_given_by_a_value() {
        let given = "operator=cn=ops,dc=example".parse::<GivenRole>().unwrap();
        assert_eq!(
            (given.role, &*given.value),
            (Role::Operator, "cn=ops,dc=example")
        );
        for text in ["", "king=x", "admin", "admin="] {
            assert!(text.parse::<GivenRole>().is_err(), "{text}");
        }
    }
}
