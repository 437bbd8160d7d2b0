//! Times on the command line.

use std::str::FromStr;
use std::time::Duration;

/// A time as people write it: `90s`, `10m`, `36h`, `7d`, `1y` (365 days).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not a time; write for example 90s, 10m, 36h, 7d or 1y");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 24 * 3600,
            "y" => 365 * 24 * 3600,
            // Nothing is nothing in every unit.
            "" if number == "0" => 1,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let seconds = number.checked_mul(factor).ok_or_else(wrong)?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, want) in [
            ("90s", Some(90)),
            ("90", None),
            ("10m", Some(600)),
            ("1y", Some(31_536_000)),
            ("36h", Some(129_600)),
            ("7d", Some(604_800)),
            ("", None),
            ("m", None),
            ("10x", None),
            ("-1s", None),
            ("10é", None),
            ("99999999999999999999d", None),
            ("9999999999999999999d", None),
        ] {
            let read = text.parse::<Span>().ok().map(|span| span.0.as_secs());
            assert_eq!(read, want, "{text}");
        }
    }
}
