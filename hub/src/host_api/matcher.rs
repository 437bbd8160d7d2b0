//! What lets a host in beside its own word: what people said of it, and what a matcher costs.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use burin_api::claim::KeyLabel;
use burin_api::host::Evidence;

use super::admission::{By, Matched};
use super::caller::Caller;
use super::refusal::Refused;
use crate::codes::HostCode;
use crate::db::preauths::{PreauthRow, Said};
use crate::db::tokens::TokenRow;
use crate::db::{Connection, claims, from_json, preauths, to_json, tokens};
use crate::network::Network;
use crate::registration::accept::Admission;
use crate::registration::{landing, preauth};

/// What a host says of itself, in the spelling of announcements.
pub(crate) fn said_by(host_id: &str, evidence: &Evidence, thumbprint: &str) -> Said {
    let uuid = preauth::uuid(&evidence.uuid).unwrap_or_default();
    Said {
        host_id: host_id.to_owned(),
        swapped_uuid: preauth::swapped(&uuid).unwrap_or_default(),
        uuid,
        serial: evidence.serial.trim().to_ascii_uppercase(),
        key: KeyLabel::of(thumbprint).map_or_else(|_| String::new(), |label| label.compact()),
    }
}

impl Caller<'_> {
    /// What people said of this host. The key counts, everything else only names it.
    pub(super) async fn matched(
        &mut self,
        conn: &mut Connection,
    ) -> Result<Option<Matched>, Refused> {
        let enroll = self.enroll;
        let said = said_by(&enroll.host_id, &enroll.evidence, &self.thumbprint);
        let announced = preauths::matching(conn, &said, self.now).await?;
        let print = self.label.compact();
        let by_key = |row: &&PreauthRow| {
            let read = row.confirmed_key.as_str();
            row.kind == "key" || (!read.is_empty() && print.starts_with(read))
        };
        if let Some(row) = announced.iter().find(by_key) {
            let id = row.id.clone();
            self.called = Some(row.project.clone());
            self.announced = Some(row.clone());
            return Ok(Some(Matched::Announced { id }));
        }
        self.called = landing::called_into(self.token, &announced).map(str::to_owned);
        // A claim into another project than the one that it was called into counts for nothing.
        let called = self.called.as_deref().unwrap_or_default();
        self.claimed = claims::of_key(conn, &print, called, self.now).await?;
        if let Some(claim) = &self.claimed {
            self.called = Some(claim.project.clone());
            return Ok(Some(match claim.waived {
                0 => Matched::Claimed,
                _ => Matched::ClaimedWithoutNumber,
            }));
        }
        let named = |row: &PreauthRow| row.confirmed_key.is_empty();
        Ok(match announced.first() {
            None => None,
            Some(_) if announced.iter().any(named) => Some(Matched::Named),
            Some(_) => Some(Matched::OtherKey),
        })
    }

    /// Takes what the matcher costs, and says what comes with it.
    pub(super) async fn admission(
        &self,
        conn: &mut Connection,
        by: By,
    ) -> Result<Admission, Refused> {
        match (by, self.token, &self.announced, &self.claimed) {
            (By::Token, Some(token), _, _) => {
                self.check_network(token)?;
                if !tokens::take_use(conn, &token.id, self.now).await? {
                    return Err(over(token, self.now));
                }
                Ok(Admission {
                    matcher: "token".to_owned(),
                    detail: token.id.clone(),
                    actor: format!("token {}", token.id),
                    token_id: Some(token.id.clone()),
                    labels: self.labels(&token.labels)?,
                    profile: token.profile.clone(),
                    project: token.project.clone(),
                })
            }
            (By::Preauth(id), _, Some(row), _) => Ok(Admission {
                matcher: row.kind.clone(),
                detail: id,
                actor: row.created_by.clone(),
                token_id: None,
                labels: self.labels(&row.labels)?,
                profile: row.profile.clone(),
                project: row.project.clone(),
            }),
            (By::Claim, _, _, Some(row)) => Ok(Admission {
                matcher: row.kind.clone(),
                detail: "provisional".to_owned(),
                actor: row.account.clone(),
                token_id: None,
                labels: self.labels("{}")?,
                profile: None,
                project: row.project.clone(),
            }),
            (by, ..) => Err(anyhow::anyhow!("admitted by {by:?} without its matcher").into()),
        }
    }

    /// What the hub's people wrote wins over what the machine says of itself.
    fn labels(&self, written: &str) -> Result<String, Refused> {
        let mut labels = self.enroll.labels.clone();
        labels.extend(from_json::<BTreeMap<String, String>>(written)?);
        Ok(to_json(&labels)?)
    }

    /// Only admission asks: an accepted host may move.
    fn check_network(&self, token: &TokenRow) -> Result<(), Refused> {
        let networks: Vec<String> = from_json(&token.networks)?;
        let inside = |text: &String| {
            let network = text.parse::<Network>();
            network.is_ok_and(|network| network.contains(self.ip))
        };
        if networks.is_empty() || networks.iter().any(inside) {
            return Ok(());
        }
        let message = format!(
            "token {} is good from {} only, this host calls from {}",
            token.id,
            networks.join(", "),
            self.ip
        );
        Err(Refused::new(
            StatusCode::FORBIDDEN,
            HostCode::TokenNetwork,
            message,
        ))
    }
}

/// Why a token has no use left.
fn over(token: &TokenRow, now: i64) -> Refused {
    let id = &token.id;
    let (code, message) = if token.revoked_at.is_some() {
        (
            HostCode::TokenRevoked,
            format!("token {id} was revoked; make a new one"),
        )
    } else if token.expires_at <= now {
        (
            HostCode::TokenExpired,
            format!("token {id} has expired; make a new one"),
        )
    } else {
        (
            HostCode::TokenUsed,
            format!(
                "token {id} has no use left (of {}); make a new one",
                token.uses
            ),
        )
    };
    Refused::new(StatusCode::FORBIDDEN, code, message)
}
