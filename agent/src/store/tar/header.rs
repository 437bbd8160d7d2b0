//! The fixed header block.

use super::BLOCK;

/// What the 512 bytes say; extended headers may overrule most of it.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: u8,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: i64,
}

impl Header {
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, &'static str> {
        let sum = number(&block[148..156]).ok_or("the checksum is no number")?;
        // The checksum field itself counts as spaces.
        let bytes = block[..148].iter().chain(&block[156..]);
        if sum != 8 * u64::from(b' ') + bytes.map(|b| u64::from(*b)).sum::<u64>() {
            return Err("wrong checksum");
        }
        let mut path = text(&block[..100]);
        // Only POSIX's header ("ustar\0") has a prefix there, GNU's ("ustar ") has times.
        if &block[257..263] == b"ustar\0" && block[345] != 0 {
            let mut whole = text(&block[345..500]);
            whole.push(b'/');
            whole.append(&mut path);
            path = whole;
        }
        let id = |field: &[u8]| number(field).and_then(|n| u32::try_from(n).ok());
        Ok(Self {
            path,
            link: text(&block[157..257]),
            kind: block[156],
            size: number(&block[124..136]).ok_or("the size is no number")?,
            mode: id(&block[100..108]).ok_or("the mode is no number")?,
            uid: id(&block[108..116]).ok_or("the owner is no number")?,
            gid: id(&block[116..124]).ok_or("the group is no number")?,
            mtime: signed(&block[136..148]).ok_or("the time is no number")?,
        })
    }
}

fn text(field: &[u8]) -> Vec<u8> {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    field[..end].to_vec()
}

/// Octal digits between blanks and zeros, or GNU's base-256 when the first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        return u64::try_from(signed(field)?).ok();
    }
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches(|c| c == ' ' || c == '\0');
    if digits.is_empty() {
        return Some(0);
    }
    // from_str_radix takes a sign, tar does not.
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    u64::from_str_radix(digits, 8).ok()
}

/// As [`number`]; base-256 may be negative (a time before 1970).
fn signed(field: &[u8]) -> Option<i64> {
    if field[0] & 0x80 == 0 {
        return i64::try_from(number(field)?).ok();
    }
    // Two's complement of the field's width, with the marker bit in place of the sign's copy.
    let negative = field[0] & 0x40 != 0;
    let mut value: i128 = if negative { -1 } else { 0 };
    for (at, byte) in field.iter().enumerate() {
        let byte = match (at, negative) {
            (0, true) => *byte,
            (0, false) => *byte & 0x7f,
            _ => *byte,
        };
        value = (value << 8) | i128::from(byte);
    }
    i64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        let base256 = |value: i64| {
            let mut field = [if value < 0 { 0xff } else { 0 }; 12];
            field[4..].copy_from_slice(&value.to_be_bytes());
            field[0] |= 0x80;
            field
        };
        for (field, want) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b" 644    ", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777", Some(0o77_777_777)),
            (b"-1      ", None),
            (b"+1      ", None),
            (b"8       ", None),
            (b"12 34   ", None),
            (&base256(1 << 40), Some(1 << 40)),
            (&base256(-5), None),
            (&[0xff; 12], None),
        ] {
            assert_eq!(number(field), want, "{field:?}");
        }
        assert_eq!(signed(&base256(-5)), Some(-5));
        assert_eq!(signed(&[0xbf; 12]), None, "beyond 64 bits");
    }
}
