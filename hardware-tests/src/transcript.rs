//! What a program or a machine says, line by line, with waiting for a line instead of sleeping.

use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Words that end the hope for any other line: waiting on would only waste the time limit.
const FATAL: [&str; 2] = ["Kernel panic - not syncing", "int3: 0000 [#1]"];

/// How much of the end of a transcript an error message carries, in lines.
const TAIL: usize = 15;

/// A growing text that somebody else writes. Clones share it.
#[derive(Debug, Clone)]
pub struct Transcript {
    inner: Arc<Inner>,
    file: PathBuf,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Everything said so far, without terminal escapes.
    text: String,
    /// Bytes of `text` that earlier waits have passed.
    mark: usize,
    /// The writer is gone.
    ended: bool,
}

impl Transcript {
    /// Starts to follow `source` in a thread of its own. What it says also goes into `file` as it came.
    ///
    /// # Errors
    /// When `file` cannot be created.
    pub fn follow(source: impl Read + Send + 'static, file: &Path) -> Result<Self> {
        let log =
            File::create(file).with_context(|| format!("creating the log {}", file.display()))?;
        let inner = Arc::new(Inner {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        });
        let writer = Arc::clone(&inner);
        std::thread::spawn(move || pump(source, log, &writer));
        Ok(Self {
            inner,
            file: file.to_owned(),
        })
    }

    /// Where the text is kept.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Everything said so far.
    pub fn text(&self) -> String {
        self.lock().text.clone()
    }

    /// Whether `needle` was said since the beginning.
    pub fn contains(&self, needle: &str) -> bool {
        self.lock().text.contains(needle)
    }

    /// Waits for `needle` after the place where the last wait ended, and returns its whole line.
    ///
    /// # Errors
    /// When `within` is over, the writer is gone or the machine can no longer say it: a kernel panic, or
    /// the known crash of the emulator, which the error names as such.
    pub fn wait_for(&self, needle: &str, within: Duration) -> Result<String> {
        self.wait_for_any(&[needle], within).map(|(_, line)| line)
    }

