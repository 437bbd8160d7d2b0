//! Passwords: argon2id hashes, and what a new one must be.

use anyhow::anyhow;
use argon2::{Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _};

use crate::admin::problem::Problem;
use crate::secret::Secret;
use crate::state::Hub;

/// Characters.
const SHORTEST: usize = 12;
/// Bytes; argon2 reads them all.
const LONGEST: usize = 256;

/// The argon2id hash of a password as a PHC string.
pub(crate) fn hash(password: &str) -> anyhow::Result<String> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash: PasswordHash| hash.to_string())
        .map_err(|err| anyhow!("hashing a password: {err}"))
}

/// As [`hash`], away from the threads that answer and only so many at once.
pub(crate) async fn hash_slowly(hub: &Hub, password: &Secret) -> anyhow::Result<String> {
    let turn = hub.hashing.acquire().await?;
    let password = password.clone();
    let hashed = tokio::task::spawn_blocking(move || hash(password.reveal())).await?;
    drop(turn);
    hashed
}

/// Whether a password is the one of `stored`. Without `stored` it takes as long and says no, so
/// that time does not tell which names exist.
pub(crate) async fn is_right(
    hub: &Hub,
    stored: Option<String>,
    password: &Secret,
) -> anyhow::Result<bool> {
    let Some(stored) = stored else {
        hash_slowly(hub, password).await?;
        return Ok(false);
    };
    let turn = hub.hashing.acquire().await?;
    let password = password.clone();
    let right = tokio::task::spawn_blocking(move || {
        PasswordHash::new(&stored).map(|hash| {
            Argon2::default()
                .verify_password(password.reveal().as_bytes(), &hash)
                .is_ok()
        })
    })
    .await?
    .map_err(|err| anyhow!("the stored password hash is damaged: {err}"))?;
    drop(turn);
    Ok(right)
}

/// What is wrong with a new password, if anything.
pub(crate) fn check_new(name: &str, old: &Secret, new: &Secret) -> Result<(), Problem> {
    let text = new.reveal();
    let fault = if text.chars().count() < SHORTEST {
        format!("the new password must have at least {SHORTEST} characters")
    } else if text.len() > LONGEST {
        format!("the new password must have at most {LONGEST} bytes")
    } else if old == new {
        "the new password is the old one".to_owned()
    } else if text.to_lowercase().contains(&name.to_lowercase()) {
        "the new password must not hold the account's name".to_owned()
    } else {
        return Ok(());
    };
    Err(Problem::bad_input(fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_password_is_long_and_new() {
        let check = |new: &str| {
            let secret = |text: &str| Secret::new(text.to_owned());
            check_new("anna", &secret("the old password"), &secret(new)).is_ok()
        };
        for (new, fine) in [
            ("", false),
            ("elevenchars", false),
            ("twelve chars", true),
            ("the old password", false),
            ("I am Anna, hello", false),
            (&"x".repeat(257), false),
        ] {
            assert_eq!(check(new), fine, "{new}");
        }
    }
}
