//! An identity provider that lies as the test asks. Its tokens are made apart from the hub's code:
//! JSON, base 64 and ring.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use ring::{digest, hmac};
use serde_json::{Value, json};

/// The hub's secret at this provider.
pub(crate) const SECRET: &str = "canary-of-the-client";

/// What the provider says falsely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    Issuer,
    Audience,
    TwoAudiences,
    Nonce,
    NoNonce,
    Expired,
    AlgorithmNone,
    SignatureCut,
    ClientSecretSigns,
    OtherKey,
    OtherPayload,
    NoIdToken,
    NoGroups,
    NotAToken,
    Endless,
}

/// Whom the next token speaks of.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) subject: String,
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
}

struct Inner {
    issuer: String,
    key: EcdsaKeyPair,
    other: EcdsaKeyPair,
    lie: Mutex<Lie>,
    /// Who sits before the browser.
    visitor: Mutex<Option<Person>>,
    /// Code -> nonce, challenge, person. A code is good once.
    codes: Mutex<HashMap<String, (String, String, Person)>>,
}

pub(crate) struct Provider {
    pub(crate) issuer: String,
    inner: Arc<Inner>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn key() -> EcdsaKeyPair {
    let (kind, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            issuer: issuer.clone(),
            key: key(),
            other: key(),
            lie: Mutex::new(Lie::None),
            visitor: Mutex::default(),
            codes: Mutex::default(),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(about))
            .route("/keys", get(keys))
            .route("/login", get(login))
            .route("/token", post(token))
            .with_state(inner.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            issuer,
            inner,
            task,
        }
    }

    pub(crate) fn lie(&self, lie: Lie) {
        *self.inner.lie.lock().unwrap() = lie;
    }

    /// Somebody who is logged in at the provider's page already.
    pub(crate) fn visit(&self, person: Person) {
        *self.inner.visitor.lock().unwrap() = Some(person);
    }

    /// A person has logged in at the provider's page: the code that leads back.
    pub(crate) fn code(&self, nonce: &str, challenge: &str, person: &Person) -> String {
        self.inner.code(nonce, challenge, person)
    }
}

/// The page of the provider leads back at once.
async fn login(
    State(inner): State<Arc<Inner>>,
    Query(asked): Query<HashMap<String, String>>,
) -> Redirect {
    let person = inner.visitor.lock().unwrap().clone().unwrap();
    let code = inner.code(&asked["nonce"], &asked["code_challenge"], &person);
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("state", &asked["state"])
        .append_pair("code", &code)
        .append_pair("iss", &inner.issuer)
        .finish();
    Redirect::to(&format!("{}?{query}", asked["redirect_uri"]))
}

impl Inner {
    fn code(&self, nonce: &str, challenge: &str, person: &Person) -> String {
        let mut codes = self.codes.lock().unwrap();
        let code = format!("code-{}-{}", codes.len(), encode(nonce));
        let kept = (nonce.to_owned(), challenge.to_owned(), person.clone());
        codes.insert(code.clone(), kept);
        code
    }
}

async fn about(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let issuer = &inner.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/login"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
    }))
}

async fn keys(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let point = inner.key.public_key().as_ref();
    Json(json!({ "keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "one",
        "x": encode(&point[1..33]), "y": encode(&point[33..65]),
    }] }))
}

async fn token(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let refused = |code: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": code })));
    let basic = format!("Basic {}", STANDARD.encode(format!("hub:{SECRET}")));
    if headers["authorization"] != basic {
        return refused("invalid_client").into_response();
    }
    let kept = inner.codes.lock().unwrap().remove(&form["code"]);
    let Some((nonce, challenge, person)) = kept else {
        return refused("invalid_grant").into_response();
    };
    let proof = digest::digest(&digest::SHA256, form["code_verifier"].as_bytes());
    if encode(proof) != challenge {
        return refused("invalid_grant").into_response();
    }
    let lie = *inner.lie.lock().unwrap();
    let mut answer = json!({ "access_token": "x", "token_type": "Bearer" });
    match lie {
        Lie::NoIdToken => {}
        Lie::NotAToken => answer["id_token"] = json!("a.b.c"),
        Lie::Endless => answer["id_token"] = json!("a".repeat(4 << 20)),
        lie => answer["id_token"] = json!(inner.id_token(lie, &nonce, &person)),
    }
    Json(answer).into_response()
}

impl Inner {
    fn id_token(&self, lie: Lie, nonce: &str, person: &Person) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.unwrap().as_secs();
        let mut claims = json!({
            "iss": self.issuer, "aud": "hub", "sub": person.subject, "nonce": nonce,
            "iat": now, "exp": now + 300, "groups": person.groups,
            "preferred_username": person.name,
        });
        let mut header = json!({ "alg": "ES256", "kid": "one", "typ": "JWT" });
        match lie {
            Lie::Issuer => claims["iss"] = json!("http://127.0.0.1:1"),
            Lie::Audience => claims["aud"] = json!("another"),
            Lie::TwoAudiences => claims["aud"] = json!(["hub", "another"]),
            Lie::Nonce => claims["nonce"] = json!("0".repeat(64)),
            Lie::NoNonce => drop(claims.as_object_mut().unwrap().remove("nonce")),
            Lie::Expired => claims["exp"] = json!(now - 60),
            Lie::NoGroups => drop(claims.as_object_mut().unwrap().remove("groups")),
            Lie::AlgorithmNone => header = json!({ "alg": "none" }),
            Lie::ClientSecretSigns => header = json!({ "alg": "HS256" }),
            _ => {}
        }
        let text = format!(
            "{}.{}",
            encode(header.to_string()),
            encode(claims.to_string())
        );
        let sign = |key: &EcdsaKeyPair, text: &str| {
            encode(key.sign(&SystemRandom::new(), text.as_bytes()).unwrap())
        };
        let signature = match lie {
            Lie::AlgorithmNone | Lie::SignatureCut => String::new(),
            Lie::ClientSecretSigns => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
                encode(hmac::sign(&key, text.as_bytes()))
            }
            Lie::OtherKey => sign(&self.other, &text),
            Lie::OtherPayload => sign(&self.key, &format!("{text}x")),
            _ => sign(&self.key, &text),
        };
        format!("{text}.{signature}")
    }
}
