//! What all pages share: the frame around them, and how they write times and sizes.

use std::borrow::Borrow;

use askama::Template;
use axum::extract::rejection::{FormRejection, PathRejection, QueryRejection};
use axum::extract::{Form, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::de::DeserializeOwned;

use crate::admin::problem::Problem;
use crate::clock;
use crate::people::{Actor, Permission};
use crate::state::Hub;

/// One entry of the navigation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    permission: Permission,
}

const NAVIGATION: [Entry; 8] = [
    entry("/hosts", "Hosts", Permission::See),
    entry("/c", "Claim", Permission::Claim),
    entry("/install", "Add hosts", Permission::Operate),
    entry("/tokens", "Tokens", Permission::See),
    entry("/profiles", "Profiles", Permission::See),
    entry("/registries", "Registries", Permission::See),
    entry("/people", "People", Permission::Administer),
    entry("/audit", "Audit log", Permission::Administer),
];

const fn entry(path: &'static str, name: &'static str, permission: Permission) -> Entry {
    Entry {
        path,
        name,
        permission,
    }
}

/// The frame around a page: who is logged in, and where one can go from here.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// Empty when nobody is logged in.
    pub(super) person: String,
    pub(super) role: String,
    pub(super) csrf: String,
    pub(super) unprotected: bool,
    /// Path of the navigation's entry that this page belongs to.
    pub(super) here: &'static str,
    pub(super) entries: Vec<Entry>,
    pub(super) may_operate: bool,
    pub(super) may_administer: bool,
    /// Where something new may go, when there is more than one project for it.
    pub(super) projects: Vec<String>,
    /// What was just done, as a sentence; empty most of the time.
    pub(super) done: &'static str,
}

impl Frame {
    /// The frame for somebody who is logged in.
    pub(super) fn new(hub: &Hub, actor: &Actor, here: &'static str) -> Self {
        let may = |permission| actor.roles.may(permission) && actor.stage.may(permission);
        Self {
            person: actor.name.clone(),
            role: actor.roles.shown(),
            csrf: actor.csrf.clone(),
            unprotected: hub.keys.root.unprotected,
            here,
            entries: NAVIGATION
                .into_iter()
                .filter(|entry| may(entry.permission))
                .collect(),
            may_operate: may(Permission::Operate),
            may_administer: may(Permission::Administer),
            projects: Vec::new(),
            done: "",
        }
    }

    /// The frame for nobody.
    pub(super) fn empty() -> Self {
        Self {
            person: String::new(),
            role: String::new(),
            csrf: String::new(),
            // How the hub is kept is nothing for strangers.
            unprotected: false,
            here: "",
            entries: Vec::new(),
            may_operate: false,
            may_administer: false,
            projects: Vec::new(),
            done: "",
        }
    }

    /// The frame of a page about something of one project: what may be done with it is what the role
    /// there allows.
    pub(super) fn about(hub: &Hub, actor: &Actor, (here, project): (&'static str, &str)) -> Self {
        let mut frame = Self::new(hub, actor, here).choosing(actor);
        frame.may_operate &= actor.roles.may_in(project, Permission::Operate);
        frame
    }

    /// For forms that make something: the projects to choose from, where there is a choice.
    pub(super) fn choosing(mut self, actor: &Actor) -> Self {
        let choices = actor.roles.choices(Permission::Operate, &actor.scope);
        if choices.len() > 1 {
            self.projects = choices;
        }
        self
    }

    pub(super) fn done(mut self, sentence: &'static str) -> Self {
        self.done = sentence;
        self
    }
}

/// Draws a page.
pub(super) fn draw(page: &impl Template) -> Result<Response, Problem> {
    draw_as(StatusCode::OK, page)
}

pub(super) fn draw_as(status: StatusCode, page: &impl Template) -> Result<Response, Problem> {
    let html = page.render().map_err(anyhow::Error::from)?;
    Ok((status, Html(html)).into_response())
}

/// To another page of this hub after a write, so that loading again does not write again.
pub(super) fn go(path: &str) -> Response {
    Redirect::to(path).into_response()
}

/// The fields of a form.
#[derive(Debug)]
pub(super) struct Fields<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Fields<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let form: Result<Form<T>, FormRejection> = Form::from_request(request, state).await;
        form.map(|Form(fields)| Self(fields))
            .map_err(|err| Problem::bad_input(err.body_text()))
    }
}

