//! What stands on the screen of a pending host: a code to type and a number to compare.

use anyhow::anyhow;
use burin_api::code;

use crate::db::Connection;
use crate::db::claims::{self, ChallengeRow};
use crate::secret::{random, sha256};

/// How long a code is shown, milliseconds.
const CODE_LIFETIME: i64 = 15 * 60_000;
/// Wrong numbers until another one is drawn.
pub(crate) const TRIES: i64 = 3;
/// Wrong codes and numbers of one account within [`WINDOW`].
const GUESSES: usize = 5;
/// Milliseconds.
const WINDOW: i64 = 10 * 60_000;

/// The challenge that a host shows; drawn anew when there is none or its time is over.
pub(crate) async fn ensure(
    conn: &mut Connection,
    uid: &str,
    now: i64,
) -> anyhow::Result<ChallengeRow> {
    if let Some(row) = claims::challenge(conn, uid).await?
        && row.expires_at > now
    {
        return Ok(row);
    }
    // 10,000 codes of 25 thousand million: a second draw is rare, a fourth does not happen.
    for _ in 0..8 {
        let Some(code) = code::draw(random()?) else {
            continue;
        };
        let row = ChallengeRow {
            host_uid: uid.to_owned(),
            code,
            expires_at: now + CODE_LIFETIME,
            number: draw_number(None)?,
            tries: 0,
        };
        if claims::put_challenge(conn, &row).await? {
            return Ok(row);
        }
    }
    Err(anyhow!("no free code was found for host {uid}"))
}

/// What names reason, code and number: a host returns it to ask for anything newer.
pub(crate) fn etag(reason: &str, row: &ChallengeRow) -> String {
    let said = format!("{reason}\0{}\0{}", row.code, row.number);
    sha256(said.as_bytes())[..16].to_owned()
}

/// Counts a wrong number. Returns how many tries are left before another number is drawn.
pub(crate) async fn wrong_number(conn: &mut Connection, row: &ChallengeRow) -> anyhow::Result<i64> {
    let tries = row.tries + 1;
    if tries < TRIES {
        claims::set_number(conn, &row.host_uid, row.number, tries).await?;
        return Ok(TRIES - tries);
    }
    let number = draw_number(Some(row.number))?;
    claims::set_number(conn, &row.host_uid, number, 0).await?;
    Ok(0)
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
