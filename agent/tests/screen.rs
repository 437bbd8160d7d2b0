//! The screen of a host that waits to be taken in, drawn with the ISO's own font and read by two
//! programs, straight and as a camera sees it: what a phone reads is the link, on every console.
#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use burin::console::picture;
use burin::init::font::{self, Font};
use burin_api::claim::{ClaimLink, KeyLabel};
use burin_api::message::Phase;
use burin_camera::{Hand, Screen};
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

/// The dots of the screen and how many stand in a row.
fn drawn(cells: &[Vec<Cell>], font: &Font) -> (Vec<u8>, usize) {
    let glyphs: HashMap<u32, u16> = font
        .map
        .iter()
        .map(|pair| (u32::from(pair.unicode), pair.glyph))
        .collect();
    let (wide, high) = (font.glyphs.width as usize, font.glyphs.height as usize);
    let row_bytes = wide.div_ceil(8);
    let (width, height) = (cells[0].len() * wide, cells.len() * high);
    let mut picture = Vec::with_capacity(width * height);
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
    (picture, width)
}

/// The dots as a picture in PGM.
fn pgm((dots, width): &(Vec<u8>, usize)) -> Vec<u8> {
    let mut picture = format!("P5\n{width} {}\n255\n", dots.len() / width).into_bytes();
    picture.extend(dots);
    picture
}

fn saved(folder: &Path, pictures: &[Vec<u8>]) -> Vec<PathBuf> {
    let save = |(at, picture)| {
        let path = folder.join(format!("{at:04}.pgm"));
        std::fs::write(&path, picture).unwrap();
        path
    };
    pictures.iter().enumerate().map(save).collect()
}

/// What zbarimg (Debian package zbar-tools) reads in the pictures, in their order.
fn zbar(pictures: &[PathBuf]) -> Vec<String> {
    let options = ["-q", "--raw", "-Sdisable", "-Sqrcode.enable"];
    let mut program = Command::new("zbarimg");
    let ran = program.args(options).args(pictures);
    let ran = ran.output().expect("zbarimg is in Debian's zbar-tools");
    let read = String::from_utf8(ran.stdout).unwrap();
    read.lines().map(str::to_owned).collect()
}

/// What ZXing's reader (Debian package zxing-cpp-tools) reads in them. It writes a line for each:
/// the name, the format and the text in quotes, or that there is none.
fn zxing(pictures: &[PathBuf]) -> Vec<String> {
    let options = ["-1", "-format", "QRCode"];
    let mut program = Command::new("ZXingReader");
    let ran = program.args(options).args(pictures);
    let ran = ran
        .output()
        .expect("ZXingReader is in Debian's zxing-cpp-tools");
    let lines = String::from_utf8(ran.stdout).unwrap();
    let text = |line: &str| line.split('"').nth(1).map(str::to_owned);
    lines.lines().filter_map(text).collect()
}

fn shown(link: &str, hub: &str, (columns, rows): (usize, usize), font: &Font) -> Vec<u8> {
    let bytes = picture(&host(link, hub), columns, rows);
    pgm(&drawn(&terminal(&bytes, columns, rows), font))
}

/// The same screen for the camera.
fn before_the_camera(
    link: &str,
    hub: &str,
    (columns, rows): (usize, usize),
    font: &Font,
) -> Screen {
    let bytes = picture(&host(link, hub), columns, rows);
    let cells = terminal(&bytes, columns, rows);
    let (dots, width) = drawn(&cells, font);
    let lit = |row: &Vec<Cell>| row.iter().take_while(|cell| cell.1 == WHITE).count();
    let top = cells.iter().position(|row| lit(row) > 0).unwrap();
    // Before a finder pattern nothing is dark but the quiet zone's four modules.
    let quiet = cells[top..].iter().take_while(|row| lit(row) > 0);
    let quiet = quiet.map(|row| row.iter().take_while(|cell| cell.0 == '█').count());
    let scale = quiet.filter(|n| *n > 0).min().unwrap() / 4;
    Screen {
        dots,
        width,
        corner: (0, top * font.glyphs.height as usize),
        side: lit(&cells[top]) / scale,
        module: scale * font.glyphs.width as usize,
    }
}

