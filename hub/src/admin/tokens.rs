//! Registration tokens.

use std::sync::Arc;

use axum::extract::{Extension, Path, Query, State};
use axum::{Json, http::StatusCode};
use burin_api::token::Token;

use super::auth::Actor;
use super::problem::Problem;
use super::types::{InProject, TokenCreated, TokenInfo, TokenRequest};
use super::{Body, read};
use crate::clock;
use crate::db::tokens::{self, TokenRow};
use crate::db::{audit, from_json, to_json};
use crate::network::Network;
use crate::people::scope::Projects;
use crate::projects;
use crate::secret::{Secret, random};
use crate::state::Hub;

/// Seconds.
const USUAL_LIFETIME: u64 = 7 * 24 * 3600;
const LONGEST_LIFETIME: u64 = 366 * 24 * 3600;
const MOST_USES: u32 = 100_000;

fn info(row: &TokenRow, now: i64) -> sqlx::Result<TokenInfo> {
    let state = if row.revoked_at.is_some() {
        "revoked"
    } else if row.expires_at <= now {
        "expired"
    } else if row.used >= row.uses {
        "used"
    } else {
        "active"
    };
    Ok(TokenInfo {
        id: row.id.clone(),
        state: state.to_owned(),
        uses: row.uses,
        used: row.used,
        created_at: row.created_at,
        expires_at: row.expires_at,
        labels: from_json(&row.labels)?,
        networks: from_json(&row.networks)?,
        profile: row.profile.clone(),
        requires_approval: row.requires_approval != 0,
        project: row.project.clone(),
    })
}

/// Every token, without its seed.
#[utoipa::path(get, path = "/api/v1/tokens", params(("project" = Option<String>, Query)),
    responses((status = 200, body = Vec<TokenInfo>), (status = 404, body = Problem)))]
pub(crate) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Query(InProject { project }): Query<InProject>,
) -> Result<Json<Vec<TokenInfo>>, Problem> {
    let within = actor.scope.narrowed(Some(&project))?;
    Ok(Json(infos(&hub, &within).await?))
}

/// Every token of these projects, oldest first; pages use it too.
pub(crate) async fn infos(hub: &Hub, within: &Projects) -> sqlx::Result<Vec<TokenInfo>> {
    let now = clock::now_ms();
    let rows = tokens::list(&hub.db, within).await?;
    rows.iter().map(|row| info(row, now)).collect()
}

/// Makes a token and shows it this once.
#[utoipa::path(post, path = "/api/v1/tokens", request_body = TokenRequest,
    responses((status = 201, body = TokenCreated), (status = 422, body = Problem)))]
pub(crate) async fn create(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    body: Body<TokenRequest>,
) -> Result<(StatusCode, Json<TokenCreated>), Problem> {
    let created = make(&hub, &actor, read(body)?).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// Makes a token; pages use it too.
pub(crate) async fn make(
    hub: &Hub,
    actor: &Actor,
    asked: TokenRequest,
) -> Result<TokenCreated, Problem> {
    let uses = asked.uses.unwrap_or(1);
    let lifetime = asked.lifetime.unwrap_or(USUAL_LIFETIME);
    if !(1..=MOST_USES).contains(&uses) {
        return Err(Problem::bad_input(format!(
            "`uses` must be 1 to {MOST_USES}"
        )));
    }
    if !(1..=LONGEST_LIFETIME).contains(&lifetime) {
        return Err(Problem::bad_input(
            "the lifetime (`--expires`, `lifetime`) must be 1 second to 366 days",
        ));
    }
    for network in &asked.networks {
        network.parse::<Network>().map_err(Problem::bad_input)?;
    }
    let project = actor.scope.place(asked.project.as_deref())?;
    let now = clock::now_ms();
    let mut tx = hub.db.begin().await?;
    projects::hold(&mut tx, &project, asked.profile.as_deref()).await?;
    let token = Token::from_seed(random()?);
    let row = TokenRow {
        id: token.id().to_owned(),
        public_key: to_json(&token.public_key())?,
        uses: i64::from(uses),
        used: 0,
        created_at: now,
        expires_at: now + i64::try_from(lifetime).unwrap_or(0) * 1000,
        revoked_at: None,
        labels: to_json(&asked.labels)?,
        networks: to_json(&asked.networks)?,
        profile: asked.profile,
        requires_approval: i64::from(asked.requires_approval),
        project,
    };
    tokens::insert(&mut tx, &row).await?;
    audit::record(&mut tx, &actor.name, "token.create", &row.id, now).await?;
    tx.commit().await?;
    Ok(TokenCreated {
        token: Secret::new(token.reveal()),
        info: info(&row, now)?,
    })
}

/// A token that somebody typed, if it is one of this hub and lets hosts in now, into a project of
/// theirs.
pub(crate) async fn usable(hub: &Hub, actor: &Actor, text: &str) -> Result<Token, Problem> {
    let token = Token::parse(text).map_err(|err| Problem::bad_input(err.to_string()))?;
    let mut conn = hub.db.reader().acquire().await?;
    let row = tokens::get(&mut conn, token.id()).await?;
    let known = to_json(&token.public_key())?;
    let foreign = || Problem::bad_input(format!("token {} was not made by this hub", token.id()));
    let row = row.filter(|row| row.public_key == known);
    let row = row.ok_or_else(foreign)?;
    actor.scope.admit(&row.project, foreign)?;
    let state = info(&row, clock::now_ms())?.state;
    if let Some(why) = over(&state) {
        let detail = format!("token {} {why}; make a new one", row.id);
        return Err(Problem::bad_input(detail));
    }
    Ok(token)
}

/// Why a token in this state lets nobody in; none when it does.
pub(crate) fn over(state: &str) -> Option<&'static str> {
    match state {
        "revoked" => Some("was revoked"),
        "expired" => Some("has expired"),
        "used" => Some("is used up"),
        _ => None,
    }
}

/// Ends a token. Hosts that it let in stay.
#[utoipa::path(post, path = "/api/v1/tokens/{id}/revoke", params(("id" = String, Path)),
    responses((status = 200, body = TokenInfo), (status = 404, body = Problem)))]
pub(crate) async fn revoke(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Json<TokenInfo>, Problem> {
    Ok(Json(end(&hub, &actor, &id).await?))
}

/// Ends a token; pages use it too.
pub(crate) async fn end(hub: &Hub, actor: &Actor, id: &str) -> Result<TokenInfo, Problem> {
    let now = clock::now_ms();
    let mut tx = hub.db.begin().await?;
    let missing = || match id.len() {
        0..=8 => Problem::not_found(format!("no token has the id `{id}`")),
        // It may be a whole token, which is not for a log or a screen.
        _ => Problem::not_found("no token has this id; it is the 8 digits after BRN1-"),
    };
    let row = tokens::get(&mut tx, id).await?.ok_or_else(missing)?;
    actor.scope.admit(&row.project, missing)?;
    tokens::revoke(&mut tx, id, now).await?;
    audit::record(&mut tx, &actor.name, "token.revoke", id, now).await?;
    let row = tokens::get(&mut tx, id).await?.ok_or_else(missing)?;
    tx.commit().await?;
    Ok(info(&row, now)?)
}
