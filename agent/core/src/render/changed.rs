//! Password hashes that were changed on the host.

use super::accounts::{self, AccountsError, Shadow};

/// The lines of `now`, the host's `shadow`, that somebody changed since it was rendered: those whose
/// hash or ageing is not as `base` has them, the rendering without what was kept. Names that the
/// rendering does not have are not the host's to keep; what was `kept` of them stays kept, because a
/// generation may come back that has them.
///
/// # Errors
/// When one of the texts is no `shadow`.
pub fn changed_shadow(base: &str, now: &str, kept: &str) -> Result<String, AccountsError> {
    let base: Vec<Shadow> = accounts::read(base)?;
    let now: Vec<Shadow> = accounts::read(now)?;
    let kept: Vec<Shadow> = accounts::read(kept)?;
    let rendered = |line: &Shadow| base.iter().find(|it| it.name == line.name);
    let changed = now
        .into_iter()
        .filter(|line| rendered(line).is_some_and(|base| base != line));
    let away = kept.into_iter().filter(|line| rendered(line).is_none());
    Ok(accounts::write(&changed.chain(away).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_changed_on_the_host_is_kept() {
        let base = "root:*:1::::::\nada:$6$old:1::::::\n";
        for (now, kept, want) in [
            (base, "", ""),
            (
                "root:*:1::::::\nada:$6$new:2::::::\n",
                "",
                "ada:$6$new:2::::::\n",
            ),
            // Changed back: the next user-data decides again.
            (base, "ada:$6$new:2::::::\n", ""),
            // Made on the host, which does not last: its account is gone after a boot as well.
            (&format!("{base}bob:$6$b:1::::::\n"), "", ""),
            // Of an account that only another generation has.
            (base, "eve:$6$e:1::::::\n", "eve:$6$e:1::::::\n"),
        ] {
            assert_eq!(changed_shadow(base, now, kept).unwrap(), want, "{now}");
        }
        assert!(changed_shadow(base, "ada\n", "").is_err());
    }
}
