//! Claiming a host, on a telephone before its screen.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::page::{self, Fields, Frame, Named};
use super::{status, tokens};
use crate::admin::auth::Actor;
use crate::admin::preauths;
use crate::admin::problem::Problem;
use crate::people::Permission;
use crate::registration::claims::{self, ClaimInfo};
use crate::registration::preauth::{self, Announced};
use crate::state::Hub;

/// Announced hosts on the page, the newest.
const SHOWN: usize = 10;

/// A host that was announced.
#[derive(Debug)]
struct Entry {
    id: String,
    state: String,
    class: &'static str,
    value: String,
    by: String,
}

#[derive(Debug, Template)]
#[template(path = "claim.html")]
struct ClaimPage {
    frame: Frame,
    error: String,
    code: String,
    /// Where a claimed host may go, when there is a choice.
    projects: Vec<String>,
    profiles: Vec<String>,
    announced: Vec<Entry>,
}

#[derive(Debug, Template)]
#[template(path = "claimed.html")]
struct ClaimedPage {
    frame: Frame,
    claim: ClaimInfo,
    machine: String,
    reason: String,
    error: String,
    problems: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CodeForm {
    code: String,
    #[serde(default)]
    project: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct NumberForm {
    number: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct AnnounceForm {
    value: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    profile: String,
    #[serde(default)]
    project: String,
}

fn status(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.status).unwrap_or(StatusCode::CONFLICT)
}

async fn begin_page(
    hub: &Hub,
    actor: &Actor,
    code: String,
    done: &'static str,
    problem: Option<Problem>,
) -> Result<Response, Problem> {
    let mut page = ClaimPage {
        frame: Frame::new(hub, actor, "/c").choosing(actor).done(done),
        error: String::new(),
        code,
        projects: actor.roles.choices(Permission::Claim, &actor.scope),
        profiles: Vec::new(),
        announced: Vec::new(),
    };
    if page.projects.len() < 2 {
        page.projects.clear();
    }
    // A technician sees nothing but the host before it.
    if actor.roles.may(Permission::Operate) {
        let sees = actor.roles.sees();
        page.profiles = tokens::profile_names(hub, actor).await?;
        let entries = preauths::entries(hub, &sees)
            .await?
            .into_iter()
            .rev()
            .take(SHOWN);
        page.announced = entries.map(entry).collect();
    }
    let mut code = StatusCode::OK;
    if let Some(problem) = problem {
        code = status(&problem);
        page.error = page::sentence(&problem.detail);
    }
    page::draw_as(code, &page)
}

fn entry(info: preauths::PreauthInfo) -> Entry {
    Entry {
        class: if info.state == "used" { "good" } else { "" },
        value: info.value,
        by: format!("{}, by {}", info.kind.replace('_', " "), info.created_by),
        id: info.id,
        state: info.state,
    }
}

pub(super) async fn form(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Problem> {
    begin_page(&hub, &actor, String::new(), "", None).await
}

/// A pasted link is as good as a code.
pub(super) async fn by_code(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(form): Fields<CodeForm>,
) -> Result<Response, Problem> {
    let text = form.code.trim();
    let project = Some(form.project.as_str());
    let found = if text.contains('/') {
        claims::by_link(&hub, &actor, text, project).await
    } else {
        claims::by_code(&hub, &actor, text, project).await
    };
    match found {
        Ok(claim) => Ok(page::go(&format!("/c/{}", claim.key))),
        Err(problem) => begin_page(&hub, &actor, form.code, "", Some(problem)).await,
    }
}

/// What the QR code leads to. It shows the host and begins nothing yet but a claim of this person,
/// which admits nobody without the number.
pub(super) async fn by_link(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Named(link): Named<String>,
) -> Result<Response, Problem> {
    match claims::by_link(&hub, &actor, &link, None).await {
        Ok(claim) => Ok(page::go(&format!("/c/{}", claim.key))),
        // Somebody may have to say into which project: the link is kept for that.
        Err(problem) if problem.status == 422 => {
            begin_page(&hub, &actor, format!("/R/{link}"), "", Some(problem)).await
        }
        Err(problem) => begin_page(&hub, &actor, String::new(), "", Some(problem)).await,
    }
}

fn claimed(
    hub: &Hub,
    actor: &Actor,
    claim: ClaimInfo,
    problem: Option<Problem>,
) -> Result<Response, Problem> {
    let code = problem.as_ref().map_or(StatusCode::OK, status);
    let problem = problem.map(|problem| (page::sentence(&problem.detail), problem.errors));
    let (error, problems) = problem.unwrap_or_default();
    let page = ClaimedPage {
        frame: Frame::new(hub, actor, "/c"),
        machine: format!("{} {}", claim.vendor, claim.product)
            .trim()
            .to_owned(),
        reason: status::reason(&claim.reason),
        claim,
        error,
        problems,
    };
    page::draw_as(code, &page)
}

pub(super) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Named(key): Named<String>,
) -> Result<Response, Problem> {
    let claim = claims::show(&hub, &actor, &key).await?;
    claimed(&hub, &actor, claim, None)
}

pub(super) async fn confirm(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Named(key): Named<String>,
    Fields(form): Fields<NumberForm>,
) -> Result<Response, Problem> {
    let told = match form.number.trim().parse() {
        Ok(number) => claims::confirm(&hub, &actor, &key, number).await,
        Err(_) => Err(Problem::bad_input("the number has two digits")),
    };
    match told {
        Ok(claim) => Ok(page::go(&format!("/c/{}", claim.key))),
        Err(problem) => {
            let claim = claims::show(&hub, &actor, &key).await?;
            claimed(&hub, &actor, claim, Some(problem))
        }
    }
}

pub(super) async fn announce(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(form): Fields<AnnounceForm>,
) -> Result<Response, Problem> {
    let some = |text: String| (!text.trim().is_empty()).then_some(text);
    let asked = Announced {
        value: form.value,
        key: some(form.key),
        profile: some(form.profile),
        project: some(form.project),
        ..Announced::default()
    };
    let done = "The host was announced.";
    match preauth::create(&hub, &actor, asked).await {
        Ok(_) => begin_page(&hub, &actor, String::new(), done, None).await,
        Err(problem) => begin_page(&hub, &actor, String::new(), "", Some(problem)).await,
    }
}

pub(super) async fn withdraw(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    preauth::remove(&hub, &actor, &id).await?;
    Ok(page::go("/c"))
}