    /// As [`Self::wait_for`], for whichever of `needles` comes first; returns which one it was.
    ///
    /// # Errors
    /// As [`Self::wait_for`].
    pub fn wait_for_any(&self, needles: &[&str], within: Duration) -> Result<(usize, String)> {
        let deadline = Instant::now() + within;
        let mut state = self.lock();
        loop {
            if let Some((which, line, end)) = first_of(&state.text, state.mark, needles) {
                state.mark = end;
                return Ok((which, line));
            }
            let fresh = state.text.get(state.mark..).unwrap_or_default();
            if let Some(fatal) = FATAL.iter().find(|word| fresh.contains(**word)) {
                let whose = if fatal.starts_with("int3") {
                    "the emulator crashed the kernel (known with thread=multi, no fault of ours)"
                } else {
                    "the kernel panicked"
                };
                bail!("waiting for {needles:?}: {whose}\n{}", self.explain(&state));
            }
            if state.ended {
                bail!(
                    "waiting for {needles:?}: the other side ended\n{}",
                    self.explain(&state)
                );
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!(
                    "waiting for {needles:?}: not said within {} s\n{}",
                    within.as_secs(),
                    self.explain(&state)
                );
            }
            state = self
                .inner
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits until the writer is gone: the program or the machine has ended.
    ///
    /// # Errors
    /// When `within` is over first.
    pub fn wait_for_end(&self, within: Duration) -> Result<()> {
        let state = self.lock();
        let (state, timeout) = self
            .inner
            .changed
            .wait_timeout_while(state, within, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            bail!(
                "waiting for the end: still there after {} s\n{}",
                within.as_secs(),
                self.explain(&state)
            );
        }
        Ok(())
    }

    /// Forgets what was said so far for the next wait.
    pub fn skip(&self) {
        let mut state = self.lock();
        state.mark = state.text.len();
    }

    fn explain(&self, state: &State) -> String {
        let lines: Vec<&str> = state.text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n  ");
        format!(
            "the last of {} lines in {}:\n  {tail}",
            lines.len(),
            self.file.display()
        )
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A reader that panicked leaves the text whole: it is only ever appended to.
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The earliest of `needles` at or after `from`: which, its line, and the end of the match.
fn first_of(text: &str, from: usize, needles: &[&str]) -> Option<(usize, String, usize)> {
    let fresh = text.get(from..)?;
    let (at, which) = needles
        .iter()
        .enumerate()
        .filter_map(|(which, needle)| fresh.find(needle).map(|at| (at, which)))
        .min()?;
    let start = from + at;
    let end = start + needles[which].len();
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[end..].find('\n').map_or(text.len(), |n| end + n);
    // Only whole lines: a value at the end of a line would otherwise be cut.
    (line_end < text.len()).then(|| (which, text[line_start..line_end].trim().to_owned(), end))
}

fn pump(mut source: impl Read, mut log: File, inner: &Inner) {
    let mut filter = EscapeFilter::default();
    let mut buffer = [0; 4096];
    loop {
        let got = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(got) => &buffer[..got],
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_gone) => break,
        };
        let clean = filter.clean(got);
        let mut state = inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.text.push_str(&String::from_utf8_lossy(&clean));
        if let Err(error) = log.write_all(got) {
            state
                .text
                .push_str(&format!("\n(the log could not be written: {error})\n"));
        }
        drop(state);
        inner.changed.notify_all();
    }
    inner
        .state
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .ended = true;
    inner.changed.notify_all();
}

/// Takes terminal control sequences and carriage returns out of a byte stream.
#[derive(Debug, Default)]
struct EscapeFilter {
    within: Within,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Within {
    #[default]
    Text,
    Escape,
    /// `ESC [`: ends with a byte from `@` to `~`.
    Control,
    /// `ESC ]`: ends with BEL or ESC.
    System,
}

impl EscapeFilter {
    fn clean(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            self.within = match (self.within, byte) {
                (Within::Text, 0x1b) => Within::Escape,
                (Within::Text, b'\r' | 0) => Within::Text,
                (Within::Text, byte) => {
                    out.push(byte);
                    Within::Text
                }
                (Within::Escape, b'[') => {
                    // Moving the cursor usually starts another line of a screen.
                    Within::Control
                }
                (Within::Escape, b']') => Within::System,
                (Within::Escape, _) => Within::Text,
                (Within::Control, b'H' | b'f') => {
                    out.push(b'\n');
                    Within::Text
                }
                (Within::Control, b'@'..=b'~') => Within::Text,
                (Within::System, 0x07) => Within::Text,
                (Within::System, 0x1b) => Within::Escape,
                (inside, _) => inside,
            };
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn said(text: &str) -> Transcript {
        let folder = tempfile::tempdir().unwrap();
        Transcript::follow(Cursor::new(text.to_owned()), &folder.path().join("log")).unwrap()
    }

    #[test]
    fn a_line_is_found_whole_and_only_once() {
        let talk = said("one\n  state: running now\nstate: again\n");
        let second = Duration::from_secs(5);
        assert_eq!(
            talk.wait_for("state:", second).unwrap(),
            "state: running now"
        );
        assert_eq!(talk.wait_for("state:", second).unwrap(), "state: again");
        assert!(talk.wait_for("state:", second).is_err());
    }

    #[test]
    fn a_panic_ends_the_wait_before_its_deadline() {
        let talk = said("Kernel panic - not syncing: no init\nmore\n");
        let error = talk
            .wait_for("login", Duration::from_secs(60))
            .unwrap_err()
            .to_string();
        assert!(error.contains("the kernel panicked"), "{error}");
    }

    #[test]
    fn terminal_sequences_are_no_text() {
        let mut filter = EscapeFilter::default();
        let mut out = filter.clean(b"\x1b[2J\x1b[1;1Ha\x1b[31mb\x1b]0;ti");
        out.extend(filter.clean(b"tle\x07c\r\n"));
        assert_eq!(String::from_utf8(out).unwrap(), "\nabc\n");
    }
}
