//! One numbered stream of events feeds consoles, log file and hub. Each reads at its own pace.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use burin_api::event::{Event, EventKind, Progress};
use burin_core::view::{self, Fact, View};
use tokio::sync::watch;

mod meter;

pub use meter::Meter;

/// Starts, ends and failures kept for readers that are behind. An installation makes some hundred.
const KEPT: usize = 4096;
/// Retries kept: a night without a hub must not push out why it began.
const RETRIES: usize = 256;
/// Lines kept for a console that is found late or is slow.
const LINES: usize = 1024;
/// Longest message and cause in bytes, and how many causes an event keeps.
const MESSAGE: usize = 2048;
const CAUSE: usize = 1024;
const CAUSES: usize = 10;
/// Progress is shown five times a second at most.
const PROGRESS: Duration = Duration::from_millis(200);
/// On a serial line every two seconds: it is slow, and logs stay readable.
const PROGRESS_LINE: Duration = Duration::from_secs(2);

/// The handle to the stream. Clones are handles to the same stream.
#[derive(Debug, Clone)]
pub struct Events {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    boot_id: String,
    /// When this stream began, milliseconds since the boot: an agent that is started again in the same
    /// boot counts from 1 again, and its events are not those of its earlier life.
    began: u64,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    sequence: u64,
    operation: String,
    kept: VecDeque<Event>,
    lines: VecDeque<(u64, String)>,
    last_line: u64,
    view: View,
    log: Option<File>,
    logged: u64,
    shown: Option<Instant>,
    shown_line: Option<Instant>,
}

impl Events {
    /// An empty stream of this boot.
    #[must_use]
    pub fn new(boot_id: &str) -> Self {
        Self::since(monotonic(), boot_id)
    }

    fn since(began: u64, boot_id: &str) -> Self {
        Self {
            shared: Arc::new(Shared {
                boot_id: boot_id.to_owned(),
                began,
                state: Mutex::new(State {
                    sequence: 0,
                    operation: String::new(),
                    kept: VecDeque::new(),
                    lines: VecDeque::new(),
                    last_line: 0,
                    view: View::default(),
                    log: None,
                    logged: 0,
                    shown: None,
                    shown_line: None,
                }),
                changed: watch::Sender::new(0),
            }),
        }
    }

    /// Names the operation that later events belong to.
    pub fn operation(&self, operation: &str) {
        operation.clone_into(&mut self.lock().operation);
    }

    /// A step begins to touch the machine.
    pub fn started(&self, step: &str) {
        self.push(EventKind::Started, step, String::new(), Vec::new());
    }

    /// A step is done.
    pub fn done(&self, step: &str) {
        self.push(EventKind::Done, step, String::new(), Vec::new());
    }

    /// A step failed and will be tried again in `pause`.
    pub fn retrying(&self, step: &str, error: &anyhow::Error, pause: Duration) {
        let message = format!("{error} (again in {} s)", pause.as_secs().max(1));
        self.push(EventKind::Retrying, step, message, causes(error));
    }

    /// A step failed for good.
    pub fn failed(&self, step: &str, error: &anyhow::Error) {
        let advice = crate::steps::Failure::advice_of(error);
        let message = if advice.is_empty() {
            error.to_string()
        } else {
            format!("{error}. {advice}")
        };
        self.push(EventKind::Failed, step, message, causes(error));
    }

    /// An error that stops nothing, with its causes.
    pub fn report(&self, kind: EventKind, step: &str, error: &anyhow::Error) {
        self.push(kind, step, error.to_string(), causes(error));
    }

    /// Something worth keeping that belongs to no step.
    pub fn note(&self, message: impl Into<String>) {
        self.push(EventKind::Note, "", message.into(), Vec::new());
    }

    /// A block on disk does not match its digest.
    pub fn corruption(&self, message: impl Into<String>) {
        self.push(EventKind::Corruption, "", message.into(), Vec::new());
    }

    /// Replaces what is known about the host. Repeating a fact makes no line.
    pub fn tell(&self, fact: &Fact) {
        let mut state = self.lock();
        let before = state.view.clone();
        state.view.fact(fact);
        if state.view == before {
            return;
        }
        for line in view::fact_line(&news(fact, &before)) {
            state.line(line);
        }
        drop(state);
        self.wake();
    }

    /// How far the step under way is. Called as often as a step likes; shown at most five times a
    /// second, and always when all is done.
    pub fn progress(&self, progress: Progress) {
        let now = Instant::now();
        let mut state = self.lock();
        let whole = progress.total > 0 && progress.done >= progress.total;
        if !whole
            && state
                .shown
                .is_some_and(|last| now.duration_since(last) < PROGRESS)
        {
            return;
        }
        state.shown = Some(now);
        let line = whole
            || state
                .shown_line
                .is_none_or(|last| now.duration_since(last) >= PROGRESS_LINE);
        if line {
            state.shown_line = Some(now);
            let line = view::progress_line(&progress);
            state.line(line);
        }
        state.view.progress(progress);
        drop(state);
        self.wake();
    }

