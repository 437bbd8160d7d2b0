//! The style sheet's colours, held to WCAG 2.2 (1.4.3: text against its ground, 4.5 to 1; 1.4.11:
//! the frame of what has the focus, 3 to 1) in both themes.

use std::collections::HashMap;

const STYLE: &str = include_str!("../../templates/style.css");

/// Text on a ground, as the style sheet puts them together.
const TEXTS: [(&str, &str); 27] = [
    ("ink", "page"),
    ("ink", "card"),
    ("ink", "faint"),
    ("soft", "page"),
    ("soft", "card"),
    ("soft", "faint"),
    ("soft", "idle-bg"),
    ("link", "page"),
    ("link", "card"),
    ("link", "faint"),
    ("accent-ink", "accent"),
    ("accent-ink", "accent-over"),
    ("good", "good-bg"),
    ("warn", "warn-bg"),
    ("bad", "bad-bg"),
    ("busy", "busy-bg"),
    ("link", "good-bg"),
    ("link", "warn-bg"),
    ("link", "bad-bg"),
    ("link", "busy-bg"),
    ("bad", "card"),
    ("warn", "card"),
    ("bad", "faint"),
    ("soft", "bad-bg"),
    ("ink", "good-bg"),
    ("ink", "bad-bg"),
    ("ink", "warn-bg"),
];

/// Variables of a theme: the light one is the first block, the dark one changes some of it.
fn theme(dark: bool) -> HashMap<&'static str, [f64; 3]> {
    let mut colours = HashMap::new();
    for block in STYLE.split(":root {").skip(1).take(1 + usize::from(dark)) {
        let block = block.split('}').next().unwrap_or_default();
        for declaration in block.split(';') {
            if let Some((name, value)) = declaration.split_once(':')
                && let Some(colour) = value.trim().strip_prefix('#').and_then(parse)
            {
                colours.insert(name.trim().trim_start_matches("--"), colour);
            }
        }
    }
    colours
}

fn parse(hex: &str) -> Option<[f64; 3]> {
    let whole = match hex.len() {
        3 => hex.chars().flat_map(|digit| [digit, digit]).collect(),
        _ => hex.to_owned(),
    };
    let bytes: [u8; 3] = hex::decode(whole).ok()?.try_into().ok()?;
    Some(bytes.map(|byte| f64::from(byte) / 255.0))
}

/// WCAG 2.2, "relative luminance".
fn luminance(colour: [f64; 3]) -> f64 {
    let [r, g, b] = colour.map(|c| {
        if c <= 0.04045 {
            c / 12.92
        } else {
            ((c + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn black_on_white_is_twenty_one_to_one() {
    let found = contrast([0.0; 3], [1.0; 3]);
    assert!((found - 21.0).abs() < 1e-9, "{found}");
    // A pair whose contrast others have published: #777 on white fails by a hair.
    let grey = contrast(parse("777").unwrap(), [1.0; 3]);
    assert!((4.47..4.49).contains(&grey), "{grey}");
}

#[test]
fn every_text_can_be_read_in_both_themes() {
    let mut faults = Vec::new();
    for dark in [false, true] {
        let theme = theme(dark);
        let mut ask = |text: &str, ground: &str, least: f64| {
            let found = contrast(theme[text], theme[ground]);
            if found < least {
                faults.push(format!("dark {dark}: {text} on {ground}: {found:.2}"));
            }
        };
        for (text, ground) in TEXTS {
            ask(text, ground, 4.5);
        }
        for ground in ["page", "card", "faint"] {
            ask("focus", ground, 3.0);
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_colour_has_a_name_that_is_checked() {
    let checked: Vec<&str> = TEXTS.iter().flat_map(|(a, b)| [*a, *b]).collect();
    for name in theme(false).keys() {
        // Lines between areas are ornaments; `focus` has a rule of its own.
        assert!(
            checked.contains(name) || ["line", "focus"].contains(name),
            "--{name} is in no pair"
        );
    }
    assert_eq!(theme(false).len(), theme(true).len());
}
