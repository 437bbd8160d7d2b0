//! What an operator says about the identity provider, checked once at the start.

use anyhow::{Context as _, ensure};
use openidconnect::{ClientId, ClientSecret, IssuerUrl, RedirectUrl};

use super::{Provider, http};
use crate::cli::OidcOptions;
use crate::people::Role;

/// Where the provider sends people back to, below the hub's public URL.
pub(crate) const RETURN: &str = "/login/oidc/done";

impl Provider {
    /// The provider of these options; none when they name none.
    pub(crate) fn of(options: &OidcOptions, public_url: &str) -> anyhow::Result<Option<Self>> {
        let Some(issuer) = &options.oidc_issuer else {
            return Ok(None);
        };
        let url = reqwest::Url::parse(issuer)
            .with_context(|| format!("reading --oidc-issuer `{issuer}`"))?;
        ensure!(
            url.scheme() == "https"
                || url.scheme() == "http" && crate::cli::is_this_machine(issuer),
            "--oidc-issuer `{issuer}` must begin with https://; plain HTTP is for this machine only"
        );
        ensure!(
            !options.oidc_role.is_empty(),
            "say who may log in: --oidc-role ROLE=GROUP, once or more"
        );
        let id = options.oidc_client_id.clone();
        let id = id.context("--oidc-issuer needs --oidc-client-id")?;
        let secret = match &options.oidc_client_secret_file {
            Some(file) => Some(read(file)?),
            None => None,
        };
        let ca = match &options.oidc_ca {
            Some(file) => {
                Some(std::fs::read(file).with_context(|| format!("reading {}", file.display()))?)
            }
            None => None,
        };
        Ok(Some(Self {
            name: url.host_str().unwrap_or("provider").to_owned(),
            issuer: IssuerUrl::new(issuer.clone())?,
            client_id: ClientId::new(id),
            client_secret: secret,
            redirect: RedirectUrl::new(format!("{public_url}{RETURN}"))
                .with_context(|| format!("reading the public URL `{public_url}`"))?,
            claim: options.oidc_role_claim.clone(),
            scopes: options.oidc_scope.clone(),
            roles: options
                .oidc_role
                .iter()
                .map(|wanted| (wanted.role, wanted.value.clone()))
                .collect(),
            http: http::client(ca.as_deref())?,
            known: tokio::sync::Mutex::new(None),
        }))
    }

    /// The highest role that the claim's values give; none when they give none.
    pub(super) fn role(&self, values: &[String]) -> Option<Role> {
        Role::ALL.into_iter().find(|role| {
            let given = |(named, value): &(Role, String)| named == role && values.contains(value);
            self.roles.iter().any(given)
        })
    }
}

fn read(file: &std::path::Path) -> anyhow::Result<ClientSecret> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("reading the client's secret in {}", file.display()))?;
    let text = text.trim();
    ensure!(
        !text.is_empty(),
        "{} holds no secret of a client",
        file.display()
    );
    Ok(ClientSecret::new(text.to_owned()))
}
