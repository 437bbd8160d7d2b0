//! The console font: the kernel's own lacks the half blocks that a QR code needs.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::machine::console::{self, Kind};
use crate::machine::file;
use crate::machine::ioctl::{self, Glyphs, Unipair};

/// Where the ISO keeps it: PSF version 1 or 2, not packed.
const FONT: &str = "usr/share/burin/font.psf";
const LIMIT: usize = 1 << 20;
/// The kernel takes no more (`MAX_FONT_GLYPHS`), nor higher glyphs in its classic layout.
const MOST_GLYPHS: u32 = 512;
const MOST_ROWS: u32 = 32;

/// Sets the font on the screen's terminal, if there are both.
pub(super) fn set(root: &Path) -> Result<()> {
    let screen = console::find(root)
        .into_iter()
        .find(|one| one.kind == Kind::Screen);
    let bytes = file::read_if_there(&root.join(FONT), LIMIT)?;
    let (Some(screen), Some(bytes)) = (screen, bytes) else {
        return Ok(());
    };
    let font = parse(&bytes)?;
    let terminal = screen
        .open()
        .with_context(|| format!("opening {}", screen.device.display()))?;
    ioctl::set_font(&terminal, &font.glyphs, &font.map)
}

/// A font as the kernel takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Font {
    pub glyphs: Glyphs,
    /// Which glyph shows which code point.
    pub map: Vec<Unipair>,
}

/// Reads a PSF font of either version.
///
/// # Errors
/// When it is none, is cut short, or is larger than the kernel takes.
pub fn parse(bytes: &[u8]) -> Result<Font> {
    match bytes {
        [0x36, 0x04, ..] => psf1(bytes),
        [0x72, 0xb5, 0x4a, 0x86, ..] => psf2(bytes),
        _ => bail!("the console font is no PSF file (it may be packed)"),
    }
}

fn psf1(bytes: &[u8]) -> Result<Font> {
    let [_, _, mode, height, body @ ..] = bytes else {
        bail!("the console font ends in its header");
    };
    let count = if mode & 1 == 0 { 256 } else { 512 };
    let (glyphs, table) = glyphs(body, count, 8, u32::from(*height))?;
    let mut map = Vec::new();
    if mode & 6 != 0 {
        let mut glyph = 0u16;
        let mut single = true;
        for pair in table.chunks_exact(2) {
            match u16::from_le_bytes([pair[0], pair[1]]) {
                0xffff => {
                    glyph = glyph.saturating_add(1);
                    single = true;
                }
                // What follows is a sequence of several code points: the kernel has no use for it.
                0xfffe => single = false,
                unicode if single => map.push(Unipair { unicode, glyph }),
                _ => {}
            }
        }
    }
    Ok(Font { glyphs, map })
}

fn psf2(bytes: &[u8]) -> Result<Font> {
    let word = |at: usize| -> Result<u32> {
        let four = bytes
            .get(at..at + 4)
            .context("the console font ends in its header")?;
        Ok(u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
    };
    let (header, flags, count) = (word(8)?, word(12)?, word(16)?);
    let (size, height, width) = (word(20)?, word(24)?, word(28)?);
    if size != width.div_ceil(8).saturating_mul(height) {
        bail!("the console font has {size} bytes a glyph for {width} x {height}");
    }
    let body = bytes
        .get(header as usize..)
        .context("the console font ends in its header")?;
    let (glyphs, table) = glyphs(body, count, width, height)?;
    let mut map = Vec::new();
    if flags & 1 != 0 {
        for (glyph, entry) in (0u16..).zip(table.split(|byte| *byte == 0xff)) {
            let single = entry.split(|byte| *byte == 0xfe).next().unwrap_or_default();
            let text = std::str::from_utf8(single)
                .with_context(|| format!("the console font's glyph {glyph} has no UTF-8 name"))?;
            let known = text
                .chars()
                .filter_map(|c| u16::try_from(u32::from(c)).ok());
            map.extend(known.map(|unicode| Unipair { unicode, glyph }));
        }
    }
    map.retain(|pair| u32::from(pair.glyph) < count);
    Ok(Font { glyphs, map })
}

/// Takes the glyphs and lays each into 32 rows; also returns what follows them.
fn glyphs(body: &[u8], count: u32, width: u32, height: u32) -> Result<(Glyphs, &[u8])> {
    if count == 0 || count > MOST_GLYPHS || height == 0 || height > MOST_ROWS {
        bail!("the console font has {count} glyphs of {height} rows; at most 512 of 32 fit");
    }
    if width == 0 || width > 32 {
        bail!("the console font is {width} dots wide; 1 to 32 fit");
    }
    let row = width.div_ceil(8) as usize;
    let one = row * height as usize;
    let (drawn, rest) = body
        .split_at_checked(one * count as usize)
        .context("the console font ends in its glyphs")?;
    let mut bytes = Vec::with_capacity(row * 32 * count as usize);
    for glyph in drawn.chunks_exact(one) {
        bytes.extend_from_slice(glyph);
        bytes.resize(bytes.len() + row * 32 - one, 0);
    }
    let glyphs = Glyphs {
        width,
        height,
        count,
        bytes,
    };
    Ok((glyphs, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample_psf2() -> Vec<u8> {
        let mut bytes = vec![0x72, 0xb5, 0x4a, 0x86];
        for word in [0u32, 32, 1, 2, 16, 16, 8] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend([0xf0; 16]);
        bytes.extend([0x0f; 16]);
        bytes.extend("▀".as_bytes());
        bytes.push(0xff);
        bytes.extend("▄A".as_bytes());
        bytes.extend([0xfe, b'x', b'y', 0xff]);
        bytes
    }

    #[test]
    fn version_two_gives_glyphs_in_32_rows_and_its_code_points() {
        let font = parse(&sample_psf2()).unwrap();
        assert_eq!((font.glyphs.count, font.glyphs.bytes.len()), (2, 64));
        assert_eq!(font.glyphs.bytes[15..17], [0xf0, 0]);
        let map: Vec<_> = font.map.iter().map(|p| (p.unicode, p.glyph)).collect();
        assert_eq!(map, [(0x2580, 0), (0x2584, 1), (0x41, 1)]);
    }

    #[test]
    fn version_one_gives_its_code_points() {
        let mut bytes = vec![0x36, 0x04, 2, 16];
        bytes.extend(vec![1u8; 256 * 16]);
        for word in [0x41u16, 0xffff, 0x42, 0xfffe, 0x43, 0x44, 0xffff] {
            bytes.extend(word.to_le_bytes());
        }
        let font = parse(&bytes).unwrap();
        let map: Vec<_> = font.map.iter().map(|p| (p.unicode, p.glyph)).collect();
        assert_eq!(map, [(0x41, 0), (0x42, 1)]);
    }

    #[test]
    fn a_cut_font_is_refused() {
        let whole = sample_psf2();
        for length in 0..64 {
            assert!(parse(&whole[..length]).is_err(), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(
            magic in prop_oneof![Just(vec![0x36, 4]), Just(vec![0x72, 0xb5, 0x4a, 0x86])],
            rest in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let bytes: Vec<u8> = magic.into_iter().chain(rest).collect();
            if let Ok(font) = parse(&bytes) {
                prop_assert_eq!(
                    font.glyphs.bytes.len() as u32,
                    font.glyphs.width.div_ceil(8) * 32 * font.glyphs.count
                );
            }
        }
    }
}
