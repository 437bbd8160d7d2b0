//! ISOs with this hub in them: the page that makes one, and the one that gives it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::change::read_labels;
use super::page::{self, Fields, Frame, Named};
use super::tokens::profile_names;
use crate::admin::auth::Actor;
use crate::admin::isos::send;
use crate::admin::problem::Problem;
use crate::admin::types::{IsoBase, IsoMade, IsoRequest, TokenRequest};
use crate::isos;
use crate::secret::Secret;
use crate::state::Hub;

#[derive(Debug, Template)]
#[template(path = "install.html")]
struct InstallPage {
    frame: Frame,
    bases: Vec<IsoBase>,
    profiles: Vec<String>,
    asked: NewIso,
    error: String,
    problems: Vec<String>,
}

#[derive(Debug, Template)]
#[template(path = "iso.html")]
struct IsoPage {
    frame: Frame,
    iso: IsoMade,
}

/// Which token the ISO gets.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WhichToken {
    #[default]
    None,
    New,
    Mine,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NewIso {
    arch: String,
    which: WhichToken,
    token: Option<Secret>,
    uses: String,
    days: String,
    profile: String,
    labels: String,
    approval: String,
    project: String,
    more: String,
}

impl NewIso {
    /// For the page: which of the choices is taken.
    fn is(&self, which: &str) -> bool {
        which
            == match self.which {
                WhichToken::None => "none",
                WhichToken::New => "new",
                WhichToken::Mine => "mine",
            }
    }

    fn request(&self) -> Result<IsoRequest, Problem> {
        let given = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        let mut request = IsoRequest {
            arch: given(&self.arch),
            user_data: given(&self.more).map(|_| self.more.clone()),
            ..IsoRequest::default()
        };
        match self.which {
            WhichToken::None => {}
            WhichToken::Mine => {
                let missing = || Problem::bad_input("type the token that shall be in the ISO");
                let token = self.token.as_ref().and_then(|token| given(token.reveal()));
                request.token = Some(Secret::new(token.ok_or_else(missing)?));
            }
            WhichToken::New => {
                let number = |text: &str, what: &str| {
                    let wrong = || Problem::bad_input(format!("{what}: `{text}` is no number"));
                    text.trim().parse::<u32>().map_err(|_| wrong())
                };
                let days = number(&self.days, "days that the token is good for")?;
                request.new_token = Some(TokenRequest {
                    uses: Some(number(&self.uses, "hosts that may use the token")?),
                    lifetime: Some(u64::from(days) * 24 * 3600),
                    profile: given(&self.profile),
                    labels: read_labels(&self.labels)?,
                    networks: Vec::new(),
                    requires_approval: !self.approval.is_empty(),
                    project: given(&self.project),
                });
            }
        }
        Ok(request)
    }
}

async fn page_of(hub: &Hub, actor: &Actor, asked: NewIso) -> Result<InstallPage, Problem> {
    Ok(InstallPage {
        frame: Frame::new(hub, actor, "/install").choosing(actor),
        bases: hub.isos.bases(),
        profiles: profile_names(hub, actor).await?,
        asked,
        error: String::new(),
        problems: Vec::new(),
    })
}

pub(super) async fn form(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Problem> {
    let usual = NewIso {
        uses: "1".to_owned(),
        days: "7".to_owned(),
        ..NewIso::default()
    };
    page::draw(&page_of(&hub, &actor, usual).await?)
}

/// What is refused comes back into its fields, but for the token.
pub(super) async fn make(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(asked): Fields<NewIso>,
) -> Result<Response, Problem> {
    let made = match asked.request() {
        Ok(request) => isos::make(&hub, &actor, request).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok(made) => Ok(page::go(&format!("/install/{}", made.id))),
        Err(problem) if problem.status >= 500 => Err(problem),
        Err(problem) => {
            let page = InstallPage {
                error: page::sentence(&problem.detail),
                problems: problem.errors,
                ..page_of(&hub, &actor, asked).await?
            };
            let status = StatusCode::from_u16(problem.status);
            page::draw_as(status.unwrap_or(StatusCode::UNPROCESSABLE_ENTITY), &page)
        }
    }
}

pub(super) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    let ready = isos::find(&hub, &actor, &id).await?;
    page::draw(&IsoPage {
        frame: Frame::new(&hub, &actor, "/install"),
        iso: ready.about,
    })
}

/// The ISO itself. Its name stands in the answer; the last part of the path is for people.
pub(super) async fn fetch(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Named((id, _)): Named<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    send(&hub, &actor, &id, &headers).await
}
