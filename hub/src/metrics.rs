//! Figures for Prometheus, in its text format (version 0.0.4).

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use crate::admin::problem::Problem;
use crate::admin::tokens;
use crate::db::releases::{self, SignedRow};
use crate::db::search::{self, Group};
use crate::people::Actor;
use crate::state::Hub;
use crate::{clock, silence};

const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /metrics`, for a key of the role viewer: figures of the projects that it sees.
pub(crate) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Problem> {
    let within = &actor.scope.sees;
    let now = clock::now_ms();
    let heard_since = silence::heard_since(&hub, now).await?;
    let groups = search::groups(&hub.db, within, heard_since).await?;
    let tokens = tokens::infos(&hub, within).await?;
    let active = tokens.iter().filter(|token| token.state == "active");
    let signed = releases::list(&hub.db, within).await?;
    let text = text(&groups, active.count()).map_err(anyhow::Error::from)?;
    let text = text + &signatures(&signed).map_err(anyhow::Error::from)?;
    Ok(([(header::CONTENT_TYPE, KIND)], text).into_response())
}

fn text(groups: &[Group], active_tokens: usize) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    writeln!(out, "# HELP burin_hub_info The version of this hub.")?;
    writeln!(out, "# TYPE burin_hub_info gauge")?;
    let version = env!("CARGO_PKG_VERSION");
    writeln!(out, "burin_hub_info{{version=\"{version}\"}} 1")?;
    writeln!(
        out,
        "# HELP burin_hosts Hosts by state and by the phase that they said last."
    )?;
    writeln!(out, "# TYPE burin_hosts gauge")?;
    let mut at = 0;
    while let Some(group) = groups.get(at) {
        // Late and other hosts of one state and phase are neighbours.
        let alike = |other: &&Group| other.state == group.state && other.phase == group.phase;
        let same: Vec<&Group> = groups[at..].iter().take_while(alike).collect();
        let number: i64 = same.iter().map(|group| group.hosts).sum();
        at += same.len();
        let phase = group.phase.as_deref().unwrap_or("none");
        // Both are words of the hub's own: nothing to escape.
        let state = &group.state;
        writeln!(
            out,
            "burin_hosts{{state=\"{state}\",phase=\"{phase}\"}} {number}"
        )?;
    }
    let silent = groups
        .iter()
        .filter(|g| g.state == "accepted" && g.late == 1);
    let silent: i64 = silent.map(|group| group.hosts).sum();
    writeln!(
        out,
        "# HELP burin_hosts_silent Accepted hosts that are three intervals late."
    )?;
    writeln!(out, "# TYPE burin_hosts_silent gauge")?;
    writeln!(out, "burin_hosts_silent {silent}")?;
    writeln!(
        out,
        "# HELP burin_tokens_active Tokens that still let hosts in."
    )?;
    writeln!(out, "# TYPE burin_tokens_active gauge")?;
    writeln!(out, "burin_tokens_active {active_tokens}")?;
    Ok(out)
}

/// When hosts take a version no longer, so that somebody is told to sign it again before.
fn signatures(signed: &[SignedRow]) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    writeln!(
        out,
        "# HELP burin_release_expires Seconds since 1970 until which a signed version may be installed."
    )?;
    writeln!(out, "# TYPE burin_release_expires gauge")?;
    for row in signed {
        // Names and versions of profiles have no character that would need an escape.
        let (profile, version, until) = (&row.profile, &row.version, row.expires_at / 1000);
        writeln!(
            out,
            "burin_release_expires{{profile=\"{profile}\",version=\"{version}\"}} {until}"
        )?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_has_one_line_for_each_set_of_labels() {
        let group = |state: &str, phase: Option<&str>, late, hosts| Group {
            state: state.to_owned(),
            phase: phase.map(str::to_owned),
            late,
            hosts,
        };
        let groups = [
            group("accepted", Some("running"), 0, 3),
            group("accepted", Some("running"), 1, 2),
            group("pending", None, 0, 1),
            group("revoked", Some("running"), 1, 7),
        ];
        let text = text(&groups, 4).unwrap();
        for line in [
            "burin_hosts{state=\"accepted\",phase=\"running\"} 5\n",
            "burin_hosts{state=\"pending\",phase=\"none\"} 1\n",
            "burin_hosts_silent 2\n",
            "burin_tokens_active 4\n",
        ] {
            assert_eq!(text.matches(line).count(), 1, "{line} in {text}");
        }
    }
}
