//! One's own account: the second factor.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::page::{self, Asked, Fields, Frame};
use crate::admin::auth::Actor;
use crate::admin::problem::Problem;
use crate::clock;
use crate::db::{audit, people};
use crate::people::{code, login};
use crate::secret::Secret;
use crate::state::Hub;

#[derive(Debug, Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    error: &'static str,
    has_code: bool,
    sealed: String,
    text: String,
    path: String,
    width: usize,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Done {
    #[serde(default)]
    done: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct OnForm {
    sealed: String,
    code: Secret,
}

#[derive(Debug, Deserialize)]
pub(super) struct OffForm {
    code: Secret,
}

/// The person's name; an API key has no account.
fn person(actor: &Actor) -> Result<&str, Problem> {
    actor
        .person()
        .ok_or_else(|| Problem::refused("an API key has no account; log in as a person"))
}

pub(super) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Asked(Done { done }): Asked<Done>,
) -> Result<Response, Problem> {
    let sentence = match done.as_str() {
        "on" => "One-time codes are on. The next login asks for one.",
        "off" => "One-time codes are off.",
        _ => "",
    };
    let frame = Frame::new(&hub, &actor, "/account").done(sentence);
    draw(&hub, &actor, frame, None, "").await
}

/// `tried`: a seed that was shown before and not confirmed.
async fn draw(
    hub: &Hub,
    actor: &Actor,
    frame: Frame,
    tried: Option<&str>,
    error: &'static str,
) -> Result<Response, Problem> {
    let name = person(actor)?;
    let mut conn = hub.db.reader().acquire().await?;
    let has_code = login::own(&mut conn, name).await?.totp.is_some();
    drop(conn);
    let seed = match tried {
        Some(sealed) => code::show_again(&hub.seed_key, name, sealed)?,
        None => code::new_seed(&hub.seed_key, name)?,
    };
    let status = if error.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let page = AccountPage {
        frame,
        error,
        has_code,
        sealed: seed.sealed,
        text: seed.text.reveal().to_owned(),
        path: seed.path.reveal().to_owned(),
        width: seed.width,
    };
    page::draw_as(status, &page)
}

/// Turns codes on once the authenticator has shown that it knows the seed.
pub(super) async fn turn_on(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(form): Fields<OnForm>,
) -> Result<Response, Problem> {
    let name = person(&actor)?;
    let now = clock::now_ms();
    // The seed comes back from the page: one that this hub did not seal for this person is refused.
    let step = code::step_of(&hub.seed_key, name, &form.sealed, form.code.reveal(), now)
        .map_err(|_| Problem::bad_input("the key is not of this page; load it again"))?;
    let Some(step) = step else {
        let frame = Frame::new(&hub, &actor, "/account");
        let error = "That is not the code of now. Check the clock of your authenticator.";
        return draw(&hub, &actor, frame, Some(&form.sealed), error).await;
    };
    let mut tx = hub.db.begin().await?;
    if login::own(&mut tx, name).await?.totp.is_some() {
        return Err(Problem::refused("one-time codes are on already"));
    }
    people::set_totp(&mut tx, name, Some(&form.sealed), step).await?;
    audit::record(&mut tx, name, "person.code-on", name, now).await?;
    tx.commit().await?;
    Ok(page::go("/account?done=on"))
}

pub(super) async fn turn_off(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(form): Fields<OffForm>,
) -> Result<Response, Problem> {
    let name = person(&actor)?;
    let now = clock::now_ms();
    let mut tx = hub.db.begin().await?;
    let own = login::own(&mut tx, name).await?;
    if !login::use_code(&hub, &mut tx, &own, form.code.reveal(), now).await? {
        drop(tx);
        let frame = Frame::new(&hub, &actor, "/account");
        let error = "The code is wrong or was used before.";
        return draw(&hub, &actor, frame, None, error).await;
    }
    people::set_totp(&mut tx, name, None, 0).await?;
    audit::record(&mut tx, name, "person.code-off", name, now).await?;
    tx.commit().await?;
    Ok(page::go("/account?done=off"))
}
