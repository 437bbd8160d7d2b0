//! Lines of PID 1: to every console, to the kernel's log and to the kept log.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use crate::machine::console;

/// Writes a line wherever somebody may read it. Nothing here may fail: it is the last resort.
pub(crate) fn everywhere(line: &str) {
    quietly(line);
    for one in console::find(Path::new("/")) {
        // A console that is gone is no reason to lose the others.
        drop(one.say(line));
    }
}

/// Writes a line to the logs only.
pub(super) fn quietly(line: &str) {
    append("/dev/kmsg", &format!("<6>{line}\n"));
    append(&format!("{}/init.log", super::LOGS), &format!("{line}\n"));
}

fn append(path: &str, text: &str) {
    if let Ok(mut file) = OpenOptions::new()
        .append(true)
        .create(path.starts_with(super::LOGS))
        .open(path)
    {
        drop(file.write_all(text.as_bytes()));
    }
}
