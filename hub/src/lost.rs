//! What the database holds sealed and the keys beside it do not open: said at the start, not when
//! somebody stands before a login.

use crate::db::{Db, credentials, people};
use crate::people::code::{self, SeedKey};
use crate::registries;
use crate::vault::{self, Vault};

/// Warns in the log of what is lost and how to get it again. `new_secrets`: the file of the vault was
/// missing although the database is older.
pub(crate) async fn warn(
    db: &Db,
    seeds: &SeedKey,
    vault: &Vault,
    new_secrets: bool,
) -> anyhow::Result<()> {
    let people = people::list(db).await?;
    let closed = people.iter().filter(|person| {
        let sealed = person.totp.as_deref();
        sealed.is_some_and(|sealed| !seeds.opens(&person.name, sealed))
    });
    let closed: Vec<&str> = closed.map(|person| person.name.as_str()).collect();
    if !closed.is_empty() {
        tracing::warn!(
            "the one-time codes of {} cannot be checked: {} is not the one that they were sealed \
             with. Restore it from a backup, or let each set up new ones after `burin-hub person \
             forget-code NAME`",
            closed.join(", "),
            code::FILE
        );
    }
    if new_secrets {
        tracing::warn!(
            "{} was missing and is made anew: passwords of registries, kubeconfigs, codes on \
             screens and ISOs in the making that the database holds cannot be opened. Restore it \
             from a backup; without it hosts send their kubeconfigs again within a day",
            vault::FILE
        );
    }
    let mut conn = db.reader().acquire().await?;
    for row in credentials::list(&mut conn).await? {
        if registries::open(&vault.credentials, &row).is_none() {
            tracing::warn!("{}", registries::closed(&row.host));
        }
    }
    Ok(())
}
