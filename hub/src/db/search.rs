//! Looking for hosts, as pages do: by state, text and label, the newest first.

use sqlx::FromRow;

use super::Db;
use super::hosts::HostRow;
use crate::people::scope::Projects;

/// Hosts on one page.
pub(crate) const PAGE: usize = 50;

/// Which hosts. Empty texts ask for nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// State of the hub.
    state: String,
    /// Phase that the host said last.
    phase: String,
    /// 1 for hosts that are silent, 0 for those that are not, -1 for both.
    silent: i64,
    heard_since: i64,
    /// Patterns of LIKE.
    text: String,
    label: String,
}

impl Filter {
    /// `state` is one of the hub's states, a phase, or `silent`; `label` is `KEY` or `KEY=VALUE`.
    pub(crate) fn new(text: &str, state: &str, label: &str, heard_since: i64) -> Self {
        let mut filter = Self {
            heard_since,
            silent: -1,
            text: match text.trim() {
                "" => String::new(),
                text => format!("%{}%", escape(&text.to_lowercase())),
            },
            label: label_pattern(label.trim()),
            ..Self::default()
        };
        match state {
            "" => {}
            "silent" => {
                filter.state = "accepted".to_owned();
                filter.silent = 1;
            }
            "pending" | "accepted" | "quarantined" | "rejected" | "revoked" | "retired" => {
                filter.state = state.to_owned();
            }
            phase => {
                filter.state = "accepted".to_owned();
                filter.phase = phase.to_owned();
                filter.silent = 0;
            }
        }
        filter
    }
}

fn escape(text: &str) -> String {
    text.replace('!', "!!")
        .replace('%', "!%")
        .replace('_', "!_")
}

/// Labels are a JSON object of strings, written without spaces.
fn label_pattern(label: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match label.split_once('=') {
        _ if label.is_empty() => String::new(),
        Some((key, value)) => format!("%{}:{}%", escape(&quoted(key)), escape(&quoted(value))),
        None => format!("%{}:%", escape(&quoted(label))),
    }
}

/// Hosts of these projects that fit, after (that is, older than) `after`.
pub(crate) async fn page(
    db: &Db,
    within: &Projects,
    filter: &Filter,
    after: &str,
) -> sqlx::Result<Vec<HostRow>> {
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
    sqlx::query_as(
        "SELECT h.* FROM host h LEFT JOIN host_live l ON l.host_uid = h.uid \
         WHERE ($1 = '' OR h.uid < $1) AND ($2 = '' OR h.state = $2) \
         AND ($3 = '' OR l.phase = $3) \
         AND ($4 = -1 OR ($4 = 1 AND l.seen_at < $5) OR ($4 = 0 AND l.seen_at >= $5)) \
         AND ($6 = '' OR LOWER(h.host_id) LIKE $6 ESCAPE '!' OR h.uid LIKE $6 ESCAPE '!' \
         OR LOWER(h.evidence) LIKE $6 ESCAPE '!' OR h.address LIKE $6 ESCAPE '!' \
         OR l.address LIKE $6 ESCAPE '!' OR LOWER(h.labels) LIKE $6 ESCAPE '!') \
         AND ($7 = '' OR h.labels LIKE $7 ESCAPE '!') \
         AND ($9 = '*' OR $9 LIKE '%|' || h.project || '|%') ORDER BY h.uid DESC LIMIT $8",
    )
    .bind(after)
    .bind(&filter.state)
    .bind(&filter.phase)
    .bind(filter.silent)
    .bind(filter.heard_since)
    .bind(&filter.text)
    .bind(&filter.label)
    .bind(limit)
    .bind(within.sql())
    .fetch_all(db.reader())
    .await
}

/// Hosts of these projects that a token let in, the newest first.
pub(crate) async fn admitted(
    db: &Db,
    within: &Projects,
    token: &str,
) -> sqlx::Result<Vec<HostRow>> {
    sqlx::query_as(
        "SELECT * FROM host WHERE token_id = $1 AND accepted_at IS NOT NULL \
         AND ($2 = '*' OR $2 LIKE '%|' || project || '|%') ORDER BY uid DESC LIMIT 1000",
    )
    .bind(token)
    .bind(within.sql())
    .fetch_all(db.reader())
    .await
}

/// How many hosts are how.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) all: i64,
    pub(crate) pending: i64,
    pub(crate) installing: i64,
    pub(crate) running: i64,
    pub(crate) degraded: i64,
    pub(crate) silent: i64,
    pub(crate) blocked: i64,
    pub(crate) quarantined: i64,
}

impl Counts {
    /// Adds up the groups of [`groups`].
    pub(crate) fn of(groups: &[Group]) -> Self {
        let mut counts = Self::default();
        for group in groups {
            let number = group.hosts;
            counts.all += number;
            match (group.state.as_str(), group.late, group.phase.as_deref()) {
                ("pending", ..) => counts.pending += number,
                ("quarantined", ..) => counts.quarantined += number,
                ("accepted", 1, _) => counts.silent += number,
                ("accepted", _, Some("installing")) => counts.installing += number,
                ("accepted", _, Some("running")) => counts.running += number,
                ("accepted", _, Some("degraded")) => counts.degraded += number,
                ("accepted", _, Some("blocked")) => counts.blocked += number,
                _ => {}
            }
        }
        counts
    }

    /// Hosts that somebody should look at.
    pub(crate) fn attention(&self) -> i64 {
        self.degraded + self.silent + self.blocked + self.quarantined
    }
}

/// Hosts that are alike.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Group {
    pub(crate) state: String,
    /// None before the first sync.
    pub(crate) phase: Option<String>,
    /// 1 when they were not heard since the time that was asked for.
    pub(crate) late: i64,
    pub(crate) hosts: i64,
}

/// Counts the hosts of these projects; `heard_since` as in [`Filter`].
pub(crate) async fn groups(
    db: &Db,
    within: &Projects,
    heard_since: i64,
) -> sqlx::Result<Vec<Group>> {
    sqlx::query_as(
        "SELECT h.state, l.phase, CASE WHEN l.seen_at < $1 THEN 1 ELSE 0 END AS late, \
         COUNT(*) AS hosts FROM host h LEFT JOIN host_live l ON l.host_uid = h.uid \
         WHERE ($2 = '*' OR $2 LIKE '%|' || h.project || '|%') GROUP BY h.state, l.phase, late ORDER BY h.state, l.phase, late",
    )
    .bind(heard_since)
    .bind(within.sql())
    .fetch_all(db.reader())
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_is_no_pattern() {
        let filter = Filter::new(" 50%_a! ", "", "", 0);
        assert_eq!(filter.text, "%50!%!_a!!%");
        for (label, want) in [
            ("", ""),
            ("site", "%\"site\":%"),
            ("site=oslo", "%\"site\":\"oslo\"%"),
            ("a\"b=", "%\"a\\\"b\":\"\"%"),
        ] {
            assert_eq!(Filter::new("", "", label, 0).label, want);
        }
    }

    #[test]
    fn a_state_is_of_the_hub_or_of_the_host() {
        let filter = Filter::new("", "running", "", 7);
        assert_eq!(
            (filter.state.as_str(), filter.phase.as_str()),
            ("accepted", "running")
        );
        assert_eq!(filter.silent, 0);
        assert_eq!(Filter::new("", "silent", "", 7).silent, 1);
        assert_eq!(Filter::new("", "pending", "", 7).silent, -1);
    }
}
