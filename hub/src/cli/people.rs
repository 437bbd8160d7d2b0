//! Options of `serve` about how people log in.

use clap::{Args, ValueEnum};

/// How people log in.
#[derive(Debug, Clone, Default, Args)]
pub struct PeopleOptions {
    /// Whether admins have to use one-time codes. Without it they have to, unless the public URL
    /// leads to this machine alone.
    #[arg(long, value_enum, value_name = "WHEN")]
    pub admin_codes: Option<AdminCodes>,
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
fn is_this_machine(url: &str) -> bool {
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
}
