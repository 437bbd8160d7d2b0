//! One's own account: the second factor.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::login::Next;
use super::page::{self, Asked, Fields, Frame};
use crate::admin::auth::Actor;
use crate::admin::problem::Problem;
use crate::clock;
use crate::db::{audit, people, recovery as left};
use crate::people::{Role, Stage, code, login, recovery};
use crate::secret::Secret;
use crate::state::Hub;

/// A seed to scan or to type, and the form that confirms it.
#[derive(Debug)]
struct Seed {
    sealed: String,
    text: String,
    path: String,
    width: usize,
    next: String,
}

#[derive(Debug, Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    error: &'static str,
    /// What sets codes up; none when they are on.
    seed: Option<Seed>,
    /// Recovery codes that were not used.
    left: i64,
    /// Who keeps password and second factor, when it is not the hub.
    provider: Option<String>,
    /// This hub asks for codes: they cannot be turned off.
    required: bool,
}

/// All that an admin without codes gets to see of a hub that asks for them.
#[derive(Debug, Template)]
#[template(path = "enroll.html")]
struct EnrollPage {
    frame: Frame,
    error: &'static str,
    seed: Seed,
}

#[derive(Debug, Template)]
#[template(path = "recovery.html")]
struct RecoveryPage {
    frame: Frame,
    codes: Vec<String>,
    next: String,
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
    #[serde(default)]
    next: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct CodeForm {
    code: Secret,
}

/// The person's name; an API key has no account.
fn person(actor: &Actor) -> Result<&str, Problem> {
    actor
        .person()
        .ok_or_else(|| Problem::refused("an API key has no account; log in as a person"))
}

/// `tried`: a seed that was shown before and not confirmed.
fn seed(hub: &Hub, name: &str, tried: Option<&str>, next: &str) -> Result<Seed, Problem> {
    let seed = match tried {
        Some(sealed) => code::show_again(&hub.seed_key, name, sealed)?,
        None => code::new_seed(&hub.seed_key, name)?,
    };
    Ok(Seed {
        sealed: seed.sealed,
        text: seed.text.reveal().to_owned(),
        path: seed.path.reveal().to_owned(),
        width: seed.width,
        next: next.to_owned(),
    })
}

fn status(error: &str) -> StatusCode {
    if error.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    }
}

pub(super) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Asked(Done { done }): Asked<Done>,
) -> Result<Response, Problem> {
    let sentence = match done.as_str() {
        "off" => "One-time codes are off.",
        _ => "",
    };
    let frame = Frame::new(&hub, &actor, "/account").done(sentence);
    draw(&hub, &actor, frame, None, "").await
}

async fn draw(
    hub: &Hub,
    actor: &Actor,
    frame: Frame,
    tried: Option<&str>,
    error: &'static str,
) -> Result<Response, Problem> {
    let name = person(actor)?;
    let mut conn = hub.db.reader().acquire().await?;
    let own = login::own(&mut conn, name).await?;
    let left = left::count(&mut conn, name).await?;
    drop(conn);
    let page = AccountPage {
        frame,
        error,
        seed: match own.has_codes() {
            true => None,
            false => Some(seed(hub, name, tried, "")?),
        },
        provider: own.issuer,
        left,
        required: required(hub, actor),
    };
    page::draw_as(status(error), &page)
}

fn required(hub: &Hub, actor: &Actor) -> bool {
    hub.settings.admins_need_codes && actor.roles.everywhere == Role::Admin
}

/// Where an admin without codes is led to.
pub(super) async fn enroll(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Asked(Next { next }): Asked<Next>,
) -> Result<Response, Problem> {
    if actor.stage != Stage::Enroll {
        return Ok(page::go("/account"));
    }
    let seed = seed(&hub, person(&actor)?, None, &next)?;
    draw_enroll(&hub, &actor, seed, "")
}

fn draw_enroll(
    hub: &Hub,
    actor: &Actor,
    seed: Seed,
    error: &'static str,
) -> Result<Response, Problem> {
    let frame = Frame::new(hub, actor, "/account");
    page::draw_as(status(error), &EnrollPage { frame, error, seed })
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
        let error = "That is not the code of now. Check the clock of your authenticator.";
        if actor.stage == Stage::Enroll {
            let seed = seed(&hub, name, Some(&form.sealed), &form.next)?;
            return draw_enroll(&hub, &actor, seed, error);
        }
        let frame = Frame::new(&hub, &actor, "/account");
        return draw(&hub, &actor, frame, Some(&form.sealed), error).await;
    };
    let mut tx = hub.db.begin().await?;
    let own = login::own(&mut tx, name).await?;
    login::refuse_external(&own)?;
    if own.totp.is_some() {
        return Err(Problem::refused("one-time codes are on already"));
    }
    people::set_totp(&mut tx, name, Some(&form.sealed), step).await?;
    let codes = recovery::renew(&mut tx, name, now).await?;
    audit::record(&mut tx, name, "person.code-on", name, now).await?;
    tx.commit().await?;
    let whole = Actor {
        stage: Stage::Whole,
        ..actor.clone()
    };
    let frame = Frame::new(&hub, &whole, "/account").done("One-time codes are on.");
    show_recovery(frame, &codes, &form.next)
}

fn show_recovery(frame: Frame, codes: &[Secret], next: &str) -> Result<Response, Problem> {
    page::draw(&RecoveryPage {
        frame,
        codes: codes.iter().map(|code| code.reveal().to_owned()).collect(),
        next: page::local(next).to_owned(),
    })
}

/// Makes new recovery codes for somebody who still has the authenticator.
pub(super) async fn renew_recovery(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(form): Fields<CodeForm>,
) -> Result<Response, Problem> {
    let name = person(&actor)?;
    let now = clock::now_ms();
    let mut tx = hub.db.begin().await?;
    let own = login::own(&mut tx, name).await?;
    let frame = Frame::new(&hub, &actor, "/account");
    if !login::use_code(&hub, &mut tx, &own, form.code.reveal(), now).await? {
        drop(tx);
        return draw(&hub, &actor, frame, None, WRONG).await;
    }
    let codes = recovery::renew(&mut tx, name, now).await?;
    audit::record(&mut tx, name, "person.recovery-codes", name, now).await?;
    tx.commit().await?;
    show_recovery(frame, &codes, "/account")
}

const WRONG: &str = "The code is wrong or was used before.";

pub(super) async fn turn_off(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Fields(form): Fields<CodeForm>,
) -> Result<Response, Problem> {
    let name = person(&actor)?;
    if required(&hub, &actor) {
        let detail = "this hub asks its admins for one-time codes, so they stay on";
        return Err(Problem::refused(detail));
    }
    let now = clock::now_ms();
    let mut tx = hub.db.begin().await?;
    let own = login::own(&mut tx, name).await?;
    if !login::use_code(&hub, &mut tx, &own, form.code.reveal(), now).await? {
        drop(tx);
        let frame = Frame::new(&hub, &actor, "/account");
        return draw(&hub, &actor, frame, None, WRONG).await;
    }
    people::set_totp(&mut tx, name, None, 0).await?;
    left::forget(&mut tx, name).await?;
    audit::record(&mut tx, name, "person.code-off", name, now).await?;
    tx.commit().await?;
    Ok(page::go("/account?done=off"))
}
