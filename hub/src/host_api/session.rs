//! Sessions: a key in the host's RAM that signs its heartbeats.

use std::net::IpAddr;

use axum::http::StatusCode;
use burin_api::dsse::{Envelope, PublicKey};
use burin_api::message::{KeyStore, OpenSession, SessionAnswer};
use burin_seal::PublicKey as SealingKey;

use super::refusal::Refused;
use super::said;
use crate::clock;
use crate::codes::HostCode;
use crate::db::hosts::KeyRow;
use crate::db::machines::{self, MachineRow};
use crate::db::sessions::{self, SessionRow};
use crate::db::{Connection, audit, from_json, hosts, to_json};
use crate::state::Hub;

/// Seconds.
const LIFETIME: u32 = 24 * 3600;
/// Characters that are kept of what a machine calls itself.
const LONGEST_NAME: usize = 256;

pub(super) async fn answer(
    hub: &Hub,
    ip: IpAddr,
    envelope: &Envelope,
) -> Result<SessionAnswer, Refused> {
    let now = clock::now_ms();
    let asked: OpenSession = said::peeked(envelope)?;
    check_form(&asked)?;
    hub.nonces.check(&asked.nonce, now)?;
    if !matches!(asked.session_key, PublicKey::Ed25519(_)) {
        return Err(Refused::bad_request("the session key must be Ed25519"));
    }
    // Before the one writer is taken: a forged request shall cost nobody else anything.
    let mut conn = hub.db.reader().acquire().await?;
    signer(&mut conn, envelope, &asked).await?;
    drop(conn);
    if let Some(Err(err)) = asked.sealing_key.as_deref().map(str::parse::<SealingKey>) {
        return Err(Refused::bad_request(err.to_string()));
    }
    let done = begin(hub, ip, envelope, &asked).await;
    done.map_err(|refused| refused.of(&asked.host_uid))
}

