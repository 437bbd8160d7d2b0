//! A QR code drawn in half blocks: two modules of it in one character of a console.

use qrcode::{Color, EcLevel, QrCode, Version};

/// Light modules around the code, on each side (ISO/IEC 18004, 9.1).
const QUIET: usize = 4;
/// The smallest version that is tried: the link of the shortest hub name fills most of it.
const FIRST: i16 = 4;
/// The largest version: beyond it a phone has to come too close to a small screen.
const LAST: i16 = 12;

/// The rows of a QR code of `text` for a console with room for `columns` by `rows` characters, as
/// large as it fits. None when the text is too long for the room.
///
/// Light modules are drawn, dark ones are left out: the rows are to be printed bright white on
/// black, which every console has; a bright background is not among the colours of a terminal with
/// 512 glyphs.
pub(super) fn blocks(text: &str, columns: usize, rows: usize) -> Option<Vec<String>> {
    let modules = columns.min(rows * 2);
    let code = [EcLevel::M, EcLevel::L]
        .into_iter()
        .find_map(|level| smallest(text, level, modules))?;
    let size = code.width() + 2 * QUIET;
    let scale = modules / size;
    let light = |x: usize, y: usize| -> bool {
        let (x, y) = (x / scale, y / scale);
        let inside = QUIET..QUIET + code.width();
        // Below an odd number of rows nothing is drawn any more: the quiet zone is complete.
        y < size
            && !(inside.contains(&x)
                && inside.contains(&y)
                && code[(x - QUIET, y - QUIET)] == Color::Dark)
    };
    let side = size * scale;
    let row = |y: usize| {
        let halves = (0..side).map(|x| (light(x, y), light(x, y + 1)));
        halves.map(block).collect()
    };
    Some((0..side).step_by(2).map(row).collect())
}

fn smallest(text: &str, level: EcLevel, modules: usize) -> Option<QrCode> {
    (FIRST..=LAST)
        .map(Version::Normal)
        .take_while(|version| {
            usize::try_from(version.width()).is_ok_and(|w| w + 2 * QUIET <= modules)
        })
        .find_map(|version| QrCode::with_version(text, version, level).ok())
}

/// The character whose upper and lower halves are lit as told.
fn block(lit: (bool, bool)) -> char {
    match lit {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: usize) -> String {
        format!("HTTPS://{}/R/1{}", "H".repeat(name), "Z".repeat(42))
    }

    /// Columns and rows of what is drawn.
    fn size(text: &str, columns: usize, rows: usize) -> Option<(usize, usize)> {
        let drawn = blocks(text, columns, rows)?;
        assert!(
            drawn
                .iter()
                .all(|row| row.chars().count() == drawn[0].chars().count())
        );
        Some((drawn[0].chars().count(), drawn.len()))
    }

    #[test]
    fn versions_four_and_five_fit_beside_text_on_80_by_25() {
        // Capacities of ISO/IEC 18004, table 7; the rest of the link has 54 characters.
        for (name, want) in [
            (1, Some((41, 21))),
            (36, Some((41, 21))),
            (37, Some((45, 23))),
            (68, Some((45, 23))),
            (69, Some((45, 23))),
            (100, Some((45, 23))),
            (101, None),
        ] {
            assert_eq!(size(&link(name), 45, 23), want, "{name}");
        }
        assert_eq!(size(&link(60), 44, 23), Some((41, 21)));
        assert_eq!(size(&link(61), 45, 22), None);
    }

    #[test]
    fn larger_consoles_get_larger_modules_and_take_longer_links() {
        assert_eq!(size(&link(20), 82, 41), Some((82, 41)));
        assert_eq!(size(&link(20), 200, 66), Some((123, 62)));
        assert_eq!(size(&link(150), 80, 40), Some((57, 29)));
    }

    #[test]
    fn the_quiet_zone_is_lit_on_all_sides() {
        let drawn = blocks(&link(20), 41, 21).unwrap();
        for row in &drawn[..2] {
            assert!(row.chars().all(|c| c == '█'), "{row}");
        }
        assert!(drawn[20].chars().all(|c| c == '▀'), "{}", drawn[20]);
        for row in &drawn[2..20] {
            assert!(row.starts_with("████") && row.ends_with("████"), "{row}");
        }
    }

    #[test]
    fn no_room_and_no_text_is_no_code() {
        assert_eq!(blocks(&link(20), 0, 0), None);
        assert_eq!(blocks(&"x".repeat(5000), 1000, 1000), None);
    }
}
