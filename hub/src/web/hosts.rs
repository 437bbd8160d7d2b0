//! The list of hosts and the page of one.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Form, Path, Query, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Redirect, Response};
use burin_api::event::{Event, Severity};
use serde::Deserialize;

use super::login::Csrf;
use crate::admin::auth::Actor;
use crate::admin::hosts::change;
use crate::admin::problem::Problem;
use crate::admin::types::HostInfo;
use crate::admin::view;
use crate::clock;
use crate::db::{self, from_json};
use crate::state::Hub;

/// Events on the page of a host.
const EVENTS: i64 = 100;

/// A host as a line of text each.
#[derive(Debug)]
struct Row {
    uid: String,
    host_id: String,
    state: String,
    reason: String,
    phase: String,
    seen: String,
    profile: String,
    step: String,
    percent: Option<u64>,
    findings: Vec<String>,
    last_error: String,
    address: String,
    machine: String,
}

#[derive(Debug, Template)]
#[template(path = "hosts.html")]
struct ListPage {
    rows: Vec<Row>,
    next: Option<String>,
    csrf: String,
    unprotected: bool,
}

#[derive(Debug, Template)]
#[template(path = "host.html")]
struct HostPage {
    row: Row,
    details: Vec<(&'static str, String)>,
    events: Vec<(String, String, String)>,
    actions: Vec<&'static str>,
    csrf: String,
    unprotected: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct After {
    #[serde(default)]
    after: String,
}

pub(super) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Query(After { after }): Query<After>,
) -> Result<Response, Problem> {
    let page = view::page(&hub, &after).await?;
    let now = clock::now_ms();
    let page = ListPage {
        rows: page.items.into_iter().map(|host| row(host, now)).collect(),
        next: page.next,
        csrf: actor.csrf,
        unprotected: hub.keys.root.unprotected,
    };
    Ok(Html(page.render().map_err(anyhow::Error::from)?).into_response())
}

pub(super) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path(uid): Path<String>,
) -> Result<Response, Problem> {
    let host = view::one(&hub, &uid)
        .await?
        .ok_or_else(|| Problem::not_found(format!("no host has the uid `{uid}`")))?;
    let now = clock::now_ms();
    let mut events = Vec::new();
    for stored in db::events::newest(&hub.db, &host.uid, EVENTS).await? {
        let event: Event = from_json(&stored.body)?;
        let kind = serde_json::json!(event.kind);
        let mut text = event.message;
        for cause in event.causes {
            text = format!("{text}: {cause}");
        }
        let what = format!("{} {}", event.step, kind.as_str().unwrap_or_default());
        events.push((ago(now - stored.received_at), what, text));
    }
    let page = HostPage {
        details: details(&host),
        actions: actions(&host.state),
        row: row(host, now),
        events,
        csrf: actor.csrf,
        unprotected: hub.keys.root.unprotected,
    };
    Ok(Html(page.render().map_err(anyhow::Error::from)?).into_response())
}

pub(super) async fn act(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path((uid, action)): Path<(String, String)>,
    Form(csrf): Form<Csrf>,
) -> Result<Response, Problem> {
    csrf.check(&actor)?;
    let mut conn = hub.db.reader().acquire().await?;
    let host = db::hosts::get(&mut conn, &uid)
        .await?
        .ok_or_else(|| Problem::not_found(format!("no host has the uid `{uid}`")))?;
    drop(conn);
    change(&hub, &actor, &host, &action).await?;
    Ok(Redirect::to(&format!("/hosts/{uid}")).into_response())
}

fn actions(state: &str) -> Vec<&'static str> {
    match state {
        "pending" => vec!["approve", "deny"],
        "accepted" => vec!["retire", "revoke"],
        "quarantined" => vec!["release", "revoke"],
        _ => Vec::new(),
    }
}

fn details(host: &HostInfo) -> Vec<(&'static str, String)> {
    let evidence = &host.evidence;
    let observed = &host.observed;
    let labels: Vec<String> = host
        .labels
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    let generation = observed.generation.map(|number| number.to_string());
    vec![
        (
            "host ID",
            format!("{} ({})", host.host_id, host.host_id_source),
        ),
        ("uid", host.uid.clone()),
        (
            "machine",
            format!(
                "{} {}, serial {}",
                evidence.vendor, evidence.product, evidence.serial
            ),
        ),
        (
            "CPU",
            format!("{} ({} cores)", evidence.cpu, evidence.cores),
        ),
        ("memory", format!("{} MiB", evidence.memory >> 20)),
        ("agent", host.agent.clone().unwrap_or_default()),
        ("mode", host.mode.clone().unwrap_or_default()),
        ("labels", labels.join(" ")),
        ("generation", generation.unwrap_or_default()),
        (
            "root digest",
            observed.root_digest.clone().unwrap_or_default(),
        ),
        ("kernel", observed.kernel.clone().unwrap_or_default()),
        (
            "Kubernetes",
            observed.kubernetes.clone().unwrap_or_default(),
        ),
    ]
}

fn row(host: HostInfo, now: i64) -> Row {
    let findings = host
        .findings
        .iter()
        .filter(|finding| finding.severity != Severity::Ok)
        .map(|finding| {
            format!(
                "{}: {}, needed {}. {}",
                finding.name, finding.measured, finding.required, finding.advice
            )
        })
        .collect();
    let progress = host.progress.as_ref();
    let assignment = host.assignment.as_ref();
    Row {
        machine: format!("{} {}", host.evidence.vendor, host.evidence.product),
        phase: host.phase.unwrap_or_default(),
        seen: host
            .seen_at
            .map_or_else(|| "never".to_owned(), |at| ago(now - at)),
        profile: assignment.map_or_else(String::new, |a| format!("{}@{}", a.profile, a.version)),
        step: progress.map_or_else(String::new, |p| {
            format!("{} ({}/{})", p.step, p.position, p.steps)
        }),
        percent: progress
            .filter(|p| p.total > 0)
            .map(|p| (u128::from(p.done) * 100 / u128::from(p.total)).min(100) as u64),
        findings,
        last_error: host.last_error.unwrap_or_default(),
        address: host.address,
        uid: host.uid,
        host_id: host.host_id,
        state: host.state,
        reason: host.reason,
    }
}

fn ago(ms: i64) -> String {
    match ms.max(0) / 1000 {
        seconds @ 0..120 => format!("{seconds} s ago"),
        seconds @ 120..7200 => format!("{} min ago", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

pub(super) async fn style() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("../../templates/style.css"))
}

pub(super) async fn script() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (kind, include_str!("../../templates/live.js"))
}
