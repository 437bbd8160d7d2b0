//! The list of hosts.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Response;
use serde::Deserialize;

use super::page::{self, Asked, Frame};
use super::status::{self, Status};
use crate::admin::auth::Actor;
use crate::admin::problem::Problem;
use crate::admin::types::HostInfo;
use crate::admin::view;
use crate::db;
use crate::db::search::{self, Counts, Filter};
use crate::state::Hub;
use crate::{clock, silence};

/// Milliseconds.
const DAY: i64 = 24 * 3_600_000;

/// A host as a line of the table.
#[derive(Debug)]
struct Row {
    uid: String,
    host_id: String,
    machine: String,
    address: String,
    labels: Vec<LabelLink>,
    status: Status,
    step: String,
    percent: Option<u64>,
    profile: String,
    attention_class: &'static str,
    attention: String,
    seen: String,
    /// When that was; empty for never.
    seen_at: String,
    project: String,
}

/// A label that leads to the hosts that have it.
#[derive(Debug)]
pub(super) struct LabelLink {
    pub(super) text: String,
    pub(super) path: String,
}

impl LabelLink {
    pub(super) fn new(text: String) -> Self {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("label", &text)
            .finish();
        Self {
            path: format!("/hosts?{query}"),
            text,
        }
    }
}

/// A number that leads to the hosts behind it.
#[derive(Debug)]
struct Tile {
    state: &'static str,
    name: &'static str,
    class: &'static str,
    count: i64,
}

#[derive(Debug, Template)]
#[template(path = "hosts.html")]
struct ListPage {
    frame: Frame,
    asked: Narrow,
    counts: Counts,
    tiles: Vec<Tile>,
    states: &'static [(&'static str, &'static str)],
    rows: Vec<Row>,
    /// Those that one can look at, when they are several.
    projects: Vec<String>,
    /// Refusals of the last day.
    refused: i64,
    next: Option<String>,
}

/// Which hosts are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Narrow {
    q: String,
    state: String,
    label: String,
    project: String,
    after: String,
}

impl Narrow {
    fn is_narrowed(&self) -> bool {
        !(self.q.is_empty()
            && self.state.is_empty()
            && self.label.is_empty()
            && self.project.is_empty())
    }

    /// Address of the part of the list behind `last`.
    fn following(&self, last: &str) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("q", &self.q)
            .append_pair("state", &self.state)
            .append_pair("label", &self.label)
            .append_pair("project", &self.project)
            .append_pair("after", last)
            .finish();
        format!("/hosts?{query}")
    }
}

pub(super) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Asked(asked): Asked<Narrow>,
) -> Result<Response, Problem> {
    let now = clock::now_ms();
    let heard_since = silence::heard_since(&hub, now).await?;
    let filter = Filter::new(&asked.q, &asked.state, &asked.label, heard_since);
    let within = actor.scope.narrowed(Some(&asked.project))?;
    let found = search::page(&hub.db, &within, &filter, &asked.after).await?;
    let full = found.len() == search::PAGE;
    let hosts = view::several(&hub, found).await?;
    let counts = Counts::of(&search::groups(&hub.db, &within, heard_since).await?);
    page::draw(&ListPage {
        refused: db::refusals::since(&hub.db, &actor.scope.sees, now - DAY).await?,
        frame: Frame::new(&hub, &actor, "/hosts"),
        next: hosts
            .last()
            .filter(|_| full)
            .map(|host| asked.following(&host.uid)),
        rows: hosts.iter().map(row).collect(),
        projects: seen(&actor),
        tiles: tiles(&counts),
        states: &status::FILTERS,
        counts,
        asked,
    })
}

/// The projects that somebody sees, when they are several.
pub(super) fn seen(actor: &Actor) -> Vec<String> {
    match actor.scope.seen().as_slice() {
        [] | [_] => Vec::new(),
        several => several.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn tiles(counts: &Counts) -> Vec<Tile> {
    let tile = |state, name, class, count| Tile {
        state,
        name,
        class,
        count,
    };
    let mut tiles = vec![
        tile("", "all", "", counts.all),
        tile("pending", "pending", "warn", counts.pending),
        tile("installing", "installing", "", counts.installing),
        tile("running", "running", "", counts.running),
        tile("degraded", "degraded", "bad", counts.degraded),
        tile("silent", "silent", "bad", counts.silent),
    ];
    // Rare, and then somebody has to decide.
    let rare = [
        tile("blocked", "blocked", "bad", counts.blocked),
        tile("quarantined", "quarantined", "bad", counts.quarantined),
    ];
    tiles.extend(rare.into_iter().filter(|tile| tile.count > 0));
    tiles
}

fn row(host: &HostInfo) -> Row {
    let progress = host.progress.as_ref();
    let (attention_class, attention) = status::attention(host);
    Row {
        uid: host.uid.clone(),
        host_id: host.host_id.clone(),
        machine: machine(host),
        address: host.address.clone(),
        labels: labels(host).into_iter().map(LabelLink::new).collect(),
        status: status::of(host),
        step: progress.map_or_else(String::new, |p| {
            format!("{} ({} of {})", p.step, p.position, p.steps)
        }),
        percent: percent(host),
        profile: host
            .assignment
            .as_ref()
            .map_or_else(String::new, |a| format!("{}@{}", a.profile, a.version)),
        attention_class,
        attention,
        seen: host.seen_at.map_or_else(|| "never".to_owned(), page::ago),
        seen_at: host.seen_at.map_or_else(String::new, page::time),
        project: host.project.clone(),
    }
}

/// Vendor and product, as far as the machine tells.
pub(super) fn machine(host: &HostInfo) -> String {
    let evidence = &host.evidence;
    let text = format!("{} {}", evidence.vendor, evidence.product);
    match text.trim() {
        "" => host.arch.clone(),
        text => text.to_owned(),
    }
}

pub(super) fn labels(host: &HostInfo) -> Vec<String> {
    host.labels
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect()
}

/// How much of its step a host has done.
pub(super) fn percent(host: &HostInfo) -> Option<u64> {
    let progress = host.progress.as_ref().filter(|p| p.total > 0)?;
    let percent = u128::from(progress.done) * 100 / u128::from(progress.total);
    u64::try_from(percent.min(100)).ok()
}
