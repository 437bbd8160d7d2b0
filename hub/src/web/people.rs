//! Accounts and API keys, for admins.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Response;
use serde::Deserialize;

use super::page::{self, Asked, Fields, Frame};
use crate::admin::auth::Actor;
use crate::admin::problem::Problem;
use crate::admin::types::{ApiKeyInfo, ApiKeyRequest, PersonInfo};
use crate::admin::{keys, people};
use crate::people::Role;
use crate::people::manage::{self, Change};
use crate::projects;
use crate::state::Hub;

#[derive(Debug, Template)]
#[template(path = "people.html")]
struct PeoplePage {
    frame: Frame,
    people: Vec<PersonInfo>,
    keys: Vec<ApiKeyInfo>,
    roles: Vec<Role>,
    /// What it is, and a text that is shown this once.
    secret: Option<(String, String)>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Done {
    #[serde(default)]
    done: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct AddForm {
    name: String,
    role: Role,
    /// Where the role counts; everywhere when empty.
    #[serde(default)]
    project: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ChangeForm {
    name: String,
    change: String,
    /// For a role: where it counts.
    #[serde(default)]
    project: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct RevokeForm {
    id: String,
}

async fn draw(
    hub: &Hub,
    actor: &Actor,
    done: &'static str,
    secret: Option<(String, String)>,
) -> Result<Response, Problem> {
    let frame = Frame::new(hub, actor, "/people").choosing(actor).done(done);
    page::draw(&PeoplePage {
        people: people::infos(hub).await?,
        keys: keys::infos(hub).await?,
        roles: roles(&frame),
        secret,
        frame,
    })
}

/// Roles to choose from; one that is nothing by itself only where there are projects.
fn roles(frame: &Frame) -> Vec<Role> {
    let all = Role::ALL.into_iter();
    all.filter(|role| *role != Role::None || !frame.projects.is_empty())
        .collect()
}

pub(super) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Asked(Done { done }): Asked<Done>,
) -> Result<Response, Problem> {
    let sentence = match done.as_str() {
        "changed" => "The account was changed.",
        "revoked" => "The key was revoked.",
        _ => "",
    };
    draw(&hub, &actor, sentence, None).await
}

pub(super) async fn add(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(form): Fields<AddForm>,
) -> Result<Response, Problem> {
    let first = manage::add(
        &hub,
        &actor,
        form.name.trim(),
        form.role,
        Some(&form.project),
    )
    .await?;
    let what = format!("First password of {}", form.name.trim());
    let secret = Some((what, first.reveal().to_owned()));
    draw(&hub, &actor, "", secret).await
}

pub(super) async fn change(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(form): Fields<ChangeForm>,
) -> Result<Response, Problem> {
    let change = Change::parse(&form.change)
        .ok_or_else(|| Problem::bad_input(format!("there is no change `{}`", form.change)))?;
    if let (Change::Role(role), project) = (change, &*form.project)
        && !project.is_empty()
    {
        projects::give_role(&hub, &actor, &form.name, project, role).await?;
        return Ok(page::go("/people?done=changed"));
    }
    match manage::change(&hub, &actor, &form.name, change).await? {
        Some(first) => {
            let what = format!("New first password of {}", form.name);
            draw(&hub, &actor, "", Some((what, first.reveal().to_owned()))).await
        }
        None => Ok(page::go("/people?done=changed")),
    }
}

pub(super) async fn add_key(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(form): Fields<AddForm>,
) -> Result<Response, Problem> {
    let asked = ApiKeyRequest {
        name: form.name,
        role: form.role,
        project: Some(form.project),
    };
    let made = keys::make(&hub, &actor, &asked).await?;
    let what = format!("API key `{}`", asked.name);
    draw(&hub, &actor, "", Some((what, made.key.reveal().to_owned()))).await
}

pub(super) async fn revoke_key(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(form): Fields<RevokeForm>,
) -> Result<Response, Problem> {
    keys::end(&hub, &actor, &form.id).await?;
    Ok(page::go("/people?done=revoked"))
}
