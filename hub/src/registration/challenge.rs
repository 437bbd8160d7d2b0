//! What stands on the screen of a pending host: a code to type and a number to compare.

use anyhow::anyhow;
use burin_api::code;

use crate::db::Connection;
use crate::db::claims::{self, ChallengeRow};
use crate::secret::{random, sha256};
use crate::vault::Vault;

/// How long a code is shown, milliseconds.
const CODE_LIFETIME: i64 = 15 * 60_000;
/// Wrong numbers until another one is drawn.
pub(crate) const TRIES: i64 = 3;
/// Wrong codes and numbers of one account within [`WINDOW`].
const GUESSES: usize = 5;
/// Milliseconds.
const WINDOW: i64 = 10 * 60_000;

/// What stands on the screen of a pending host.
#[derive(Debug)]
pub(crate) struct Challenge {
    pub(crate) host_uid: String,
    pub(crate) code: String,
    pub(crate) number: i64,
    pub(crate) expires_at: i64,
    /// Wrong numbers since the number was drawn.
    pub(crate) tries: i64,
}

impl Challenge {
    fn seal(&self, vault: &Vault) -> anyhow::Result<ChallengeRow> {
        let shown = format!("{} {}", self.code, self.number);
        Ok(ChallengeRow {
            host_uid: self.host_uid.clone(),
            code_hash: vault.code_hash(&self.code),
            shown: vault.screens.seal(&self.host_uid, shown.as_bytes())?,
            expires_at: self.expires_at,
            tries: self.tries,
        })
    }

    /// None when it was sealed with another key: then another one is drawn.
    fn open(row: ChallengeRow, vault: &Vault) -> Option<Self> {
        let shown = vault.screens.open(&row.host_uid, &row.shown)?;
        let (code, number) = std::str::from_utf8(&shown).ok()?.split_once(' ')?;
        Some(Self {
            code: code.to_owned(),
            number: number.parse().ok()?,
            host_uid: row.host_uid,
            expires_at: row.expires_at,
            tries: row.tries,
        })
    }
}

/// The challenge that a host was given last.
pub(crate) async fn shown(
    conn: &mut Connection,
    vault: &Vault,
    uid: &str,
) -> sqlx::Result<Option<Challenge>> {
    let row = claims::challenge(conn, uid).await?;
    Ok(row.and_then(|row| Challenge::open(row, vault)))
}

/// The uid of the pending host that shows this code now.
pub(crate) async fn host_with(
    conn: &mut Connection,
    vault: &Vault,
    code: &str,
    now: i64,
) -> sqlx::Result<Option<String>> {
    let row = claims::by_code(conn, &vault.code_hash(code), now).await?;
    Ok(row.map(|row| row.host_uid))
}

/// The challenge that a host shows; drawn anew when there is none or its time is over.
pub(crate) async fn ensure(
    conn: &mut Connection,
    vault: &Vault,
    uid: &str,
    now: i64,
) -> anyhow::Result<Challenge> {
    if let Some(held) = shown(conn, vault, uid).await?
        && held.expires_at > now
    {
        return Ok(held);
    }
    // 10,000 codes of 25 thousand million: a second one is rare, a fourth does not happen.
    for _ in 0..4 {
        let drawn = Challenge {
            host_uid: uid.to_owned(),
            code: draw_code()?,
            expires_at: now + CODE_LIFETIME,
            number: draw_number(None)?,
            tries: 0,
        };
        if claims::put_challenge(conn, &drawn.seal(vault)?).await? {
            return Ok(drawn);
        }
    }
    Err(anyhow!("no free code was found for host {uid}"))
}

/// What names reason, code and number: a host returns it to ask for anything newer.
pub(crate) fn etag(reason: &str, shown: &Challenge) -> String {
    let said = format!("{reason}\0{}\0{}", shown.code, shown.number);
    sha256(said.as_bytes())[..16].to_owned()
}

/// Counts a wrong number. Returns how many tries are left before another number is drawn.
pub(crate) async fn wrong_number(
    conn: &mut Connection,
    vault: &Vault,
    mut shown: Challenge,
) -> anyhow::Result<i64> {
    shown.tries += 1;
    if shown.tries == TRIES {
        shown.number = draw_number(Some(shown.number))?;
        shown.tries = 0;
    }
    let row = shown.seal(vault)?;
    claims::set_number(conn, &row.host_uid, &row.shown, row.tries).await?;
    Ok(match row.tries {
        0 => 0,
        tries => TRIES - tries,
    })
}

/// A code. Four draws of ten have a byte that would favour some letters, so they may not count as tries
/// to find one that is free.
fn draw_code() -> anyhow::Result<String> {
    loop {
        if let Some(code) = code::draw(random()?) {
            return Ok(code);
        }
    }
}

/// 10 to 99, and not the one before.
fn draw_number(before: Option<i64>) -> anyhow::Result<i64> {
    loop {
        let [byte] = random()?;
        // 180 is the largest multiple of 90 below 256.
        let number = i64::from(byte % 90) + 10;
        if byte < 180 && before != Some(number) {
            return Ok(number);
        }
    }
}

/// Seconds until an account may guess again; none when it may.
pub(crate) async fn locked(
    conn: &mut Connection,
    account: &str,
    now: i64,
) -> sqlx::Result<Option<i64>> {
    claims::forget_guesses(conn, now - WINDOW).await?;
    let made = claims::guesses(conn, account, now - WINDOW).await?;
    let first = made.len().checked_sub(GUESSES).and_then(|at| made.get(at));
    Ok(first.map(|at| (at + WINDOW - now) / 1000 + 1))
}

/// Counts a wrong code or number of an account.
pub(crate) async fn guessed_wrong(
    conn: &mut Connection,
    account: &str,
    now: i64,
) -> anyhow::Result<()> {
    let id = hex::encode(random::<16>()?);
    Ok(claims::note_guess(conn, &id, account, now).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{Db, Place};

    #[tokio::test]
    async fn a_screen_never_lacks_a_code() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&Place::in_folder(dir.path())).await.unwrap();
        let vault = Vault::load_or_create(dir.path()).unwrap();
        let mut tx = db.begin().await.unwrap();
        sqlx::query("PRAGMA defer_foreign_keys = ON")
            .execute(&mut *tx)
            .await
            .unwrap();
        // When bytes that were put aside counted as tries, one host in 1,400 was told of a fault.
        for number in 0..10_000 {
            let uid = number.to_string();
            ensure(&mut tx, &vault, &uid, 0).await.unwrap();
        }
    }

    #[test]
    fn numbers_have_two_digits_and_change() {
        let mut seen = std::collections::BTreeSet::new();
        let mut before = None;
        for _ in 0..2000 {
            let number = draw_number(before).unwrap();
            assert!((10..=99).contains(&number), "{number}");
            assert_ne!(Some(number), before);
            seen.insert(number);
            before = Some(number);
        }
        assert!(seen.len() > 80, "{}", seen.len());
    }
}
