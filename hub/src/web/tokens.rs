//! Registration tokens, and user-data with one.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::change::read_labels;
use super::hosts::machine;
use super::page::{self, Asked, Fields, Frame, Named};
use super::status::{self, Status};
use crate::admin::auth::Actor;
use crate::admin::problem::Problem;
use crate::admin::types::{TokenInfo, TokenRequest};
use crate::admin::{hub, tokens, view};
use crate::client::user_data;
use crate::db;
use crate::secret::Secret;
use crate::state::Hub;

/// A token as a line of the table.
#[derive(Debug)]
struct Row {
    id: String,
    state: String,
    class: &'static str,
    used: i64,
    uses: i64,
    expires: String,
    profile: Option<String>,
    limits: Vec<String>,
    requires_approval: bool,
    project: String,
}

/// A token that is shown this once.
struct Made {
    id: String,
    text: String,
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    frame: Frame,
    tokens: Vec<Row>,
    profiles: Vec<String>,
    made: Option<Made>,
}

#[derive(Debug)]
struct HostRow {
    uid: String,
    host_id: String,
    status: Status,
    machine: String,
    accepted: String,
}

#[derive(Debug, Template)]
#[template(path = "token.html")]
struct TokenPage {
    frame: Frame,
    token: Row,
    hosts: Vec<HostRow>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NewToken {
    uses: u32,
    days: u64,
    #[serde(default)]
    profile: String,
    #[serde(default)]
    labels: String,
    #[serde(default)]
    networks: String,
    #[serde(default)]
    approval: String,
    #[serde(default)]
    project: String,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Done {
    #[serde(default)]
    done: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct UserDataForm {
    #[serde(default)]
    token: Option<Secret>,
}

fn row(info: TokenInfo) -> Row {
    let labels = info.labels.iter().map(|(k, v)| format!("{k}={v}"));
    Row {
        limits: info.networks.iter().cloned().chain(labels).collect(),
        class: if info.state == "active" { "good" } else { "" },
        expires: if info.state == "expired" {
            page::ago(info.expires_at)
        } else {
            page::until(info.expires_at)
        },
        id: info.id,
        state: info.state,
        used: info.used,
        uses: info.uses,
        profile: info.profile,
        requires_approval: info.requires_approval,
        project: info.project,
    }
}

async fn draw(hub: &Hub, actor: &Actor, made: Option<Made>) -> Result<Response, Problem> {
    let tokens = tokens::infos(hub, &actor.scope.sees)
        .await?
        .into_iter()
        .rev();
    page::draw(&TokensPage {
        frame: Frame::new(hub, actor, "/tokens").choosing(actor),
        tokens: tokens.map(row).collect(),
        profiles: profile_names(hub, actor).await?,
        made,
    })
}

/// Names of the profiles that somebody sees.
pub(super) async fn profile_names(hub: &Hub, actor: &Actor) -> Result<Vec<String>, Problem> {
    let rows = db::profiles::list(&hub.db, &actor.scope.sees).await?;
    let mut names: Vec<String> = rows.into_iter().map(|row| row.name).collect();
    names.dedup();
    Ok(names)
}

pub(super) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Problem> {
    draw(&hub, &actor, None).await
}

/// The token stands in the answer itself: nowhere else could it be shown once only.
pub(super) async fn create(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(form): Fields<NewToken>,
) -> Result<Response, Problem> {
    let networks = form.networks.split_whitespace();
    let asked = TokenRequest {
        uses: Some(form.uses),
        lifetime: Some(form.days.saturating_mul(24 * 3600)),
        profile: (!form.profile.is_empty()).then_some(form.profile),
        labels: read_labels(&form.labels)?,
        networks: networks.map(str::to_owned).collect(),
        requires_approval: !form.approval.is_empty(),
        project: Some(form.project),
    };
    let created = tokens::make(&hub, &actor, asked).await?;
    let made = Made {
        id: created.info.id,
        text: created.token.reveal().to_owned(),
    };
    draw(&hub, &actor, Some(made)).await
}

pub(super) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Named(id): Named<String>,
    Asked(Done { done }): Asked<Done>,
) -> Result<Response, Problem> {
    let found = tokens::infos(&hub, &actor.scope.sees).await?.into_iter();
    let token = found
        .into_iter()
        .find(|token| token.id == id)
        .ok_or_else(|| Problem::not_found(format!("no token has the id `{id}`")))?;
    let admitted = db::search::admitted(&hub.db, &actor.scope.sees, &id).await?;
    let hosts = view::several(&hub, admitted).await?;
    let host = |host: &crate::admin::types::HostInfo| HostRow {
        uid: host.uid.clone(),
        host_id: host.host_id.clone(),
        status: status::of(host),
        machine: machine(host),
        accepted: host.accepted_at.map_or_else(String::new, page::ago),
    };
    let sentence = match done.as_str() {
        "revoked" => "The token was revoked.",
        _ => "",
    };
    page::draw(&TokenPage {
        frame: Frame::about(&hub, &actor, ("/tokens", &token.project)).done(sentence),
        token: row(token),
        hosts: hosts.iter().map(host).collect(),
    })
}

pub(super) async fn revoke(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    tokens::end(&hub, &actor, &id).await?;
    Ok(page::go(&format!("/tokens/{id}?done=revoked")))
}

/// The file that a host's ISO is built with.
pub(super) async fn user_data(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(form): Fields<UserDataForm>,
) -> Result<Response, Problem> {
    let token = match form.token {
        Some(text) => Some(tokens::usable(&hub, &actor, text.reveal()).await?.reveal()),
        None => None,
    };
    let text = user_data::document(&hub::info(&hub), token.as_deref());
    let headers = [
        (header::CONTENT_TYPE, "application/yaml"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"user-data.yaml\"",
        ),
    ];
    Ok((headers, text).into_response())
}
