//! Status on every console that was found: a screen where there is one, lines on a wire.
//!
//! A console that takes no bytes loses them; it never holds up the work.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use burin_core::view::{self, Row, View};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use crate::context::VERSION;
use crate::events::Events;
use crate::machine::console::{self, Kind};

/// A screen is drawn five times a second at most.
const DRAW: Duration = Duration::from_millis(200);
/// A screen is drawn anew even when nothing changed: the kernel may have written over it.
const REDRAW: Duration = Duration::from_secs(20);
/// How long a console may refuse bytes before what was to be said is dropped.
const PATIENCE_MS: u16 = 5000;
/// What a screen has at least: text mode.
const SMALLEST: (usize, usize) = (80, 25);
/// More than a person reads at once, and no more than is quickly drawn.
const LARGEST: (usize, usize) = (240, 100);

/// Which consoles are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The installer: all of them are ours.
    All,
    /// The installed host: screens belong to its logins, lines go to wires and to the journal.
    Wires,
}

/// Starts a thread for each console under `root` (a terminal may block), and a task for the journal
/// or log file behind standard output. They end with the process.
pub fn start(events: &Events, root: &Path, which: Use) {
    tokio::spawn(journal(events.clone()));
    for one in console::find(root) {
        if one.kind == Kind::Screen && which == Use::Wires {
            continue;
        }
        let events = events.clone();
        thread::spawn(move || {
            let shown = one.open().context("opening it").and_then(|device| {
                // A runtime of its own: the agent's is shut down while this thread still waits.
                let runtime = Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .context("starting a runtime")?;
                match one.kind {
                    Kind::Screen => runtime.block_on(draw(&events, &device)),
                    Kind::Serial | Kind::Virtual => runtime.block_on(print(&events, &device)),
                }
            });
            if let Err(err) = shown {
                let name = one.device.display();
                events.note(format!("console {name} is not used: {err:#}"));
            }
        });
    }
}

async fn draw(events: &Events, device: &File) -> Result<()> {
    let mut changes = events.changes();
    // Hides the cursor and clears once; later drawings overwrite, which does not flicker.
    write(device, b"\x1b[?25l\x1b[2J")?;
    loop {
        // Asked each time: a driver that comes late changes it.
        let (columns, rows) = console::size(device).unwrap_or(SMALLEST);
        write(device, &picture(&events.view(), columns, rows))?;
        sleep(DRAW).await;
        // Out of time means: draw over whatever the kernel wrote meanwhile.
        if let Ok(ended) = timeout(REDRAW, changes.changed()).await {
            ended.context("the agent has ended")?;
        }
    }
}

/// The bytes that draw `view` on a screen of `columns` by `rows` characters.
///
/// The last column and the last row stay empty: what is written there makes some terminals scroll.
#[must_use]
pub fn picture(view: &View, columns: usize, rows: usize) -> Vec<u8> {
    let (columns, rows) = (columns.min(LARGEST.0), rows.min(LARGEST.1));
    let (width, height) = (columns.saturating_sub(1), rows.saturating_sub(1));
    frame(&view::screen(view, VERSION, width, height))
}

/// Every row is cleared to its end, the rest of the screen as well. A code is bright white on black,
/// whatever the colours of the terminal are.
fn frame(rows: &[Row]) -> Vec<u8> {
    let mut bytes = b"\x1b[H".to_vec();
    for row in rows {
        if !row.code.is_empty() {
            bytes.extend_from_slice(b"\x1b[0;1;37;40m");
            bytes.extend_from_slice(row.code.as_bytes());
            bytes.extend_from_slice(b"\x1b[0m");
        }
        bytes.extend_from_slice(row.text.as_bytes());
        bytes.extend_from_slice(b"\x1b[K\r\n");
    }
    bytes.extend_from_slice(b"\x1b[J");
    bytes
}

async fn print(events: &Events, device: &File) -> Result<()> {
    let mut changes = events.changes();
    let mut newest = 0;
    loop {
        let (last, lines) = events.lines(newest);
        newest = last;
        for line in lines {
            write(device, format!("\r{line}\r\n").as_bytes())?;
        }
        changes.changed().await.context("the agent has ended")?;
    }
}

async fn journal(events: Events) {
    let mut changes = events.changes();
    let mut newest = 0;
    loop {
        let (last, lines) = events.lines(newest);
        newest = last;
        let mut out = io::stdout();
        for line in lines {
            // Standard output may be a closed pipe; the log on disk and the hub have it all.
            if writeln!(out, "{line}").is_err() {
                return;
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Writes all bytes, or as many as the device takes before patience ends.
fn write(mut device: &File, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let mut waiting = [PollFd::new(device.as_fd(), PollFlags::POLLOUT)];
        if poll(&mut waiting, PollTimeout::from(PATIENCE_MS)).context("waiting for it")? == 0 {
            return Ok(());
        }
        match device.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
            Err(err) => return Err(err).context("writing to it"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::fd::OwnedFd;

    #[tokio::test]
    async fn a_wire_gets_every_line_once_and_what_came_before() {
        let events = Events::new("boot");
        events.note("before");
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let ours = File::from(OwnedFd::from(ours));
        let mut theirs = File::from(OwnedFd::from(theirs));
        let task = tokio::spawn({
            let events = events.clone();
            async move { print(&events, &ours).await }
        });
        let reader = tokio::task::spawn_blocking(move || {
            let want = "\rburin: note before\r\n\rburin: note after\r\n";
            let mut found = vec![0; want.len()];
            theirs.read_exact(&mut found).unwrap();
            assert_eq!(String::from_utf8(found).unwrap(), want);
        });
        tokio::task::yield_now().await;
        events.note("after");
        reader.await.unwrap();
        task.abort();
    }

    #[test]
    fn a_wire_that_takes_nothing_loses_lines_and_holds_up_nobody() {
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let ours = File::from(OwnedFd::from(ours));
        let began = std::time::Instant::now();
        write(&ours, &vec![b'x'; 8 << 20]).unwrap();
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_frame_clears_what_stood_there_before() {
        let rows = ["", "▀▄"].map(|code| Row {
            code: code.to_owned(),
            text: "one".to_owned(),
        });
        let frame = String::from_utf8(frame(&rows)).unwrap();
        let code = "\x1b[0;1;37;40m▀▄\x1b[0m";
        assert_eq!(
            frame,
            format!("\x1b[Hone\x1b[K\r\n{code}one\x1b[K\r\n\x1b[J")
        );
    }
}