    /// What a screen shows now.
    #[must_use]
    pub fn view(&self) -> View {
        self.lock().view.clone()
    }

    /// Wakes whenever something changed. Read the rest through the handle.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// Sequence number of the newest event.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.lock().sequence
    }

    /// The serial lines after number `after`, with the number of the newest.
    #[must_use]
    pub fn lines(&self, after: u64) -> (u64, Vec<String>) {
        let state = self.lock();
        let new = state.lines.iter().filter(|(number, _)| *number > after);
        (state.last_line, new.map(|(_, line)| line.clone()).collect())
    }

    /// The oldest events after sequence number `after`, at most `limit`.
    #[must_use]
    pub fn after(&self, after: u64, limit: usize) -> Vec<Event> {
        let state = self.lock();
        let new = state.kept.iter().filter(|event| event.sequence > after);
        new.take(limit).cloned().collect()
    }

    /// Keeps the log in `folder` from now on, one file a boot, JSON lines; what happened before is
    /// written first.
    ///
    /// # Errors
    /// When the folder cannot be made or the file not be opened.
    pub fn log_to(&self, folder: &Path) -> Result<()> {
        let path = folder.join(format!("{}.jsonl", self.shared.boot_id));
        let mut state = self.lock();
        if state.log.is_some() && path.exists() {
            return Ok(());
        }
        std::fs::create_dir_all(folder)
            .and_then(|()| OpenOptions::new().create(true).append(true).open(&path))
            .map(|file| state.log = Some(file))
            .with_context(|| format!("opening the log {}", path.display()))?;
        state.logged = 0;
        state.write_log();
        Ok(())
    }

    /// Closes the log, so that its file system can be unmounted.
    pub fn stop_log(&self) {
        self.lock().log = None;
    }

    fn push(&self, kind: EventKind, step: &str, message: String, causes: Vec<String>) {
        let message = capped(message, MESSAGE);
        let causes = causes.into_iter().take(CAUSES).map(|it| capped(it, CAUSE));
        let mut state = self.lock();
        state.sequence += 1;
        let Shared { boot_id, began, .. } = &*self.shared;
        let event = Event {
            id: format!("{boot_id}:{began}:{}", state.sequence),
            sequence: state.sequence,
            boot_id: boot_id.clone(),
            monotonic: monotonic(),
            time: wall_clock(),
            operation: state.operation.clone(),
            step: step.to_owned(),
            kind,
            message,
            causes: causes.collect(),
        };
        state.view.event(&event);
        state.line(view::event_line(&event));
        state.keep(event);
        state.write_log();
        drop(state);
        self.wake();
    }

    fn wake(&self) {
        self.shared
            .changed
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Reporting goes on after a panic elsewhere; the state is only ever appended to.
        self.shared
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn line(&mut self, line: String) {
        self.last_line += 1;
        self.lines.push_back((self.last_line, line));
        if self.lines.len() > LINES {
            self.lines.pop_front();
        }
    }

    fn keep(&mut self, event: Event) {
        if event.kind == EventKind::Retrying {
            let retries = |event: &&Event| event.kind == EventKind::Retrying;
            if self.kept.iter().filter(retries).count() >= RETRIES
                && let Some(oldest) = self.kept.iter().position(|event| retries(&event))
            {
                self.kept.remove(oldest);
            }
        }
        self.kept.push_back(event);
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    /// A log that cannot be written must not stop the work it tells about: the file is given up
    /// and the loss stands on the console.
    fn write_log(&mut self) {
        let Some(log) = &mut self.log else { return };
        let mut text = Vec::new();
        for event in self
            .kept
            .iter()
            .filter(|event| event.sequence > self.logged)
        {
            if let Ok(line) = serde_json::to_vec(event) {
                text.extend_from_slice(&line);
                text.push(b'\n');
            }
        }
        match log.write_all(&text) {
            Ok(()) => self.logged = self.sequence,
            Err(err) => {
                self.log = None;
                self.line(format!("burin: note the log cannot be written: {err}"));
            }
        }
    }
}

/// Of findings only those that were not there before: a gate is passed many times.
fn news(fact: &Fact, before: &View) -> Fact {
    match fact {
        Fact::Findings(findings) => {
            let new = findings.iter().filter(|it| !before.findings.contains(it));
            Fact::Findings(new.cloned().collect())
        }
        other => other.clone(),
    }
}

/// Text of at most `limit` bytes. A hub stores events of 16 KiB at most.
fn capped(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.push('…');
    }
    text
}

/// The causes below the outermost message.
fn causes(error: &anyhow::Error) -> Vec<String> {
    error.chain().skip(1).map(ToString::to_string).collect()
}

fn monotonic() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map(Duration::from);
    now.map_or(0, millis)
}

/// Milliseconds since 1970 by the host's clock; may be wrong.
#[must_use]
pub fn wall_clock() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, millis)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