/// The part of an address behind `?`.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        query
            .map(|Query(asked)| Self(asked))
            .map_err(|err| Problem::bad_input(err.body_text()))
    }
}

/// The variable parts of a path.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        path.map(|Path(named)| Self(named))
            .map_err(|err| Problem::not_found(err.body_text()))
    }
}

/// A detail as a sentence of its own. A name at its beginning stays as it is.
pub(super) fn sentence(detail: &str) -> String {
    let word = detail.split(' ').next().unwrap_or_default();
    let is_name = !word
        .chars()
        .all(|c| c.is_alphabetic() || matches!(c, ',' | ':' | '\''));
    let mut text = detail.to_owned();
    if let Some(first) = text.get_mut(..1).filter(|_| !is_name) {
        first.make_ascii_uppercase();
    }
    if !text.ends_with(['.', '!', '?', '`']) {
        text.push('.');
    }
    text
}

/// How long ago something was, for people.
pub(super) fn ago(at: impl Borrow<i64>) -> String {
    match (clock::now_ms() - at.borrow()).max(0) / 1000 {
        0..=2 => "just now".to_owned(),
        seconds @ 3..120 => format!("{seconds} s ago"),
        seconds @ 120..7200 => format!("{} min ago", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

/// How far away something is, for people.
pub(super) fn until(at: impl Borrow<i64>) -> String {
    match (at.borrow() - clock::now_ms()).max(0) / 1000 {
        seconds @ 0..120 => format!("in {seconds} s"),
        // Rounded: seven days are still seven when the page is drawn.
        seconds @ 120..7200 => format!("in {} min", (seconds + 30) / 60),
        seconds @ 7200..172_800 => format!("in {} h", (seconds + 1800) / 3600),
        seconds => format!("in {} days", (seconds + 43_200) / 86_400),
    }
}

/// A number and what it counts, for people.
pub(super) fn counted(count: impl Borrow<i64>, one: &str, many: &str) -> String {
    burin_core::display::counted(*count.borrow(), one, many)
}

/// A time in UTC, `2026-11-21 06:30:00 UTC`.
pub(super) fn time(at: impl Borrow<i64>) -> String {
    let text = crate::client::time(*at.borrow());
    format!("{} UTC", text.trim_end_matches('Z').replace('T', " "))
}

/// Bytes in the unit that disks and memory are sold in.
pub(super) fn size(bytes: impl Borrow<u64>) -> String {
    match *bytes.borrow() {
        bytes @ 0..1_000_000 => format!("{} kB", bytes / 1000),
        bytes @ 1_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        bytes @ 1_000_000_000..10_000_000_000 => {
            format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10)
        }
        bytes => format!("{} GB", bytes / 1_000_000_000),
    }
}

/// A local path that a login may lead to: never another site.
pub(super) fn local(next: &str) -> &str {
    let outside =
        next.starts_with("//") || next.contains('\\') || next.chars().any(char::is_control);
    if next.starts_with('/') && !outside && next.len() <= 512 {
        next
    } else {
        "/"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_this_hub_only() {
        for (next, want) in [
            ("/R/1ABC", "/R/1ABC"),
            ("/hosts?q=a&state=pending", "/hosts?q=a&state=pending"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/a\r\nset-cookie: x", "/"),
        ] {
            assert_eq!(local(next), want, "{next}");
        }
    }

    #[test]
    fn a_sentence_begins_large_but_for_a_name() {
        for (detail, want) in [
            ("the name oslo is taken", "The name oslo is taken."),
            (
                "retail@1.0.0 was published before",
                "retail@1.0.0 was published before.",
            ),
            ("`a` is no label", "`a` is no label."),
            ("say why!", "Say why!"),
            ("über", "über."),
            ("", "."),
        ] {
            assert_eq!(sentence(detail), want);
        }
    }

    #[test]
    fn sizes_are_written_as_sold() {
        for (bytes, want) in [
            (512, "0 kB"),
            (8_589_934_592, "8.5 GB"),
            (512_110_190_592, "512 GB"),
        ] {
            assert_eq!(size(bytes), want);
        }
    }
}
