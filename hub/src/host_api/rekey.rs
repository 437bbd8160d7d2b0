//! A host that changes its identity key by itself: the old key and the new one both sign.

use axum::http::StatusCode;
use burin_api::dsse::{Envelope, PublicKey};
use burin_api::message::{Rekey, RekeyAnswer};

use super::refusal::Refused;
use super::said;
use super::session::admitted;
use crate::clock;
use crate::codes::HostCode;
use crate::db::hosts::{self, HostRow, KeyRow};
use crate::db::{Connection, audit, from_json, machines, sessions, to_json};
use crate::state::Hub;

pub(super) async fn answer(hub: &Hub, envelope: &Envelope) -> Result<RekeyAnswer, Refused> {
    let now = clock::now_ms();
    let asked: Rekey = said::peeked(envelope)?;
    hub.nonces.check(&asked.nonce, now)?;
    if !matches!(asked.public_key, PublicKey::EcdsaP256(_)) {
        return Err(Refused::bad_request("the identity key must be ECDSA P-256"));
    }
    // Before the one writer is taken: a forged request shall cost nobody else anything.
    let asked: Rekey = said::opened(envelope, &[&asked.public_key])?;
    let thumbprint = asked
        .public_key
        .thumbprint()
        .map_err(|err| Refused::signature(&err))?;
    let mut tx = hub.db.begin().await?;
    let unknown = || {
        let message = format!("the hub knows no host {}; enroll again", asked.host_uid);
        Refused::new(StatusCode::FORBIDDEN, HostCode::HostUnknown, message).after(0)
    };
    let uid = asked.host_uid.as_str();
    let host = hosts::get(&mut tx, uid).await?.ok_or_else(unknown)?;
    let key = hosts::active_key(&mut tx, uid).await?.ok_or_else(unknown)?;
    if key.thumbprint != thumbprint {
        let old: PublicKey = from_json(&key.public_key)?;
        said::opened::<Rekey>(envelope, &[&old, &asked.public_key])?;
    }
    hub.nonces.spend(&hub.db, &asked.nonce, now).await??;
    hub.limits
        .session
        .take(uid, now)
        .map_err(Refused::limited)?;
    let may = may_change(&mut tx, &host, key.thumbprint != thumbprint).await;
    may.map_err(|refused| refused.of(uid))?;
    let answer = RekeyAnswer {
        host_uid: uid.to_owned(),
        thumbprint: thumbprint.clone(),
    };
    if key.thumbprint == thumbprint {
        // The answer of before was lost; the new key is in force already.
        return Ok(answer);
    }
    if hosts::key(&mut tx, &thumbprint).await?.is_some() {
        let message = "this key was used before; make a new one";
        return Err(Refused::new(
            StatusCode::CONFLICT,
            HostCode::KeyUsed,
            message,
        ));
    }
    hosts::replace_keys(&mut tx, uid).await?;
    sessions::end_all(&mut tx, uid, now).await?;
    let row = KeyRow {
        thumbprint,
        host_uid: uid.to_owned(),
        public_key: to_json(&asked.public_key)?,
        state: "active".to_owned(),
    };
    hosts::insert_key(&mut tx, &row, now).await?;
    audit::record(&mut tx, uid, &action(&host.rekey), uid, now).await?;
    tx.commit().await?;
    hub.wake();
    Ok(answer)
}

/// Where a key was copied the copy has it, too, and could lock the host out with a new one.
async fn may_change(conn: &mut Connection, host: &HostRow, is_new: bool) -> Result<(), Refused> {
    admitted(&host.state)?;
    if !is_new || machines::chosen(conn, &host.uid).await?.is_none() {
        return Ok(());
    }
    let message = "the key of this host was copied, so it cannot prove who changes it; install the \
                   host anew to give it another one";
    Err(Refused::new(StatusCode::FORBIDDEN, HostCode::Quarantined, message).after(900))
}

fn action(asked: &str) -> String {
    match asked {
        "" => "host.rekey by itself".to_owned(),
        why => format!("host.rekey by itself, {why}"),
    }
}
