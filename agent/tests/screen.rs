//! The screen of a host that waits to be taken in, drawn with the ISO's own font and read by
//! `zbarimg`: what a phone sees is the link, on every console.
#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use burin::console::picture;
use burin::init::font::{self, Font};
use burin_api::claim::{ClaimLink, KeyLabel};
use burin_api::message::Phase;
use burin_core::identity::{HostId, Source};
use burin_core::view::{Fact, Pending, View};
use burin_iso::{initramfs, mirror, packages};
use sha2::{Digest as _, Sha256};

/// Text mode, and 640x480, 800x600, 1024x768, 1280x800, 1920x1080 with a font of 8 by 16 dots.
const CONSOLES: [(usize, usize); 6] = [
    (80, 25),
    (80, 30),
    (100, 37),
    (128, 48),
    (160, 50),
    (240, 67),
];
/// Brightness of the kernel's light grey and bright white.
const GREY: u8 = 0xaa;
const WHITE: u8 = 0xff;

fn the_font() -> Font {
    let mirror = mirror::of_this_machine().unwrap();
    let tree = packages::ensure_tree(&mirror, &packages::cache().unwrap()).unwrap();
    font::parse(&initramfs::console_font(&tree).unwrap()).unwrap()
}

/// A host in the state in which its screen is fullest.
fn host(link: &str, hub: &str) -> View {
    let mut view = View::default();
    for fact in [
        Fact::Phase(Phase::Waiting),
        Fact::Host {
            id: "K7QF-2M9X-0TRD-8HWN".to_owned(),
            source: "smbios-uuid".to_owned(),
        },
        Fact::Claim {
            key: "3BGT S77Z SMZK GSTT W09V ZNMF TQ".to_owned(),
            link: link.to_owned(),
        },
        Fact::Hub(hub.to_owned()),
        Fact::Address("192.0.2.10".to_owned()),
        Fact::HubState(
            "waiting for the hub: this host has no token; an admin has to approve it".to_owned(),
        ),
        Fact::Pending(Pending {
            code: "WDJB-MJHT".to_owned(),
            match_number: Some(42),
            ..Pending::default()
        }),
    ] {
        view.fact(&fact);
    }
    view
}

/// One character of the terminal and how bright it is.
type Cell = (char, u8);

/// What a terminal shows after `bytes`: the few sequences that the agent writes, and no other.
fn terminal(bytes: &[u8], columns: usize, rows: usize) -> Vec<Vec<Cell>> {
    let mut cells = vec![vec![(' ', GREY); columns]; rows];
    let (mut x, mut y, mut light) = (0, 0, GREY);
    let mut rest = std::str::from_utf8(bytes).unwrap().chars();
    while let Some(c) = rest.next() {
        match c {
            '\r' => x = 0,
            '\n' => {
                y += 1;
                assert!(y < rows, "the screen scrolls");
            }
            '\x1b' => {
                assert_eq!(rest.next(), Some('['));
                let sequence: String = rest
                    .by_ref()
                    .take_while(|c| c.is_ascii_digit() || *c == ';')
                    .collect();
                // The letter went with them: only colours have parameters here.
                match sequence.as_str() {
                    "0;1;37;40" => light = WHITE,
                    "0" => light = GREY,
                    "" => {}
                    other => panic!("an unknown sequence {other}"),
                }
            }
            c => {
                assert!(x < columns, "row {y} is longer than the screen");
                cells[y][x] = (c, light);
                x += 1;
            }
        }
    }
    cells
}

/// The dots of the screen, as a picture in PGM.
fn drawn(cells: &[Vec<Cell>], font: &Font) -> Vec<u8> {
    let glyphs: HashMap<u32, u16> = font
        .map
        .iter()
        .map(|pair| (u32::from(pair.unicode), pair.glyph))
        .collect();
    let (wide, high) = (font.glyphs.width as usize, font.glyphs.height as usize);
    let row_bytes = wide.div_ceil(8);
    let (width, height) = (cells[0].len() * wide, cells.len() * high);
    let mut picture = format!("P5\n{width} {height}\n255\n").into_bytes();
    // The kernel's layout: 32 rows a glyph.
    let glyph = |c: char| {
        let number = glyphs.get(&u32::from(c));
        let number = number.unwrap_or_else(|| panic!("the font has no {c:?}"));
        &font.glyphs.bytes[usize::from(*number) * 32 * row_bytes..]
    };
    for y in 0..height {
        for (c, light) in &cells[y / high] {
            let row = &glyph(*c)[(y % high) * row_bytes..];
            let dots = (0..wide).map(|x| row[x / 8] >> (7 - x % 8) & 1);
            picture.extend(dots.map(|dot| dot * light));
        }
    }
    picture
}

/// What zbarimg (Debian package zbar-tools) reads in the pictures, in their order.
fn decoded(folder: &Path, pictures: &[Vec<u8>]) -> String {
    let mut zbarimg = Command::new("zbarimg");
    zbarimg.args(["-q", "--raw", "-Sdisable", "-Sqrcode.enable"]);
    for (at, picture) in pictures.iter().enumerate() {
        let path = folder.join(format!("{at:04}.pgm"));
        std::fs::write(&path, picture).unwrap();
        zbarimg.arg(path);
    }
    let ran = zbarimg.output().expect("zbarimg is in Debian's zbar-tools");
    String::from_utf8(ran.stdout).unwrap()
}

fn shown(link: &str, hub: &str, (columns, rows): (usize, usize), font: &Font) -> Vec<u8> {
    let bytes = picture(&host(link, hub), columns, rows);
    drawn(&terminal(&bytes, columns, rows), font)
}

/// The link of host number `n` to `hub`.
fn link(n: u32, hub: &str) -> String {
    let print = hex::encode(Sha256::digest(n.to_le_bytes()));
    let id = HostId::derive(Source::Random, &print);
    let claim = ClaimLink {
        host_id: id.compact().to_owned(),
        key: KeyLabel::of(&print).unwrap(),
    };
    claim.url(hub)
}

#[test]
fn the_link_is_read_from_every_console() {
    let font = the_font();
    let folder = tempfile::tempdir().unwrap();
    let names = [1, 20, 36, 37, 68, 100]
        .map(|length| format!("https://{}", "hub.example-".repeat(9).split_at(length).0));
    let mut pages = vec![
        (
            "https://[2001:db8::17]:8443".to_owned(),
            link(1, "https://[2001:db8::17]:8443"),
        ),
        (
            String::new(),
            "https://register.example/host?appliance-id=edge-0a1b2c3d4e5f60718293a4b5c6d7e8f9"
                .to_owned(),
        ),
    ];
    pages.extend(names.map(|hub| (hub.clone(), link(2, &hub))));
    let (mut pictures, mut want) = (Vec::new(), String::new());
    for console in CONSOLES {
        for (hub, link) in &pages {
            pictures.push(shown(link, hub, console, &font));
            writeln!(want, "{link}").unwrap();
        }
    }
    assert_eq!(decoded(folder.path(), &pictures), want);
}

#[test]
fn a_thousand_hosts_are_read_from_the_smallest_console() {
    let font = the_font();
    let folder = tempfile::tempdir().unwrap();
    let (mut pictures, mut want) = (Vec::new(), String::new());
    for n in 0..1_000 {
        let hub = format!(
            "https://hub{}.{}example:8443",
            n,
            "site-7.".repeat(n as usize % 7)
        );
        let link = link(n, &hub);
        pictures.push(shown(&link, &hub, CONSOLES[0], &font));
        writeln!(want, "{link}").unwrap();
    }
    assert_eq!(decoded(folder.path(), &pictures), want);
}
