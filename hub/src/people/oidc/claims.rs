//! What an ID token says of a person besides the standard claims.

use openidconnect::AdditionalClaims;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Every claim that the standard does not name.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for Claims {}

impl Claims {
    /// The texts of a claim: one, or a list of them. A name with dots leads into objects, unless a
    /// claim is called just so.
    pub(super) fn values(&self, name: &str) -> Vec<String> {
        let direct = self.all.get(name);
        let found = direct.or_else(|| {
            let mut parts = name.split('.');
            let first = self.all.get(parts.next()?)?;
            parts.try_fold(first, |value, part| value.get(part))
        });
        let texts = match found {
            Some(Value::Array(items)) => items.iter().collect(),
            Some(value) => vec![value],
            None => Vec::new(),
        };
        let texts = texts.into_iter().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }
}

/// What an account may be called: `anna@login.example`. It is a label only, and never the name of a
/// local account, as these are not called so.
pub(super) fn account_name(called: &str, provider: &str) -> String {
    let fine = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c) => c,
        _ => '-',
    };
    let person = called.split('@').next().unwrap_or_default();
    let person: String = person.chars().map(fine).take(30).collect();
    let person = person.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let person = if person.is_empty() { "person" } else { person };
    let provider: String = provider.chars().map(fine).take(30).collect();
    format!("{person}@{provider}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_stand_in_a_text_a_list_or_deeper() {
        let claims: Claims = serde_json::from_value(serde_json::json!({
            "groups": ["a", 7, "b"], "one": "c", "realm": { "roles": ["d"] },
            "https://x.example/roles": ["e"], "no": { "a": 1 }
        }))
        .unwrap();
        for (name, want) in [
            ("groups", &["a", "b"][..]),
            ("one", &["c"]),
            ("realm.roles", &["d"]),
            ("https://x.example/roles", &["e"]),
            ("no", &[]),
            ("no.a.b", &[]),
            ("", &[]),
        ] {
            assert_eq!(claims.values(name), want, "{name}");
        }
    }

    #[test]
    fn accounts_have_names_that_fit() {
        let long = "x".repeat(200);
        for (called, want) in [
            ("Anna", "anna@login.example"),
            ("anna@corp.example", "anna@login.example"),
            ("Jürgen Ö", "j-rgen--@login.example"),
            ("", "person@login.example"),
            ("..", "person@login.example"),
            ("admin", "admin@login.example"),
        ] {
            assert_eq!(account_name(called, "login.example"), want);
        }
        assert!(account_name(&long, &long).len() <= 62);
    }
}
