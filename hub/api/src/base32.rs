//! Crockford's base 32 (<https://www.crockford.com/base32.html>): for what people read and type.

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The lowest `length` digits of `value`, most significant first.
pub fn encode(value: u128, length: usize) -> String {
    (0..length)
        .rev()
        .map(|place| {
            let shift = u32::try_from(place * 5).unwrap_or(u32::MAX);
            let digit = value.checked_shr(shift).unwrap_or(0) & 31;
            char::from(ALPHABET[digit as usize])
        })
        .collect()
}

/// The value of `text`: either case, `I` and `L` read as 1, `O` as 0.
/// None for any other character and for more than 128 bits.
pub fn decode(text: &str) -> Option<u128> {
    text.bytes().try_fold(0u128, |value, byte| {
        let byte = match byte.to_ascii_uppercase() {
            b'I' | b'L' => b'1',
            b'O' => b'0',
            other => other,
        };
        let digit = ALPHABET.iter().position(|known| *known == byte)?;
        (value >> 123 == 0).then_some(value << 5 | digit as u128)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_reads_back() {
        for value in [0, 1, 31, 32, u128::MAX, 0x0123_4567_89ab_cdef] {
            assert_eq!(decode(&encode(value, 26)), Some(value), "{value}");
        }
    }

    #[test]
    fn look_alikes_are_read_and_the_rest_is_refused() {
        for (text, want) in [
            ("oO0", Some(0)),
            ("iIlL1", decode("11111")),
            ("z", Some(31)),
            ("U", None),
            ("-", None),
            ("é", None),
            ("80000000000000000000000000", None),
            ("7ZZZZZZZZZZZZZZZZZZZZZZZZZ", Some(u128::MAX)),
        ] {
            assert_eq!(decode(text), want, "{text}");
        }
    }
}
