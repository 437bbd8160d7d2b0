//! The registries that hub and hosts may talk to.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::page::{self, Asked, Fields, Frame};
use crate::admin::auth::Actor;
use crate::admin::problem::Problem;
use crate::admin::types::{CredentialRequest, RegistryEntry};
use crate::admin::{credentials, registries};
use crate::secret::Secret;
use crate::state::Hub;

#[derive(Debug, Template)]
#[template(path = "registries.html")]
struct RegistriesPage {
    frame: Frame,
    entries: Vec<RegistryEntry>,
    asked: NewRegistry,
    error: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NewRegistry {
    host: String,
    endpoint: String,
    realm: String,
    ca: String,
    plain: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Login {
    host: String,
    username: String,
    password: Secret,
}

#[derive(Debug, Deserialize)]
pub(super) struct Which {
    host: String,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Done {
    #[serde(default)]
    done: String,
}

async fn page_of(hub: &Hub, actor: &Actor, asked: NewRegistry) -> Result<RegistriesPage, Problem> {
    Ok(RegistriesPage {
        frame: Frame::new(hub, actor, "/registries"),
        entries: registries::entries(hub).await?,
        asked,
        error: String::new(),
    })
}

pub(super) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Asked(Done { done }): Asked<Done>,
) -> Result<Response, Problem> {
    let mut page = page_of(&hub, &actor, NewRegistry::default()).await?;
    page.frame = page.frame.done(match done.as_str() {
        "listed" => "The registry is listed.",
        "kept" => "The credentials are kept. Hosts that need them get them sealed.",
        "forgotten" => "The credentials are forgotten.",
        "removed" => "The registry is no longer listed. Published versions keep it.",
        _ => "",
    });
    page::draw(&page)
}

/// Every certificate of a text in PEM by itself.
fn certificates(text: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = text.replace("\r\n", "\n");
    let parts = text.split_inclusive(END).map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(|part| format!("{part}\n"))
        .collect()
}

pub(super) async fn put(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(asked): Fields<NewRegistry>,
) -> Result<Response, Problem> {
    let given = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
    let entry = RegistryEntry {
        host: asked.host.trim().to_owned(),
        endpoint: given(&asked.endpoint),
        plain_http: !asked.plain.is_empty(),
        ca: certificates(&asked.ca),
        token_realm: given(&asked.realm),
        username: None,
    };
    match registries::list_one(&hub, &actor, &entry).await {
        Ok(()) => Ok(page::go("/registries?done=listed")),
        Err(problem) if problem.status >= 500 => Err(problem),
        Err(problem) => {
            let page = RegistriesPage {
                error: page::sentence(&problem.detail),
                ..page_of(&hub, &actor, asked).await?
            };
            let status = StatusCode::from_u16(problem.status);
            page::draw_as(status.unwrap_or(StatusCode::UNPROCESSABLE_ENTITY), &page)
        }
    }
}

pub(super) async fn remove(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(Which { host }): Fields<Which>,
) -> Result<Response, Problem> {
    registries::take_off(&hub, &actor, &host).await?;
    Ok(page::go("/registries?done=removed"))
}

/// Gives the hub a password, which no page ever shows.
pub(super) async fn log_in(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(form): Fields<Login>,
) -> Result<Response, Problem> {
    let asked = CredentialRequest {
        username: form.username,
        password: form.password,
    };
    credentials::keep(&hub, &actor, &form.host, &asked).await?;
    Ok(page::go("/registries?done=kept"))
}

pub(super) async fn forget(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(Which { host }): Fields<Which>,
) -> Result<Response, Problem> {
    credentials::forget(&hub, &actor, &host).await?;
    Ok(page::go("/registries?done=forgotten"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_certificate_stands_alone() {
        let one = "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n";
        assert_eq!(certificates(&format!("{one}\r\n{one}\n")), [one, one]);
        assert_eq!(certificates(" \n"), [""; 0]);
        assert_eq!(certificates("nonsense"), ["nonsense\n"]);
    }
}
