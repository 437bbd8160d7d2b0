//! Text of strangers on terminals and pages: a serial number, a registry's error, a label.

use std::fmt::Display;

/// Whether a character may do more than stand there: move a cursor, begin a terminal's command, turn
/// the order of what stands around it (Unicode's UAX #9; "Trojan Source", CVE-2021-42574), end a line
/// for some readers only, or hide. A line feed and a tab count, too.
#[must_use]
pub fn disturbs(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The text as one line in which every character only stands there: the others are spaces.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if disturbs(c) { ' ' } else { c })
        .collect()
}

/// A number and what it counts: `1 host`, `2 hosts`.
#[must_use]
pub fn counted<N: Copy + Display + TryInto<u64>>(count: N, one: &str, many: &str) -> String {
    let is_one = count.try_into().is_ok_and(|count| count == 1);
    format!("{count} {}", if is_one { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn terminals_commands_and_turned_text_become_spaces() {
        for (text, want) in [
            (
                "ACME Bóx 2 \u{4e2d}\u{1f600}",
                "ACME Bóx 2 \u{4e2d}\u{1f600}",
            ),
            ("a\x1b[2Jb", "a [2Jb"),
            ("a\u{9b}2Jb", "a 2Jb"),
            ("a\u{202e}gpj.exe", "a gpj.exe"),
            ("one\r\ntwo\u{2028}three", "one  two three"),
            ("\u{feff}\u{200b}\u{e0041}x\x7f", "   x "),
        ] {
            assert_eq!(plain(text), want, "{text:?}");
        }
    }

    #[test]
    fn one_is_told_from_many() {
        let hosts = |count| counted(count, "host", "hosts");
        assert_eq!([0, 1, 2].map(hosts), ["0 hosts", "1 host", "2 hosts"]);
        assert_eq!(counted(-1_i64, "try", "tries"), "-1 tries");
        assert_eq!(counted(1_usize, "try", "tries"), "1 try");
    }

    proptest! {
        #[test]
        fn nothing_that_disturbs_is_left_and_nothing_is_lost(text: String) {
            let plain = plain(&text);
            prop_assert!(!plain.chars().any(disturbs));
            prop_assert_eq!(plain.chars().count(), text.chars().count());
        }
    }
}
