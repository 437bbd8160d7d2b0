//! Admission of hosts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use axum::http::StatusCode;
use burin_api::dsse::{Envelope, PublicKey};
use burin_api::message::{Enroll, EnrollAnswer};

use super::admission::{self, Known, Proven, Rival, Situation, Verdict};
use super::refusal::Refused;
use crate::clock;
use crate::db::hosts::{HostRow, KeyRow};
use crate::db::tokens::TokenRow;
use crate::db::{
    self, Connection, assignments, audit, from_json, hosts, live, profiles, to_json, tokens,
};
use crate::network::Network;
use crate::state::Hub;

/// A host that nobody approved is turned away after this, milliseconds.
const PENDING_LIFETIME: i64 = 24 * 3_600_000;
/// How long such a host is still shown, milliseconds.
const EXPIRED_KEPT: i64 = 7 * 24 * 3_600_000;
const PENDING_PER_HOST_ID: i64 = 20;
const PENDING_PER_HUB: i64 = 10_000;
/// How soon a pending host asks again, seconds: often while somebody may stand beside it.
const PENDING_SOON: u32 = 5;
const PENDING_LATER: u32 = 30;
const SOMEBODY_STANDS_BESIDE: i64 = 600_000;

pub(super) async fn answer(
    hub: &Hub,
    ip: IpAddr,
    envelope: Envelope,
) -> Result<EnrollAnswer, Refused> {
    let now = clock::now_ms();
    super::door(hub, ip, now)?;
    let enroll: Enroll = envelope.peek().map_err(|err| Refused::signature(&err))?;
    check_form(&enroll)?;
    hub.nonces.check(&enroll.nonce, now)?;
    // Before the one writer is taken: a forged request shall cost nobody else anything.
    envelope
        .open::<Enroll>(&[&enroll.public_key])
        .map_err(|err| Refused::signature(&err))?;

    let mut tx = hub.db.begin().await?;
    let token = match &enroll.token_id {
        Some(id) => Some(tokens::get(&mut tx, id).await?.ok_or_else(|| {
            let message = format!("the hub knows no token {id}; make a new one");
            Refused::new(StatusCode::FORBIDDEN, "token_unknown", message)
        })?),
        None => None,
    };
    let token_key: Option<PublicKey> = token
        .as_ref()
        .map(|token| from_json(&token.public_key))
        .transpose()?;
    let mut signers = vec![&enroll.public_key];
    signers.extend(&token_key);
    let enroll: Enroll = envelope
        .open(&signers)
        .map_err(|err| Refused::signature(&err))?;
    hub.nonces.spend(&hub.db, &enroll.nonce, now).await??;

    hosts::expire_pending(&mut tx, now - PENDING_LIFETIME).await?;
    hosts::forget_expired(&mut tx, now - EXPIRED_KEPT).await?;
    let mut caller = Caller {
        thumbprint: enroll
            .public_key
            .thumbprint()
            .map_err(|err| Refused::signature(&err))?,
        ip: ip.to_canonical(),
        enroll: &enroll,
        token: token.as_ref(),
        now,
        uid: None,
        first_seen: now,
    };
    let verdict = caller.judge(&mut tx, hub.settings.replace_after).await?;
    let answer = caller.carry_out(&mut tx, verdict).await?;
    tx.commit().await?;
    hub.wake();
    Ok(answer)
}

/// Texts that go into the database and onto pages are short; nothing else is asked of them.
fn check_form(enroll: &Enroll) -> Result<(), Refused> {
    let fine = |text: &str, limit: usize| {
        !text.is_empty() && text.len() <= limit && !text.chars().any(char::is_control)
    };
    for (name, text, limit) in [
        ("host_id", &enroll.host_id, 64),
        ("host_id_source", &enroll.host_id_source, 64),
        ("boot_id", &enroll.boot_id, 64),
        ("agent", &enroll.agent, 64),
        ("arch", &enroll.arch, 16),
    ] {
        if !fine(text, limit) {
            let message = format!("`{name}` must be 1 to {limit} printable characters");
            return Err(Refused::bad_request(message));
        }
    }
    if !matches!(enroll.public_key, PublicKey::EcdsaP256(_)) {
        return Err(Refused::bad_request("the identity key must be ECDSA P-256"));
    }
    Ok(())
}

struct Caller<'a> {
    thumbprint: String,
    ip: IpAddr,
    enroll: &'a Enroll,
    token: Option<&'a TokenRow>,
    now: i64,
    /// Of the host row that this key has.
    uid: Option<String>,
    first_seen: i64,
}

