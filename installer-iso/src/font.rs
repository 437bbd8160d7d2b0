//! Console fonts: which characters a PSF font can show (the `psf2` and `psf1` formats of kbd).
use anyhow::{Context, Result, ensure};

/// The half and full blocks that draw a QR code in text.
pub const NEEDED: [char; 3] = ['\u{2580}', '\u{2584}', '\u{2588}'];

/// Tells which characters of `wanted` the font's own Unicode table does not name.
///
/// # Errors
/// The bytes are no PSF font with a Unicode table.
pub fn missing(font: &[u8], wanted: &[char]) -> Result<Vec<char>> {
    let named = if font.starts_with(&[0x36, 0x04]) {
        psf1(font)?
    } else if font.starts_with(&[0x72, 0xb5, 0x4a, 0x86]) {
        psf2(font)?
    } else {
        anyhow::bail!("not a PSF font");
    };
    Ok(wanted
        .iter()
        .copied()
        .filter(|wanted| !named.contains(wanted))
        .collect())
}

fn psf1(font: &[u8]) -> Result<Vec<char>> {
    let (mode, height) = (
        *font.get(2).context("cut short")?,
        *font.get(3).context("cut short")?,
    );
    ensure!(mode & 2 != 0, "the font has no Unicode table");
    let glyphs = if mode & 1 == 0 { 256 } else { 512 };
    let table = font
        .get(4 + glyphs * usize::from(height)..)
        .context("the font is cut short")?;
    let codes = table
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    Ok(codes
        .filter_map(|code| char::from_u32(u32::from(code)))
        .collect())
}

fn psf2(font: &[u8]) -> Result<Vec<char>> {
    let word = |index: usize| -> Result<usize> {
        let bytes = font
            .get(index * 4..index * 4 + 4)
            .and_then(|part| part.first_chunk::<4>());
        Ok(u32::from_le_bytes(*bytes.context("the font is cut short")?) as usize)
    };
    ensure!(word(3)? & 1 != 0, "the font has no Unicode table");
    let start = word(4)?
        .checked_mul(word(5)?)
        .and_then(|size| size.checked_add(word(2).ok()?));
    let table = start
        .and_then(|start| font.get(start..))
        .context("the font is cut short")?;
    let runs = table.split(|byte| *byte == 0xff || *byte == 0xfe);
    Ok(runs
        .filter_map(|run| std::str::from_utf8(run).ok())
        .flat_map(str::chars)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_font_without_half_blocks_is_told_from_one_with_them() {
        let mut font = vec![0x36, 0x04, 2, 1];
        font.resize(4 + 256, 0);
        for code in [0x2580u16, 0xffff, 0x2588, 0xffff] {
            font.extend(code.to_le_bytes());
        }
        assert_eq!(missing(&font, &NEEDED).unwrap(), ['\u{2584}']);
        font.extend(0x2584u16.to_le_bytes());
        assert_eq!(missing(&font, &NEEDED).unwrap(), []);
    }

    #[test]
    fn a_font_in_the_second_format_is_read_too() {
        let mut font = Vec::new();
        for word in [0x864a_b572u32, 0, 32, 1, 2, 1, 1, 8] {
            font.extend(word.to_le_bytes());
        }
        font.extend([0, 0]);
        font.extend("▀".bytes().chain([0xff]).chain("▄█".bytes()).chain([0xff]));
        assert_eq!(missing(&font, &NEEDED).unwrap(), []);
        assert!(missing(&font[..30], &NEEDED).is_err());
        assert!(missing(b"PNG", &NEEDED).is_err());
    }
}