/// The address of hub number `n`, of seven lengths.
fn hub(n: u32) -> String {
    let sites = "site-7.".repeat(n as usize % 7);
    format!("https://hub{n}.{sites}example:8443")
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
    let (mut pictures, mut want) = (Vec::new(), Vec::new());
    for console in CONSOLES {
        for (hub, link) in &pages {
            pictures.push(shown(link, hub, console, &font));
            want.push(link.clone());
        }
    }
    let pictures = saved(folder.path(), &pictures);
    assert_eq!(zbar(&pictures), want);
    assert_eq!(zxing(&pictures), want);
}

#[test]
fn a_thousand_hosts_are_read_from_the_smallest_console() {
    let font = the_font();
    let folder = tempfile::tempdir().unwrap();
    let (mut pictures, mut want) = (Vec::new(), Vec::new());
    for n in 0..1_000 {
        let hub = hub(n);
        let link = link(n, &hub);
        pictures.push(shown(&link, &hub, CONSOLES[0], &font));
        want.push(link);
    }
    let pictures = saved(folder.path(), &pictures);
    assert_eq!(zbar(&pictures), want);
    assert_eq!(zxing(&pictures), want);
}

/// Somebody with a phone, who stands where there is room: the screen is seen at 30 degrees.
const TECHNICIAN: Hand = Hand {
    tilt: 30.0..=30.0,
    roll: 10.0,
    fill: 0.5..=0.85,
    blur: 0.1..=0.25,
    // 640x400 dots on monitors of 4:3 to 16:9.
    stretch: 0.83..=1.11,
    exposure: 0.4..=1.3,
    glare: 0.0..=0.1,
    noise: 6.0,
};

/// How many of a number of shots by `hand` are read by zbarimg and by ZXing, each of another host on
/// another console.
fn read_by_camera(hand: &Hand, shots: u32, font: &Font) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let (mut pictures, mut links) = (Vec::new(), HashSet::new());
    for n in 0..shots {
        let hub = hub(n);
        let link = link(n, &hub);
        let console = CONSOLES[n as usize % CONSOLES.len()];
        let screen = before_the_camera(&link, &hub, console, font);
        pictures.push(burin_camera::shoot(&screen, hand, n));
        links.insert(link);
    }
    let pictures = saved(folder.path(), &pictures);
    // A wrong text is worse than none.
    let right = |read: Vec<String>| {
        let read = HashSet::from_iter(read);
        let wrong: Vec<_> = read.difference(&links).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        read.len()
    };
    (right(zbar(&pictures)), right(zxing(&pictures)))
}

#[test]
fn a_camera_at_thirty_degrees_reads_98_of_100() {
    let font = the_font();
    let (zbar, zxing) = read_by_camera(&TECHNICIAN, 200, &font);
    println!("zbarimg {zbar}, ZXing {zxing} of 200");
    assert!(zxing >= 196, "{zxing} of 200");
    // The camera is one that can fail.
    let blurred = Hand {
        blur: 0.5..=0.5,
        ..TECHNICIAN
    };
    let (_, read) = read_by_camera(&blurred, 20, &font);
    assert!(
        read <= 1,
        "{read} of 20, where a module is as wide as two deviations of the blur"
    );
}

#[test]
#[ignore = "some minutes: the figures of the manual"]
fn how_much_a_camera_may_do() {
    let font = the_font();
    let report = |what: &str, hand: &Hand| {
        let (zbar, zxing) = read_by_camera(hand, 100, &font);
        println!("{what}: zbarimg {zbar}, ZXing {zxing} of 100");
    };
    for tilt in [0.0, 15.0, 30.0, 45.0] {
        let hand = Hand {
            tilt: tilt..=tilt,
            ..TECHNICIAN
        };
        report(&format!("tilt {tilt}"), &hand);
    }
    for blur in [0.05, 0.1, 0.2, 0.25, 0.3, 0.35, 0.4] {
        let hand = Hand {
            blur: blur..=blur,
            ..TECHNICIAN
        };
        report(&format!("blur {blur}"), &hand);
    }
    let calm = Hand {
        tilt: 15.0..=15.0,
        fill: 0.4..=0.75,
        blur: 0.1..=0.2,
        noise: 2.0,
        ..TECHNICIAN
    };
    report("tilt 15, fill 0.4 to 0.75, blur 0.1 to 0.2, noise 2", &calm);
}
