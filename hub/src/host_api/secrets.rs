//! Secrets on their way down to a host, sealed to the key of its session, and those that come up.

use burin_api::message::Sync;
use burin_api::sealed::{HostSecrets, MAX_SEALED, RegistryLogin, Sealed, SealedSecrets};
use burin_seal::{Context, PublicKey, Purpose};

use super::desired::{self, Target};
use super::refusal::Refused;
use crate::clock;
use crate::db::kubeconfigs::{self, KubeconfigRow};
use crate::db::sessions::SessionRow;
use crate::db::{Connection, credentials, to_json};
use crate::registries;
use crate::secret::sha256;
use crate::state::Hub;

/// What the host's registries need, unless it holds just that.
pub(super) async fn news(
    hub: &Hub,
    session: &SessionRow,
    target: Option<&Target>,
    held: Option<&str>,
) -> Result<Option<SealedSecrets>, Refused> {
    let (Some(key), Some(target)) = (&session.sealing_key, target) else {
        return Ok(None);
    };
    let mut conn = hub.db.reader().acquire().await?;
    let revision = credentials::revision(&mut conn).await?;
    if revision == 0 {
        return Ok(None);
    }
    let etag = sha256(format!("{revision} {}", target.etag).as_bytes())[..32].to_owned();
    if held == Some(&etag) {
        return Ok(None);
    }
    let secrets = collect(hub, &mut conn, target).await?;
    drop(conn);
    let key: PublicKey = key.parse().map_err(anyhow::Error::from)?;
    let context = Context {
        purpose: Purpose::HostSecrets,
        hub_id: &hub.keys.root.hub_id,
        host_uid: &session.host_uid,
        session: &session.id,
    };
    let text = serde_json::to_vec(&secrets).map_err(anyhow::Error::from)?;
    let sealed = key.seal(&context, &text).map_err(anyhow::Error::from)?;
    if sealed.ciphertext.len() > MAX_SEALED {
        tracing::error!(host = session.host_uid, "its credentials are too long");
        return Ok(None);
    }
    Ok(Some(SealedSecrets { etag, sealed }))
}

/// The credentials of the release's registries.
async fn collect(
    hub: &Hub,
    conn: &mut Connection,
    target: &Target,
) -> Result<HostSecrets, Refused> {
    let release = desired::release(conn, target).await?;
    let known = registries::all(hub, conn).await?;
    let mut secrets = HostSecrets::default();
    for registry in &release.registries {
        match known.get(&registry.host) {
            Some(Ok(found)) if !registry.plain_http => secrets.registries.push(RegistryLogin {
                host: registry.host.clone(),
                username: found.username.clone(),
                password: found.password.clone(),
            }),
            Some(Err(why)) => tracing::error!("a host does without credentials: {why}"),
            Some(Ok(_)) | None => {}
        }
    }
    Ok(secrets)
}

/// Refuses a kubeconfig that cannot be a sealed one, before anything of the sync is kept.
pub(super) fn check(asked: &Sync) -> Result<(), Refused> {
    // 32 bytes are 44 characters of base 64.
    let fits = |sealed: &Sealed| sealed.enc.len() == 44 && sealed.ciphertext.len() <= MAX_SEALED;
    if asked.kubeconfig.as_ref().is_none_or(fits) {
        return Ok(());
    }
    let message = format!("a sealed kubeconfig has at most {MAX_SEALED} bytes of base 64");
    Err(Refused::bad_request(message))
}

/// Keeps a kubeconfig as it came: nobody needs to read it before somebody asks for it.
pub(super) async fn keep(hub: &Hub, uid: &str, sealed: &Sealed) -> Result<(), Refused> {
    let row = KubeconfigRow {
        host_uid: uid.to_owned(),
        sealed: to_json(sealed)?,
        received_at: clock::now_ms(),
    };
    let mut tx = hub.db.begin().await?;
    kubeconfigs::put(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(())
}
