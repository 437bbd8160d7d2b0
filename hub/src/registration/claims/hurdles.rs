//! What stands in the way of a claim.

use axum::http::StatusCode;
use burin_api::event::{Finding, Severity};

use super::super::challenge;
use crate::admin::problem::Problem;
use crate::codes::ProblemCode;
use crate::db::hosts::HostRow;
use crate::db::{Connection, admissions, from_json};

/// A claim is for hosts that wait.
pub(super) async fn open_to_claims(conn: &mut Connection, host: &HostRow) -> Result<(), Problem> {
    let detail = match host.state.as_str() {
        "pending" => return Ok(()),
        "rejected" => "this host was turned away; start it anew to ask again".to_owned(),
        "accepted" | "quarantined" => {
            let by = admissions::get(conn, &host.uid).await?;
            let by = by.map_or_else(String::new, |row| format!(" by {}", row.actor));
            format!("this host is in the fleet already, let in{by}")
        }
        state => format!("an admin {state} this host"),
    };
    Err(Problem::new(
        StatusCode::CONFLICT,
        ProblemCode::Claimed,
        detail,
    ))
}

pub(super) fn unblocked(host: &HostRow) -> Result<(), Problem> {
    let findings: Vec<Finding> = from_json(&host.findings)?;
    let blocked: Vec<String> = findings
        .into_iter()
        .filter(|finding| finding.severity == Severity::Block)
        .map(|finding| format!("{}: {}", finding.name, finding.advice))
        .collect();
    if blocked.is_empty() {
        return Ok(());
    }
    let detail = "the hardware check stopped this host; nothing would be installed on it";
    let problem = Problem::new(StatusCode::CONFLICT, ProblemCode::Blocked, detail);
    Err(problem.with_errors(blocked))
}

pub(super) async fn may_guess(
    conn: &mut Connection,
    account: &str,
    now: i64,
) -> Result<(), Problem> {
    match challenge::locked(conn, account, now).await? {
        None => Ok(()),
        Some(seconds) => {
            let detail = format!("too many wrong codes or numbers; come back in {seconds} s");
            Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                ProblemCode::Limited,
                detail,
            ))
        }
    }
}
