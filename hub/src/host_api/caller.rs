//! One host at the door: what the hub knows of it, and what a verdict does.

use std::net::IpAddr;
use std::time::Duration;

use burin_api::claim::KeyLabel;
use burin_api::code;
use burin_api::message::{Enroll, EnrollAnswer};

use super::admission::{self, Known, Proven, Rival, Situation, Verdict};
use super::refusal::Refused;
use crate::db::claims::ClaimRow;
use crate::db::hosts::{self, HostRow, KeyRow};
use crate::db::pending::{self, Waiting};
use crate::db::preauths::PreauthRow;
use crate::db::tokens::TokenRow;
use crate::db::{self, Connection, audit, from_json, live, to_json};
use crate::people::scope::DEFAULT;
use crate::registration::{accept, challenge};
use crate::vault::Vault;

const PENDING_PER_HOST_ID: i64 = 20;
/// Of those that a token, an announcement or a claim called into it.
const PENDING_PER_PROJECT: i64 = 500;
const PENDING_PER_HUB: i64 = 10_000;
/// Milliseconds after which a pending host makes room for a newer one with its host ID.
const SILENT: i64 = 600_000;
/// How soon a pending host asks again, seconds: often while somebody may stand beside it.
const PENDING_SOON: u32 = 5;
const PENDING_LATER: u32 = 30;
const SOMEBODY_STANDS_BESIDE: i64 = 600_000;

pub(super) struct Caller<'a> {
    pub(super) thumbprint: String,
    pub(super) label: KeyLabel,
    pub(super) ip: IpAddr,
    pub(super) enroll: &'a Enroll,
    pub(super) token: Option<&'a TokenRow>,
    pub(super) now: i64,
    /// Of the host row that this key has.
    uid: Option<String>,
    first_seen: i64,
    pub(super) announced: Option<PreauthRow>,
    pub(super) claimed: Option<ClaimRow>,
    /// The project that somebody called it into.
    pub(super) called: Option<String>,
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
            called: None,
        })
    }

    /// Where it waits, or lands.
    fn project(&self) -> &str {
        self.called.as_deref().unwrap_or(DEFAULT)
    }

    /// Whether this was its first call.
    pub(super) fn is_new(&self) -> bool {
        self.uid.is_none()
    }

    /// uid of the host that has this key; empty at its first call.
    pub(super) fn known_uid(&self) -> &str {
        self.uid.as_deref().unwrap_or_default()
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
        vault: &Vault,
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
            } => self.wait(conn, vault, reason, message, wait).await,
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
        vault: &Vault,
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
        let shown = challenge::ensure(conn, vault, &uid, self.now).await?;
        if let EnrollAnswer::Pending {
            code,
            code_lifetime,
            match_number,
            etag,
            ..
        } = &mut answer
        {
            *code = Some(code::shown(&shown.code));
            *code_lifetime = u32::try_from((shown.expires_at - self.now) / 1000).unwrap_or(0);
            *match_number = u8::try_from(shown.number).ok();
            *etag = Some(challenge::etag(reason, &shown));
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

    async fn replace(&self, conn: &mut Connection, uid: String) -> Result<EnrollAnswer, Refused> {
        if let Some(own) = &self.uid {
            // It asked before the old key was silent for long enough.
            pending::forget(conn, own).await?;
        }
        let boot = &self.enroll.boot_id;
        let print = &self.thumbprint;
        if !hosts::note_replacement(conn, &uid, boot, print, self.now).await? {
            return Err(anyhow::anyhow!("a second replacement in boot {boot}").into());
        }
        hosts::replace_keys(conn, &uid).await?;
        db::sessions::end_all(conn, &uid, self.now).await?;
        db::machines::forget(conn, &uid).await?;
        hosts::insert_key(conn, &self.key(&uid)?, self.now).await?;
        hosts::upsert(conn, &self.row(&uid, "accepted", "")?).await?;
        audit::record(conn, print, "host.replace_key", &uid, self.now).await?;
        Ok(EnrollAnswer::Accepted { host_uid: uid })
    }

    /// Writes the host and its key, as pending when they are new.
    async fn write(&self, conn: &mut Connection, uid: &str, reason: &str) -> Result<(), Refused> {
        if self.is_new() {
            self.make_room(conn, reason).await?;
        }
        hosts::upsert(conn, &self.row(uid, "pending", reason)?).await?;
        if self.is_new() {
            hosts::insert_key(conn, &self.key(uid)?, self.now).await?;
        } else {
            pending::set(conn, uid, reason, self.project()).await?;
        }
        Ok(())
    }

    /// A flood of newcomers fills its own list only: it costs other hosts nothing.
    async fn make_room(&self, conn: &mut Connection, reason: &str) -> Result<(), Refused> {
        let host_id = &self.enroll.host_id;
        let project = self.project();
        let mut waiting = pending::count(conn, host_id, project).await?;
        if waiting.same >= PENDING_PER_HOST_ID {
            pending::forget_silent(conn, host_id, self.now - SILENT).await?;
            waiting = pending::count(conn, host_id, project).await?;
        }
        let Waiting { same, called, all } = waiting;
        if same >= PENDING_PER_HOST_ID {
            return Err(Refused::full(format!(
                "{same} hosts wait with the host ID {host_id}; deny those in the hub that are none of \
                 yours, or give this one a host.id of its own in its user-data"
            )));
        }
        // Who is let in at once waits for nobody, and who was called by nobody is counted by the hub.
        let counts = !reason.is_empty() && self.called.is_some();
        if counts && called >= PENDING_PER_PROJECT {
            return Err(Refused::full(format!(
                "{called} hosts wait in the project {project} for somebody to let them in; deny those \
                 in the hub that are none of yours, and revoke a token that others have"
            )));
        }
        if all >= PENDING_PER_HUB {
            return Err(Refused::full(format!(
                "{all} hosts wait for somebody to let them in; deny those in the hub that are none of \
                 yours"
            )));
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
            rekey: String::new(),
            project: self.project().to_owned(),
        })
    }
}