impl Caller<'_> {
    async fn judge(
        &mut self,
        conn: &mut Connection,
        replace_after: Duration,
    ) -> Result<Verdict, Refused> {
        let known = self.known(conn).await?;
        let rival = self.rival(conn).await?;
        let situation = Situation {
            known,
            rival,
            token: self.token.map(|token| Proven {
                id: token.id.clone(),
                revoked: token.revoked_at.is_some(),
                requires_approval: token.requires_approval != 0,
            }),
            evidence: &self.enroll.evidence,
            findings: &self.enroll.findings,
            replace_after,
        };
        Ok(admission::decide(&situation))
    }

    async fn known(&mut self, conn: &mut Connection) -> Result<Known, Refused> {
        let Some(key) = hosts::key(conn, &self.thumbprint).await? else {
            return Ok(Known::No);
        };
        if key.state == "replaced" {
            return Ok(Known::Replaced);
        }
        let Some(host) = hosts::get(conn, &key.host_uid).await? else {
            return Ok(Known::No);
        };
        self.uid = Some(host.uid.clone());
        self.first_seen = host.created_at;
        Ok(Known::Key {
            uid: host.uid,
            state: host.state,
            reason: host.reason,
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

    async fn carry_out(
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
            } => {
                let uid = self.uid_or_new();
                self.write(conn, &uid, reason).await?;
                let interval = wait.unwrap_or_else(|| self.usual_wait());
                Ok(EnrollAnswer::Pending {
                    reason: reason.to_owned(),
                    message,
                    interval: interval.min(PENDING_LATER),
                    code: None,
                    code_lifetime: 0,
                    match_number: None,
                    etag: None,
                })
            }
            Verdict::Replace { uid } => self.replace(conn, uid).await,
            Verdict::Admit => self.admit(conn).await,
        }
    }

    fn uid_or_new(&self) -> String {
        self.uid
            .clone()
            .unwrap_or_else(|| uuid::Uuid::now_v7().to_string())
    }

    fn usual_wait(&self) -> u32 {
        if self.now - self.first_seen < SOMEBODY_STANDS_BESIDE {
            PENDING_SOON
        } else {
            PENDING_LATER
        }
    }

    async fn admit(&self, conn: &mut Connection) -> Result<EnrollAnswer, Refused> {
        let Some(token) = self.token else {
            return Err(anyhow::anyhow!("admitted without a token").into());
        };
        self.check_network(token)?;
        if !tokens::take_use(conn, &token.id, self.now).await? {
            return Err(over(token, self.now));
        }
        let uid = self.uid_or_new();
        self.write(conn, &uid, "").await?;
        let mut labels = self.enroll.labels.clone();
        // What the hub's admin wrote wins over what the machine says of itself.
        labels.extend(from_json::<BTreeMap<String, String>>(&token.labels)?);
        let labels = to_json(&labels)?;
        hosts::accept(conn, &uid, Some(&token.id), &labels, self.now).await?;
        assign_default(conn, &uid, token, self.now).await?;
        let actor = format!("token {}", token.id);
        audit::record(conn, &actor, "host.accept", &uid, self.now).await?;
        Ok(EnrollAnswer::Accepted { host_uid: uid })
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
        if self.uid.is_none() {
            let (same, all) = hosts::count_pending(conn, &self.enroll.host_id).await?;
            if same >= PENDING_PER_HOST_ID || all >= PENDING_PER_HUB {
                return Err(Refused::limited(300));
            }
        }
        hosts::upsert(conn, &self.row(uid, "pending", reason)?).await?;
        if self.uid.is_none() {
            hosts::insert_key(conn, &self.key(uid)?, self.now).await?;
        } else {
            hosts::set_pending_reason(conn, uid, reason).await?;
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

/// Gives a host the newest version of the token's profile.
pub(crate) async fn assign_default(
    conn: &mut Connection,
    uid: &str,
    token: &TokenRow,
    now: i64,
) -> sqlx::Result<()> {
    let Some(profile) = &token.profile else {
        return Ok(());
    };
    let Some(newest) = profiles::newest(conn, profile).await? else {
        tracing::warn!(
            "token {} names profile {profile}, which has no version",
            token.id
        );
        return Ok(());
    };
    assignments::insert(conn, uid, &newest.name, &newest.version, None, now).await?;
    Ok(())
}
