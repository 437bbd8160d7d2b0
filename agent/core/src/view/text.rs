//! Rows of the screen made of a name and a value.

/// Width of the column of names.
pub(super) const NAMES: usize = 12;

/// A name and its value.
pub(super) fn row(name: &str, value: &str) -> String {
    format!("{name:<NAMES$}{value}")
}

/// What stands where nothing is known yet.
pub(super) fn unknown(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// A name and a long value, broken over rows.
pub(super) fn wrap(name: &str, value: &str, width: usize) -> Vec<String> {
    let lines = paragraph(value, width.saturating_sub(NAMES).max(8));
    let named = lines.iter().enumerate();
    named
        .map(|(at, text)| row(if at == 0 { name } else { "" }, text))
        .collect()
}

/// A text broken at words, and within a word that is longer than a row. At least one row.
pub(super) fn paragraph(text: &str, width: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let mut current = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            rows.push(std::mem::take(&mut current));
            used = 0;
        }
        if used > 0 {
            current.push(' ');
            used += 1;
        }
        for c in word.chars() {
            if used >= width.max(1) {
                rows.push(std::mem::take(&mut current));
                used = 0;
            }
            current.push(c);
            used += 1;
        }
    }
    rows.push(current);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_breaks_at_words_and_long_words_anywhere() {
        for (text, want) in [
            ("", vec![""]),
            ("one two", vec!["one two"]),
            ("one two three", vec!["one two", "three"]),
            ("one 0123456789 x", vec!["one", "01234567", "89 x"]),
            ("0123456789abcdefXY", vec!["01234567", "89abcdef", "XY"]),
        ] {
            assert_eq!(paragraph(text, 8), want, "{text}");
        }
    }
}
