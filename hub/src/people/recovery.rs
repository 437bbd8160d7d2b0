//! Recovery codes: each logs in once in the place of a one-time code, for somebody who lost the
//! authenticator.

use burin_api::base32;

use crate::db::{Connection, recovery};
use crate::secret::{Secret, random, sha256};

/// Codes of one set.
const CODES: usize = 10;
/// Digits of base 32 in a code, 80 bits: too many to guess, so that a plain hash keeps them.
const DIGITS: usize = 16;

/// Makes a new set; the codes of before are worth nothing any more.
pub(crate) async fn renew(
    conn: &mut Connection,
    person: &str,
    now: i64,
) -> anyhow::Result<Vec<Secret>> {
    let mut codes = Vec::with_capacity(CODES);
    for _ in 0..CODES {
        codes.push(base32::encode(u128::from_be_bytes(random()?), DIGITS));
    }
    let hashes: Vec<String> = codes.iter().map(|code| hash(person, code)).collect();
    recovery::replace(conn, person, &hashes, now).await?;
    let shown = codes.iter().map(|code| {
        let groups: Vec<&str> = (0..DIGITS / 4)
            .map(|at| &code[at * 4..at * 4 + 4])
            .collect();
        Secret::new(groups.join("-"))
    });
    Ok(shown.collect())
}

/// Whether `sent` is a code of this person; a right one is used up.
pub(crate) async fn spend(conn: &mut Connection, person: &str, sent: &str) -> sqlx::Result<bool> {
    match read(sent) {
        Some(code) => recovery::spend(conn, person, &hash(person, &code)).await,
        None => Ok(false),
    }
}

fn hash(person: &str, code: &str) -> String {
    sha256(format!("recovery {person} {code}").as_bytes())
}

/// The code as it was made, from what people type: any case, with or without hyphens.
fn read(sent: &str) -> Option<String> {
    let digits: String = sent
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .collect();
    if digits.len() != DIGITS {
        return None;
    }
    base32::decode(&digits).map(|value| base32::encode(value, DIGITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = Some("0123456789ABCDEF".to_owned());
        for (sent, want) in [
            ("0123-4567-89AB-CDEF", code.clone()),
            (" o1234567 89abcdef\n", code.clone()),
            ("o123 4567 89ab cdef", code.clone()),
            ("OI23-4567-89ab-cdef", code),
            ("0123-4567-89AB-CDE", None),
            ("0123-4567-89AB-CDEU", None),
            ("123456", None),
            ("éééééééé", None),
            ("", None),
        ] {
            assert_eq!(read(sent), want, "{sent}");
        }
    }
}
