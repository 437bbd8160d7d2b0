//! Projects, for admins: what each of them holds, a new one, and the end of an empty one.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::page::{self, Asked, Fields, Frame};
use crate::admin::auth::Actor;
use crate::admin::problem::Problem;
use crate::db;
use crate::db::projects::{Content, ProjectRow};
use crate::people::scope::DEFAULT;
use crate::projects;
use crate::state::Hub;

#[derive(Debug, Template)]
#[template(path = "projects.html")]
struct ProjectsPage {
    frame: Frame,
    lines: Vec<Line>,
    /// What stands in the form.
    name: String,
    error: String,
}

/// One project in the list.
#[derive(Debug)]
struct Line {
    row: ProjectRow,
    holds: Content,
}

impl Line {
    fn stays(&self) -> bool {
        self.row.name == DEFAULT
    }

    fn is_empty(&self) -> bool {
        let Content {
            hosts,
            profiles,
            tokens,
            preauths,
            claims,
        } = self.holds;
        hosts + profiles + tokens + preauths + claims == 0
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Done {
    #[serde(default)]
    done: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Which {
    name: String,
}

async fn page_of(hub: &Hub, actor: &Actor) -> Result<ProjectsPage, Problem> {
    let mut lines = Vec::new();
    for row in db::projects::list(&hub.db).await? {
        let holds = projects::holds(hub, &row.name).await?;
        lines.push(Line { row, holds });
    }
    Ok(ProjectsPage {
        frame: Frame::new(hub, actor, "/people"),
        lines,
        name: String::new(),
        error: String::new(),
    })
}

pub(super) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Asked(Done { done }): Asked<Done>,
) -> Result<Response, Problem> {
    let mut page = page_of(&hub, &actor).await?;
    page.frame = page.frame.done(match done.as_str() {
        "made" => "The project is there. Give people a role in it next.",
        "removed" => "The project is gone, and the roles in it with it.",
        _ => "",
    });
    page::draw(&page)
}

pub(super) async fn create(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(Which { name }): Fields<Which>,
) -> Result<Response, Problem> {
    let done = projects::create(&hub, &actor, name.trim()).await;
    outcome(&hub, &actor, done.map(|_| "made"), name).await
}

pub(super) async fn remove(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(Which { name }): Fields<Which>,
) -> Result<Response, Problem> {
    let done = projects::remove(&hub, &actor, &name).await;
    outcome(&hub, &actor, done.map(|()| "removed"), String::new()).await
}

/// Back to the list, or the list with the reason why not.
async fn outcome(
    hub: &Hub,
    actor: &Actor,
    done: Result<&str, Problem>,
    name: String,
) -> Result<Response, Problem> {
    match done {
        Ok(done) => Ok(page::go(&format!("/projects?done={done}"))),
        Err(problem) if problem.status >= 500 => Err(problem),
        Err(problem) => {
            let page = ProjectsPage {
                name,
                error: page::sentence(&problem.detail),
                ..page_of(hub, actor).await?
            };
            let status = StatusCode::from_u16(problem.status);
            page::draw_as(status.unwrap_or(StatusCode::UNPROCESSABLE_ENTITY), &page)
        }
    }
}