/// The session of a request that the host's key signed.
async fn begin(
    hub: &Hub,
    ip: IpAddr,
    envelope: &Envelope,
    asked: &OpenSession,
) -> Result<SessionAnswer, Refused> {
    let now = clock::now_ms();
    let mut tx = hub.db.begin().await?;
    let key = signer(&mut tx, envelope, asked).await?;
    let host = hosts::get(&mut tx, &asked.host_uid)
        .await?
        .ok_or_else(|| unknown(&asked.host_uid))?;
    // The nonce first: a replay must not use up what the host may ask for.
    hub.nonces.spend(&hub.db, &asked.nonce, now).await??;
    hub.limits
        .session
        .take(&host.uid, now)
        .map_err(Refused::limited)?;
    if let Err(refused) = admitted(&host.state) {
        if host.state == "quarantined" {
            machines::note(&mut tx, &machine(asked, ip, now)).await?;
            tx.commit().await?;
        }
        return Err(refused);
    }
    machines::note(&mut tx, &machine(asked, ip, now)).await?;
    let chosen = machines::chosen(&mut tx, &host.uid).await?;
    if chosen.is_some_and(|hardware| hardware != asked.hardware_digest) {
        tx.commit().await?;
        return Err(other_machine());
    }

    ask_if_old(hub, &mut tx, asked, now).await?;
    let row = row(asked, key.thumbprint, now)?;
    let before = sessions::newest(&mut tx, &host.uid).await?;
    if takes_turns(&before, &row) {
        let reason = "two machines take turns with one key";
        hosts::set_state(&mut tx, &host.uid, "quarantined", reason).await?;
        sessions::end_all(&mut tx, &host.uid, now).await?;
        audit::record(&mut tx, &host.uid, "host.quarantine", &host.uid, now).await?;
        tx.commit().await?;
        return Err(quarantined());
    }
    sessions::forget_old(&mut tx, now).await?;
    sessions::open(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(SessionAnswer {
        session: row.id,
        lifetime: LIFETIME,
        interval: super::sync::interval(hub, now).await?,
        time: clock::wire(now),
        sealing_key: Some(hub.vault.sealing.public().to_string()),
    })
}

/// Wants another key of a host whose key is too old, unless that ends with the installation anyhow.
async fn ask_if_old(
    hub: &Hub,
    conn: &mut Connection,
    asked: &OpenSession,
    now: i64,
) -> sqlx::Result<()> {
    if asked.key_store == KeyStore::Ram {
        return Ok(());
    }
    let age = i64::try_from(hub.settings.rekey_after.as_millis()).unwrap_or(i64::MAX);
    hosts::ask_rekey_of_age(conn, &asked.host_uid, now.saturating_sub(age)).await
}

/// The host's key of now, which signed the request.
async fn signer(
    conn: &mut Connection,
    envelope: &Envelope,
    asked: &OpenSession,
) -> Result<KeyRow, Refused> {
    let key = hosts::active_key(conn, &asked.host_uid)
        .await?
        .ok_or_else(|| unknown(&asked.host_uid))?;
    let identity: PublicKey = from_json(&key.public_key)?;
    said::opened::<OpenSession>(envelope, &[&identity])?;
    Ok(key)
}

fn unknown(uid: &str) -> Refused {
    let message = format!("the hub knows no host {uid}; enroll again");
    Refused::new(StatusCode::FORBIDDEN, HostCode::HostUnknown, message).after(0)
}

/// What is kept of a session is short.
fn check_form(asked: &OpenSession) -> Result<(), Refused> {
    said::check(&[
        ("host_uid", &asked.host_uid, 64),
        ("boot_id", &asked.boot_id, 64),
        ("hardware_digest", &asked.hardware_digest, 128),
        ("agent", &asked.agent, 64),
    ])?;
    match &asked.sealing_key {
        Some(key) => said::check(&[("sealing_key", key, 128)]),
        None => Ok(()),
    }
}

/// Whether a host in this state may open or use sessions.
pub(super) fn admitted(state: &str) -> Result<(), Refused> {
    let (code, message) = match state {
        "accepted" => return Ok(()),
        "quarantined" => return Err(quarantined()),
        "revoked" | "retired" => (HostCode::Revoked, "an admin revoked or retired this host"),
        _ => (
            HostCode::NotAccepted,
            "this host is not accepted; enroll again",
        ),
    };
    Err(Refused::new(StatusCode::FORBIDDEN, code, message))
}

fn quarantined() -> Refused {
    Refused::new(
        StatusCode::FORBIDDEN,
        HostCode::Quarantined,
        "two machines with different hardware use this host's key; look at it in the hub",
    )
    // Once it is released, it shall be back within a minute.
    .after(45)
}

fn other_machine() -> Refused {
    Refused::new(
        StatusCode::FORBIDDEN,
        HostCode::Quarantined,
        "this disk is a copy: its key belongs to another machine now; install this machine anew from \
         an empty disk, or choose it in the hub",
    )
    .after(300)
}

fn machine(asked: &OpenSession, ip: IpAddr, now: i64) -> MachineRow {
    MachineRow {
        host_uid: asked.host_uid.clone(),
        hardware: asked.hardware_digest.clone(),
        name: asked.machine.chars().take(LONGEST_NAME).collect(),
        address: ip.to_canonical().to_string(),
        first_at: now,
        seen_at: now,
        chosen: 0,
    }
}

fn row(asked: &OpenSession, thumbprint: String, now: i64) -> Result<SessionRow, Refused> {
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(SessionRow {
        id: hex::encode(crate::secret::random::<16>()?),
        host_uid: asked.host_uid.clone(),
        thumbprint,
        public_key: to_json(&asked.session_key)?,
        sealing_key: asked.sealing_key.clone(),
        boot_id: asked.boot_id.clone(),
        hardware_digest: asked.hardware_digest.clone(),
        key_store: word(serde_json::json!(asked.key_store)),
        mode: word(serde_json::json!(asked.mode)),
        agent: asked.agent.clone(),
        sequence: 0,
        opened_at: now,
        expires_at: now + i64::from(LIFETIME) * 1000,
        ended_at: None,
    })
}

/// A boot that comes back after another boot with other hardware: the key lives in two machines.
/// One machine never returns to an old boot ID, and a repaired one does not change back.
fn takes_turns(newest_first: &[SessionRow], opened: &SessionRow) -> bool {
    newest_first
        .iter()
        .skip_while(|row| row.boot_id == opened.boot_id)
        .skip_while(|row| row.hardware_digest == opened.hardware_digest)
        .any(|row| row.boot_id == opened.boot_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(boot: &str, hardware: &str) -> SessionRow {
        SessionRow {
            id: String::new(),
            host_uid: String::new(),
            thumbprint: String::new(),
            public_key: String::new(),
            sealing_key: None,
            boot_id: boot.to_owned(),
            hardware_digest: hardware.to_owned(),
            key_store: String::new(),
            mode: String::new(),
            agent: String::new(),
            sequence: 0,
            opened_at: 0,
            expires_at: 0,
            ended_at: None,
        }
    }

    #[test]
    fn only_a_boot_that_returns_after_other_hardware_takes_turns() {
        let (a, b) = (("1", "A"), ("2", "B"));
        for (before, opened, want) in [
            (vec![], a, false),
            (vec![a, a], a, false),
            (vec![a], b, false),
            (vec![b, a], ("3", "A"), false),
            (vec![("2", "A"), a], a, false),
            (vec![b, a], a, true),
            (vec![b, b, a], a, true),
        ] {
            let rows: Vec<_> = before.iter().map(|(boot, hw)| session(boot, hw)).collect();
            let found = takes_turns(&rows, &session(opened.0, opened.1));
            assert_eq!(found, want, "{before:?} then {opened:?}");
        }
    }
}
