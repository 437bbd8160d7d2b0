//! One host at the door: what the hub knows of it, and what a verdict does.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use axum::http::StatusCode;
use burin_api::claim::KeyLabel;
use burin_api::code;
use burin_api::host::Evidence;
use burin_api::message::{Enroll, EnrollAnswer};

use super::admission::{self, By, Known, Matched, Proven, Rival, Situation, Verdict};
use super::refusal::Refused;
use crate::db::claims::{self, ClaimRow};
use crate::db::hosts::{self, HostRow, KeyRow};
use crate::db::preauths::{self, PreauthRow, Said};
use crate::db::tokens::{self, TokenRow};
use crate::db::{self, Connection, audit, from_json, live, to_json};
use crate::network::Network;
use crate::registration::accept::{self, Admission};
use crate::registration::{challenge, preauth};

const PENDING_PER_HOST_ID: i64 = 20;
const PENDING_PER_HUB: i64 = 10_000;
/// Milliseconds after which a pending host makes room for a newer one with its host ID.
const SILENT: i64 = 600_000;
/// How soon a pending host asks again, seconds: often while somebody may stand beside it.
const PENDING_SOON: u32 = 5;
const PENDING_LATER: u32 = 30;
const SOMEBODY_STANDS_BESIDE: i64 = 600_000;

pub(super) struct Caller<'a> {
    pub(super) thumbprint: String,
    label: KeyLabel,
    ip: IpAddr,
    enroll: &'a Enroll,
    token: Option<&'a TokenRow>,
    now: i64,
    /// Of the host row that this key has.
    uid: Option<String>,
    first_seen: i64,
    announced: Option<PreauthRow>,
    claimed: Option<ClaimRow>,
}

/// State of the host with this key, and the time of its first call.
pub(super) async fn known(
    conn: &mut Connection,
    print: &str,
) -> Result<Option<(Known, i64)>, Refused> {
    let Some(key) = hosts::key(conn, print).await? else {
        return Ok(None);
    };
    if key.state == "replaced" {
        return Ok(Some((Known::Replaced, 0)));
    }
    let host = hosts::get(conn, &key.host_uid).await?;
    Ok(host.map(|host| {
        let known = Known::Key {
            uid: host.uid,
            state: host.state,
            reason: host.reason,
        };
        (known, host.created_at)
    }))
}

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

impl<'a> Caller<'a> {
    pub(super) fn new(
        enroll: &'a Enroll,
        token: Option<&'a TokenRow>,
        ip: IpAddr,
        now: i64,
    ) -> Result<Self, Refused> {
        let thumbprint = enroll
            .public_key
            .thumbprint()
            .map_err(|err| Refused::signature(&err))?;
        Ok(Self {
            label: KeyLabel::of(&thumbprint).map_err(anyhow::Error::from)?,
            thumbprint,
            ip,
            enroll,
            token,
            now,
            uid: None,
            first_seen: now,
            announced: None,
            claimed: None,
        })
    }

    /// Whether this was its first call.
    pub(super) fn is_new(&self) -> bool {
        self.uid.is_none()
    }

    pub(super) async fn judge(
        &mut self,
        conn: &mut Connection,
        replace_after: Duration,
    ) -> Result<Verdict, Refused> {
        let known = match known(conn, &self.thumbprint).await? {
            None => Known::No,
            Some((known, first_seen)) => {
                if let Known::Key { uid, .. } = &known {
                    self.uid = Some(uid.clone());
                    self.first_seen = first_seen;
                }
                known
            }
        };
        let situation = Situation {
            known,
            rival: self.rival(conn).await?,
            token: self.token.map(|token| Proven {
                id: token.id.clone(),
                revoked: token.revoked_at.is_some(),
                requires_approval: token.requires_approval != 0,
            }),
            matched: self.matched(conn).await?,
            evidence: &self.enroll.evidence,
            findings: &self.enroll.findings,
            replace_after,
        };
        Ok(admission::decide(&situation))
    }

