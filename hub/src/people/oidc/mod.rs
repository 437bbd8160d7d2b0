//! Logging in over an identity provider: OpenID Connect, authorization code with PKCE.
//!
//! State, nonce and the proof of PKCE are made of one random secret that only the browser holds, as
//! a cookie. The hub keeps a hash of it, so that a login comes back once and in time.

mod claims;
mod http;
mod settings;

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata,
    CoreResponseType, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest,
    IdTokenFields, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    StandardErrorResponse, StandardTokenResponse, TokenResponse as _,
};

use super::Role;
use crate::admin::auth::same;
use crate::admin::problem::Problem;
use crate::codes::ProblemCode;
use crate::secret::{Secret, random_text, sha256};
use claims::Claims;

/// How long a person may take at the provider, milliseconds.
pub(crate) const WITHIN: i64 = 10 * 60_000;
/// How long what the provider tells of itself is believed; its keys change seldom.
const KNOWN: Duration = Duration::from_secs(300);

/// Signatures with a key pair only: with `none` or with the client's secret somebody else than the
/// provider could sign.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

type Fields = IdTokenFields<
    Claims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type TokenClient = Client<
    Claims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The identity provider of this hub.
#[derive(Debug)]
pub(crate) struct Provider {
    /// Its host, as pages call it.
    pub(crate) name: String,
    issuer: IssuerUrl,
    client_id: ClientId,
    client_secret: Option<ClientSecret>,
    redirect: RedirectUrl,
    /// The claim whose values give roles.
    claim: String,
    scopes: Vec<String>,
    roles: Vec<(Role, String)>,
    http: reqwest::Client,
    known: tokio::sync::Mutex<Option<(Instant, CoreProviderMetadata)>>,
}

/// A login that is on its way.
#[derive(Debug)]
pub(crate) struct Started {
    /// For the cookie.
    pub(crate) secret: Secret,
    /// The provider's page.
    pub(crate) url: String,
}

/// What the provider sent a person back with.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Return {
    state: String,
    code: String,
    error: String,
    /// Who sends it (RFC 9207); not every provider says it.
    iss: Option<String>,
}

/// Somebody whom the provider vouches for.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    /// What the account may be called.
    pub(crate) name: String,
    pub(crate) role: Role,
}

/// How the database names a login that is on its way.
pub(crate) fn id(secret: &str) -> String {
    sha256(format!("sign-in {secret}").as_bytes())
}

fn part(what: &str, secret: &str) -> String {
    sha256(format!("{what} {secret}").as_bytes())
}

fn refuse(detail: String) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, ProblemCode::Oidc, detail)
}

impl Provider {
    /// Where to send a person.
    pub(crate) async fn start(&self) -> Result<Started, Problem> {
        let secret = random_text()?;
        let client = self.client().await?;
        let verifier = PkceCodeVerifier::new(part("proof", &secret));
        let state = CsrfToken::new(part("state", &secret));
        let nonce = Nonce::new(part("nonce", &secret));
        let mut request = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                move || state,
                move || nonce,
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        for scope in &self.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, _, _) = request.url();
        Ok(Started {
            url: url.to_string(),
            secret: Secret::new(secret),
        })
    }

    /// Whether a return belongs to the login that this browser started.
    pub(crate) fn is_answer(&self, secret: &str, back: &Return) -> Result<(), Problem> {
        let name = &self.name;
        if !same(&back.state, &part("state", secret)) {
            return Err(refuse(format!(
                "what {name} sent does not belong to a login that this browser began; begin again"
            )));
        }
        if back
            .iss
            .as_ref()
            .is_some_and(|iss| iss != self.issuer.as_str())
        {
            return Err(refuse(format!("another provider than {name} answered")));
        }
        Ok(())
    }

    /// Who a person is, from what the provider sent with it.
    pub(crate) async fn finish(&self, secret: &str, back: Return) -> Result<Identity, Problem> {
        let name = &self.name;
        if !back.error.is_empty() || back.code.is_empty() {
            let plain = |c: &char| c.is_ascii_lowercase() || *c == '_';
            let error: String = back.error.chars().filter(plain).take(64).collect();
            return Err(refuse(format!("{name} did not let you in ({error})")));
        }
        let client = self.client().await?;
        let http = self.http.clone();
        let send = move |request: HttpRequest| http::send(http.clone(), request);
        let answer = client
            .exchange_code(AuthorizationCode::new(back.code))
            .map_err(|err| self.failed(&err, "it names no token endpoint"))?
            .set_pkce_verifier(PkceCodeVerifier::new(part("proof", secret)))
            .request_async(&send)
            .await
            .map_err(|err| self.failed(&err, "it did not take the code"))?;
        let token = answer
            .id_token()
            .ok_or_else(|| refuse(format!("{name} sent no ID token")))?;
        let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
        let claims = token
            .claims(&verifier, &Nonce::new(part("nonce", secret)))
            .map_err(|err| self.failed(&err, "its ID token was refused"))?;
        let values = claims.additional_claims().values(&self.claim);
        let role = self.role(&values).ok_or_else(|| {
            let claim = &self.claim;
            refuse(format!(
                "{name} knows you, but no value of `{claim}` gives you a role on this hub; ask an \
                 admin of the hub or of {name}"
            ))
        })?;
        let called = claims.preferred_username().map(|name| name.as_str());
        let called = called.or_else(|| Some(claims.name()?.get(None)?.as_str()));
        Ok(Identity {
            issuer: self.issuer.to_string(),
            subject: claims.subject().to_string(),
            name: claims::account_name(called.unwrap_or_default(), name),
            role,
        })
    }

    /// Puts the cause into the log, and says to the person what it was about.
    fn failed(&self, err: &(impl std::error::Error + 'static), about: &str) -> Problem {
        let chain = std::iter::successors(Some(err as &dyn std::error::Error), |err| err.source());
        let cause: Vec<String> = chain.map(ToString::to_string).collect();
        tracing::warn!(provider = %self.name, cause = cause.join(": "), "login refused: {about}");
        let name = &self.name;
        refuse(format!(
            "the login over {name} failed: {about}; begin again"
        ))
    }

    async fn client(&self) -> Result<TokenClient, Problem> {
        let metadata = self.metadata().await?;
        let (id, secret) = (self.client_id.clone(), self.client_secret.clone());
        let client = Client::from_provider_metadata(metadata, id, secret);
        Ok(client.set_redirect_uri(self.redirect.clone()))
    }

    /// What the provider tells of itself, its keys included.
    async fn metadata(&self) -> Result<CoreProviderMetadata, Problem> {
        let mut known = self.known.lock().await;
        if let Some((at, metadata)) = &*known
            && at.elapsed() < KNOWN
        {
            return Ok(metadata.clone());
        }
        let http = self.http.clone();
        let send = move |request: HttpRequest| http::send(http.clone(), request);
        let metadata = CoreProviderMetadata::discover_async(self.issuer.clone(), &send)
            .await
            .map_err(|err| {
                let problem = self.failed(&err, "what it tells of itself was not to be had");
                Problem::new(StatusCode::BAD_GATEWAY, ProblemCode::Oidc, problem.detail)
            })?;
        *known = Some((Instant::now(), metadata.clone()));
        Ok(metadata)
    }
}
