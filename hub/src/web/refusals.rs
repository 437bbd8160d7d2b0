//! Hosts that the hub turned away: nobody else hears of a host that never got in.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Response;

use super::page::{self, Frame};
use crate::admin::auth::Actor;
use crate::admin::problem::Problem;
use crate::admin::refusals::{self, RefusalInfo};
use crate::state::Hub;

/// Refusals on the page.
const SHOWN: i64 = 200;

#[derive(Debug, Template)]
#[template(path = "refusals.html")]
struct RefusalsPage {
    frame: Frame,
    rows: Vec<RefusalInfo>,
}

pub(super) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Problem> {
    page::draw(&RefusalsPage {
        frame: Frame::new(&hub, &actor, "/hosts"),
        rows: refusals::newest(&hub, &actor.scope.sees, "", SHOWN).await?,
    })
}
