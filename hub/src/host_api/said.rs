//! What a host says, as the hub keeps and shows it. Whatever it writes into a serial number, a label or
//! an error stands on pages, terminals and in logs later, and one database keeps no NUL.

use burin_api::dsse::{Envelope, Payload, PublicKey};
use burin_api::message::{Enroll, OpenSession, Rekey};
use burin_core::display::disturbs;
use serde_json::Value;

use super::refusal::Refused;

/// The body without its signatures checked, only to find out whose they must be.
pub(super) fn peeked<T: Payload>(envelope: &Envelope) -> Result<T, Refused> {
    let body = envelope.peek().map_err(|err| Refused::signature(&err))?;
    washed(body)
}

/// The body, signed by all these keys.
pub(super) fn opened<T: Payload>(envelope: &Envelope, keys: &[&PublicKey]) -> Result<T, Refused> {
    let body = envelope
        .open(keys)
        .map_err(|err| Refused::signature(&err))?;
    washed(body)
}

/// What a machine that asks to be let in says of itself, for people; none of it is proven.
pub(super) fn of_enroll(envelope: &Envelope) -> String {
    peeked::<Enroll>(envelope).map_or_else(
        |_| String::new(),
        |asked| {
            let it = &asked.evidence;
            let parts = [&asked.host_id, &it.vendor, &it.product, &it.serial];
            joined(parts.map(String::as_str))
        },
    )
}

/// As [`of_enroll`], of one that opens a session.
pub(super) fn of_session(envelope: &Envelope) -> String {
    peeked::<OpenSession>(envelope).map_or_else(
        |_| String::new(),
        |asked| joined([asked.host_uid.as_str(), asked.machine.as_str()]),
    )
}

/// As [`of_enroll`], of one that changes its key.
pub(super) fn of_rekey(envelope: &Envelope) -> String {
    peeked::<Rekey>(envelope).map_or_else(|_| String::new(), |asked| asked.host_uid)
}

fn joined<const N: usize>(parts: [&str; N]) -> String {
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

/// Refuses a text that is empty, longer than its limit in bytes, or not printable.
pub(super) fn check(texts: &[(&str, &str, usize)]) -> Result<(), Refused> {
    for (name, text, limit) in texts {
        let fine = |c: char| c != char::REPLACEMENT_CHARACTER && !disturbs(c);
        if text.is_empty() || text.len() > *limit || !text.chars().all(fine) {
            let message = format!("`{name}` must be 1 to {limit} printable characters");
            return Err(Refused::bad_request(message));
        }
    }
    Ok(())
}

fn washed<T: Payload>(body: T) -> Result<T, Refused> {
    let json = serde_json::to_string(&body).map_err(anyhow::Error::from)?;
    // Control characters are escaped in JSON. Nearly every message ends here.
    if !json.chars().any(|c| c == '\\' || disturbs(c)) {
        return Ok(body);
    }
    let mut value: Value = serde_json::from_str(&json).map_err(anyhow::Error::from)?;
    wash(&mut value);
    let washed = serde_json::from_value(value);
    washed.map_err(|err| Refused::bad_request(format!("the body makes no sense: {err}")))
}

fn wash(value: &mut Value) {
    match value {
        Value::String(text) => *text = clean(text),
        Value::Array(all) => all.iter_mut().for_each(wash),
        Value::Object(fields) => {
            let said = std::mem::take(fields);
            for (name, mut value) in said {
                wash(&mut value);
                fields.insert(clean(&name), value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn clean(text: &str) -> String {
    let stays = |c: char| matches!(c, '\n' | '\t') || !disturbs(c);
    text.chars()
        .map(|c| {
            if stays(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use burin_api::message::{Observed, Phase, Sync};

    use super::*;

    #[test]
    fn what_could_disturb_is_replaced_and_the_rest_stays() {
        let error = "a \"b\" \\ c\nd \u{1f600}";
        let mut sync = Sync {
            session: "s\0".to_owned(),
            sequence: u64::MAX,
            etag: None,
            phase: Phase::Unknown,
            progress: None,
            observed: Observed::default(),
            findings: Vec::new(),
            events: Vec::new(),
            wait: 0,
            secrets: None,
            kubeconfig: None,
        };
        sync.observed.last_error = Some(error.to_owned());
        sync.observed.kernel = Some("6.12\x1b[2J\u{202e}\u{9b}".to_owned());
        let sync = washed(sync).unwrap();
        assert_eq!(sync.session, "s\u{fffd}");
        assert_eq!(sync.sequence, u64::MAX);
        assert_eq!(sync.observed.last_error.as_deref(), Some(error));
        let kernel = sync.observed.kernel.unwrap();
        assert_eq!(kernel, "6.12\u{fffd}[2J\u{fffd}\u{fffd}");
    }

    #[test]
    fn texts_are_held_to_their_limits() {
        for (text, good) in [
            ("a", true),
            ("12345678", true),
            ("123456789", false),
            ("", false),
            ("a\nb", false),
            ("a\u{fffd}", false),
        ] {
            assert_eq!(check(&[("x", text, 8)]).is_ok(), good, "{text:?}");
        }
    }
}
