//! The forms in which a secret may lie somewhere: as it is, and as programs write bytes into text.

use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shorter texts would be found by chance.
const SHORTEST: usize = 10;

/// How a secret was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Plain,
    Hex,
    Base64,
    Utf16,
    Percent,
    Escaped,
}

/// Every form of `secret` that is long enough to be told from chance, no text twice.
#[must_use]
pub fn forms(secret: &[u8]) -> Vec<(Form, Vec<u8>)> {
    let hex = hex::encode(secret);
    let mut all = vec![
        (Form::Plain, secret.to_vec()),
        (Form::Hex, hex.to_uppercase().into_bytes()),
        (Form::Hex, hex.into_bytes()),
    ];
    for before in 0..3 {
        for text in [
            base64(&STANDARD_NO_PAD, secret, before),
            base64(&URL_SAFE_NO_PAD, secret, before),
        ] {
            all.push((Form::Base64, text));
        }
    }
    if let Ok(text) = std::str::from_utf8(secret) {
        let units = || text.encode_utf16();
        all.push((Form::Utf16, units().flat_map(u16::to_le_bytes).collect()));
        all.push((Form::Utf16, units().flat_map(u16::to_be_bytes).collect()));
        all.push((Form::Escaped, escaped(text)));
    }
    let reserved = |byte: u8| !byte.is_ascii_alphanumeric() && !b"-._~".contains(&byte);
    for escapes in [reserved, |_| true] {
        all.push((Form::Percent, percent(secret, escapes, true)));
        all.push((Form::Percent, percent(secret, escapes, false)));
    }
    let mut kept: Vec<(Form, Vec<u8>)> = Vec::new();
    for (form, text) in all {
        if text.len() >= SHORTEST && kept.iter().all(|(_, other)| *other != text) {
            kept.push((form, text));
        }
    }
    kept
}

/// The digits that belong to `secret` alone when `before` bytes (modulo 3) stand before it.
fn base64(engine: &impl base64::Engine, secret: &[u8], before: usize) -> Vec<u8> {
    let bytes = [&vec![0; before], secret].concat();
    let digits = engine.encode(&bytes).into_bytes();
    // A digit has six bits: those that share bits with a neighbour are anybody's guess.
    let first = (before * 8).div_ceil(6);
    let last = bytes.len() * 8 / 6;
    digits.get(first..last).unwrap_or_default().to_vec()
}

fn percent(secret: &[u8], escapes: impl Fn(u8) -> bool, upper: bool) -> Vec<u8> {
    let mut text = String::new();
    for &byte in secret {
        match (escapes(byte), upper) {
            (false, _) => text.push(char::from(byte)),
            (true, true) => text.push_str(&format!("%{byte:02X}")),
            (true, false) => text.push_str(&format!("%{byte:02x}")),
        }
    }
    text.into_bytes()
}

/// As it stands within a JSON text.
fn escaped(text: &str) -> Vec<u8> {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.as_bytes()[1..quoted.len() - 1].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    fn found(secret: &[u8], text: &[u8]) -> bool {
        let forms = forms(secret);
        forms
            .iter()
            .any(|(_, form)| text.windows(form.len()).any(|part| part == form))
    }

    #[test]
    fn a_secret_is_found_as_other_programs_write_it() {
        let secret = "s3cret/with \"quotes\" & \u{fc}";
        let bytes = secret.as_bytes();
        let utf16 = |change: fn(u16) -> [u8; 2]| secret.encode_utf16().flat_map(change).collect();
        let json = serde_json::json!({ "a": format!("b{secret}c") }).to_string();
        let written: [(&str, Vec<u8>); 7] = [
            ("plain", [b"before", bytes, b"after"].concat()),
            ("hex", hex::encode([b"xy", bytes].concat()).into_bytes()),
            ("upper hex", hex::encode_upper(bytes).into_bytes()),
            ("UTF-16, little", utf16(u16::to_le_bytes)),
            ("UTF-16, big", utf16(u16::to_be_bytes)),
            ("JSON", json.into_bytes()),
            (
                "URL",
                b"?q=s3cret%2Fwith%20%22quotes%22%20%26%20%C3%BC&r=1".to_vec(),
            ),
        ];
        for (name, text) in written {
            assert!(found(bytes, &text), "{name}");
            assert!(!found(b"another secret of this length", &text), "{name}");
        }
    }

    #[test]
    fn a_secret_is_found_within_base64_wherever_it_begins() {
        let secret = [0xff; 7]
            .iter()
            .copied()
            .chain(*b"\xfb\xef\xbe seed!")
            .collect::<Vec<u8>>();
        for before in ["", "a", "bc", "def", "ghij"] {
            for after in ["", "x", "yz", "uvw"] {
                let whole = [before.as_bytes(), &secret, after.as_bytes()].concat();
                for text in [
                    STANDARD_NO_PAD.encode(&whole),
                    URL_SAFE_NO_PAD.encode(&whole),
                ] {
                    assert!(found(&secret, text.as_bytes()), "{before}-{after}: {text}");
                }
            }
        }
    }

    #[test]
    fn what_chance_would_write_is_not_looked_for() {
        assert!(forms(b"short").iter().all(|(_, text)| text.len() >= 10));
        assert!(forms(b"").is_empty());
    }
}