    /// What people said of this host. The key counts, everything else only names it.
    async fn matched(&mut self, conn: &mut Connection) -> Result<Option<Matched>, Refused> {
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
            self.announced = Some(row.clone());
            return Ok(Some(Matched::Announced { id }));
        }
        self.claimed = claims::of_key(conn, &print, self.now).await?;
        if let Some(claim) = &self.claimed {
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

    async fn rival(&self, conn: &mut Connection) -> Result<Option<Rival>, Refused> {
        let Some(host) = hosts::live(conn, &self.enroll.host_id).await? else {
            return Ok(None);
        };
        if self.uid.as_deref() == Some(host.uid.as_str()) {
            return Ok(None);
        }
        let heard = live::get(conn, &host.uid)
            .await?
            .map_or(0, |row| row.seen_at);
        let heard = heard.max(host.enrolled_at);
        let silent = u64::try_from(self.now - heard).unwrap_or(0);
        let replaced_in_this_boot =
            hosts::was_replaced(conn, &host.uid, &self.enroll.boot_id).await?;
        Ok(Some(Rival {
            settled: host.settled != 0,
            token_id: host.token_id,
            evidence: from_json(&host.evidence)?,
            silent: Duration::from_millis(silent),
            replaced_in_this_boot,
            uid: host.uid,
        }))
    }

    pub(super) async fn carry_out(
        &self,
        conn: &mut Connection,
        verdict: Verdict,
    ) -> Result<EnrollAnswer, Refused> {
        match verdict {
            Verdict::Already { uid } => {
                self.write(conn, &uid, "").await?;
                Ok(EnrollAnswer::Accepted { host_uid: uid })
            }
            Verdict::Rejected { reason, message } => Ok(EnrollAnswer::Rejected { reason, message }),
            Verdict::Pending {
                reason,
                message,
                wait,
            } => self.wait(conn, reason, message, wait).await,
            Verdict::Replace { uid } => self.replace(conn, uid).await,
            Verdict::Admit(by) => {
                let by = self.admission(conn, by).await?;
                let uid = self.uid_or_new();
                self.write(conn, &uid, "").await?;
                accept::accept(conn, &uid, &by, self.now).await?;
                Ok(EnrollAnswer::Accepted { host_uid: uid })
            }
        }
    }

    async fn wait(
        &self,
        conn: &mut Connection,
        reason: &'static str,
        message: String,
        wait: Option<u32>,
    ) -> Result<EnrollAnswer, Refused> {
        let uid = self.uid_or_new();
        self.write(conn, &uid, reason).await?;
        let interval = wait.unwrap_or_else(|| self.usual_wait());
        let mut answer = EnrollAnswer::Pending {
            reason: reason.to_owned(),
            message,
            interval: interval.min(PENDING_LATER),
            code: None,
            code_lifetime: 0,
            match_number: None,
            etag: None,
        };
        if reason == "quarantined" {
            return Ok(answer);
        }
        let row = challenge::ensure(conn, &uid, self.now).await?;
        if let EnrollAnswer::Pending {
            code,
            code_lifetime,
            match_number,
            etag,
            ..
        } = &mut answer
        {
            *code = Some(code::shown(&row.code));
            *code_lifetime = u32::try_from((row.expires_at - self.now) / 1000).unwrap_or(0);
            *match_number = u8::try_from(row.number).ok();
            *etag = Some(challenge::etag(reason, &row));
        }
        Ok(answer)
    }

    fn uid_or_new(&self) -> String {
        self.uid
            .clone()
            .unwrap_or_else(|| uuid::Uuid::now_v7().to_string())
    }

    fn usual_wait(&self) -> u32 {
        if self.now - self.first_seen >= SOMEBODY_STANDS_BESIDE {
            PENDING_LATER
        } else if self.enroll.held.is_some() {
            // Its answers are held: it may come back at once.
            1
        } else {
            PENDING_SOON
        }
    }

    /// Takes what the matcher costs, and says what comes with it.
    async fn admission(&self, conn: &mut Connection, by: By) -> Result<Admission, Refused> {
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
                })
            }
            (By::Preauth(id), _, Some(row), _) => Ok(Admission {
                matcher: row.kind.clone(),
                detail: id,
                actor: row.created_by.clone(),
                token_id: None,
                labels: self.labels(&row.labels)?,
                profile: row.profile.clone(),
            }),
            (By::Claim, _, _, Some(row)) => Ok(Admission {
                matcher: row.kind.clone(),
                detail: "provisional".to_owned(),
                actor: row.account.clone(),
                token_id: None,
                labels: self.labels("{}")?,
                profile: None,
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
            "token_network",
            message,
        ))
    }

    async fn replace(&self, conn: &mut Connection, uid: String) -> Result<EnrollAnswer, Refused> {
        if let Some(own) = &self.uid {
            // It asked before the old key was silent for long enough.
            hosts::forget_pending(conn, own).await?;
        }
        let boot = &self.enroll.boot_id;
        let print = &self.thumbprint;
        if !hosts::note_replacement(conn, &uid, boot, print, self.now).await? {
            return Err(anyhow::anyhow!("a second replacement in boot {boot}").into());
        }
        hosts::replace_keys(conn, &uid).await?;
        db::sessions::end_all(conn, &uid, self.now).await?;
        hosts::insert_key(conn, &self.key(&uid)?, self.now).await?;
        hosts::upsert(conn, &self.row(&uid, "accepted", "")?).await?;
        audit::record(conn, print, "host.replace_key", &uid, self.now).await?;
        Ok(EnrollAnswer::Accepted { host_uid: uid })
    }

    /// Writes the host and its key, as pending when they are new.
    async fn write(&self, conn: &mut Connection, uid: &str, reason: &str) -> Result<(), Refused> {
        if self.is_new() {
            self.make_room(conn).await?;
        }
        hosts::upsert(conn, &self.row(uid, "pending", reason)?).await?;
        if self.is_new() {
            hosts::insert_key(conn, &self.key(uid)?, self.now).await?;
        } else {
            hosts::set_pending_reason(conn, uid, reason).await?;
        }
        Ok(())
    }

    /// A flood of newcomers fills its own list only: it costs other hosts nothing.
    async fn make_room(&self, conn: &mut Connection) -> Result<(), Refused> {
        let host_id = &self.enroll.host_id;
        let (mut same, all) = hosts::count_pending(conn, host_id).await?;
        if same >= PENDING_PER_HOST_ID {
            hosts::forget_silent(conn, host_id, self.now - SILENT).await?;
            same = hosts::count_pending(conn, host_id).await?.0;
        }
        if same >= PENDING_PER_HOST_ID || all >= PENDING_PER_HUB {
            return Err(Refused::limited(300));
        }
        Ok(())
    }

    fn key(&self, uid: &str) -> Result<KeyRow, Refused> {
        Ok(KeyRow {
            thumbprint: self.thumbprint.clone(),
            host_uid: uid.to_owned(),
            public_key: to_json(&self.enroll.public_key)?,
            state: "active".to_owned(),
        })
    }

    fn row(&self, uid: &str, state: &str, reason: &str) -> Result<HostRow, Refused> {
        let enroll = self.enroll;
        Ok(HostRow {
            uid: uid.to_owned(),
            host_id: enroll.host_id.clone(),
            host_id_source: enroll.host_id_source.clone(),
            state: state.to_owned(),
            reason: reason.to_owned(),
            token_id: self.token.map(|token| token.id.clone()),
            evidence: to_json(&enroll.evidence)?,
            findings: to_json(&enroll.findings)?,
            labels: to_json(&enroll.labels)?,
            arch: enroll.arch.clone(),
            created_at: self.now,
            enrolled_at: self.now,
            accepted_at: None,
            settled: 0,
            address: self.ip.to_string(),
        })
    }
}

/// Why a token has no use left.
fn over(token: &TokenRow, now: i64) -> Refused {
    let id = &token.id;
    let (code, message) = if token.revoked_at.is_some() {
        (
            "token_revoked",
            format!("token {id} was revoked; make a new one"),
        )
    } else if token.expires_at <= now {
        (
            "token_expired",
            format!("token {id} has expired; make a new one"),
        )
    } else {
        (
            "token_used",
            format!(
                "token {id} has no use left (of {}); make a new one",
                token.uses
            ),
        )
    };
    Refused::new(StatusCode::FORBIDDEN, code, message)
}
