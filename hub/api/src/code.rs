//! The code on a host's screen that a person types at `HUB/c` when there is no camera.

/// The letters of a code: no vowels, so that no word comes out, and none that look alike (RFC 8628,
/// section 6.1).
pub const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters in a code: 34.6 bits.
pub const LENGTH: usize = 8;

/// A code of random bytes, as it is kept: eight capital letters. None when a byte would favour some
/// letters; the caller draws again.
pub fn draw(random: [u8; LENGTH]) -> Option<String> {
    // 240 is the largest multiple of 20 below 256.
    random
        .iter()
        .map(|byte| (*byte < 240).then(|| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])))
        .collect()
}

/// A kept code as people read it: `WDJB-MJHT`.
pub fn shown(code: &str) -> String {
    match code.split_at_checked(4) {
        Some((head, tail)) if !tail.is_empty() => format!("{head}-{tail}"),
        _ => code.to_owned(),
    }
}

/// What a person typed, as it is kept: any case, with or without hyphen and spaces. None for what is
/// no code.
pub fn typed(text: &str) -> Option<String> {
    let letters: String = text
        .chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let fits = letters.len() == LENGTH && letters.bytes().all(|c| LETTERS.contains(&c));
    fits.then_some(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        for (text, want) in [
            ("WDJB-MJHT", Some("WDJBMJHT")),
            ("wdjb mjht", Some("WDJBMJHT")),
            ("WDJBMJH", None),
            ("WDJBMJHTT", None),
            ("ADJB-MJHT", None),
            ("ẅDJB-MJHT", None),
            ("", None),
        ] {
            assert_eq!(typed(text).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn every_letter_is_as_likely_as_the_others() {
        let mut seen = std::collections::BTreeMap::new();
        for byte in 0..=255 {
            match draw([byte; LENGTH]) {
                Some(code) => *seen.entry(code).or_insert(0) += 1,
                None => assert!(byte >= 240),
            }
        }
        assert_eq!(seen.len(), LETTERS.len());
        assert!(seen.values().all(|count| *count == 12), "{seen:?}");
        assert_eq!(shown("WDJBMJHT"), "WDJB-MJHT");
        assert!(seen.keys().all(|code| typed(&shown(code)).is_some()));
    }
}
